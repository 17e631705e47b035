package ipsec

import "time"

// BlockMode says what becomes of a phase-2 message that finds the lock taken.
type BlockMode uint8

// The block modes (R58).
const (
	BlockHold BlockMode = iota // keep the newest copy and send it in its turn
	BlockDrop                  // drop it and trust IKE's retransmission
)

// Profile is one ipsecalg profile: NetScaler's four parameters and our own
// knobs. It is read-only once packets refer to it; SetProfile replaces it.
type Profile struct {
	Name               string
	IKESessionTimeout  time.Duration // R47
	ESPSessionTimeout  time.Duration // R69
	ESPGateTimeout     time.Duration // R55
	IKEHalfOpenTimeout time.Duration // R40
	ConnFailover       bool          // R72
	IKEKeepWithESP     bool          // R48: ESP keeps the IKE session
	SameClientParallel bool          // R57: the holder may run several exchanges
	LateBindingOut     bool          // R66
	LateBindingIn      bool          // R66
	IKEPortPreserve    bool          // R39: the first client of a pair keeps source port 500
	IKECookieDemux     bool          // N40: answers to port 500 are told apart by initiator SPI
	BlockMode          BlockMode     // R58
	GateSeqMax         uint32        // R65: greatest sequence number at an open gate, 0 = off
}

// DefaultProfile returns NetScaler's defaults and, for what NetScaler does not
// say, the decisions of the specification.
func DefaultProfile() Profile {
	return Profile{
		IKESessionTimeout:  60 * time.Minute,
		ESPSessionTimeout:  60 * time.Minute,
		ESPGateTimeout:     30 * time.Second,
		IKEHalfOpenTimeout: 30 * time.Second,
		ConnFailover:       true,
		LateBindingOut:     true,
		GateSeqMax:         1024,
	}
}

const (
	provisionalMax  = 10 * time.Second       // a request without an answer (section 4.4)
	halfESPMin      = 120 * time.Second      // R64a, R67
	floatLinger     = 60 * time.Second       // R50
	rekeyWindow     = 60 * time.Second       // R45
	tombstoneLife   = 10 * time.Minute       // R69
	mappingForever  = 365 * 24 * time.Hour   // R48: the IKE session's own timer ends the mapping
	sweepEvery      = int64(1 * time.Second) // R22
	tenureGates     = 2                      // R55: gate timeouts per holder when others wait
	penaltyTimeouts = 3                      // R60
)

// Bounds of sections 4 and 5.
const (
	maxHalfOpen     = 5        // R41, per subscriber
	maxIKESessions  = 64       // R41, per subscriber
	reservedHalf    = 2        // of maxHalfOpen, that a server's own initiations leave to the client
	maxHeld         = 64       // R58, messages per pair
	maxHeldBytes    = 64 << 10 // R58, per pair
	maxFragments    = 64       // RFC 7383 fragments of one message: at 1 KB each a full datagram
	maxGateSPIs     = 4        // R64, per gate and direction
	maxExchanges    = 8        // remembered phase-2 exchanges per IKE session
	shortReplyBytes = 140      // R52
)

// halfESP is how long an ESP session with one side bound may be idle (R67).
func (p *Profile) halfESP() int64 { return int64(max(p.ESPGateTimeout, halfESPMin)) }

// gate is the gate timeout in nanoseconds.
func (p *Profile) gate() int64 { return int64(p.ESPGateTimeout) }

// provisional is how long a request may stay unanswered.
func (p *Profile) provisional() int64 { return int64(min(p.ESPGateTimeout, provisionalMax)) }
