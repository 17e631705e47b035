package ike

import "net/netip"

// ActionKind says what the engine asks its caller to do.
type ActionKind uint8

// The kinds of action.
const (
	Send    ActionKind = iota // Datagram goes out
	Install                   // Child is a new pair of ESP SAs, with keys
	Remove                    // Child ends: forget it and wipe its keys
	Move                      // Child's peer has another address or port
	Log                       // Event happened
)

// Action is one thing to do, in the order given.
type Action struct {
	Kind     ActionKind
	Datagram *Datagram
	Child    *ChildSA
	Event    *Event
}

// Datagram is a UDP payload to send. Marker: four octets of zero go before it
// (RFC 3948 section 2.2). A NAT keepalive is one octet without them.
type Datagram struct {
	Local, Remote netip.AddrPort
	Marker        bool
	Bytes         []byte
}

// ChildSA is a pair of ESP SAs. Keys stand in the Install action alone; they
// belong to the caller from then on.
type ChildSA struct {
	Peer, Name      string
	IKE             uint64 // the number of its IKE SA when the action was made
	In, Out         uint32 // SPIs, host byte order; In is unique among all
	Replaces        uint32 // In of the pair that it takes over from, 0: none
	Mode            Mode
	Cipher          Cipher
	Integrity       Integrity
	ESN             bool
	Local, Remote   netip.AddrPort // outer addresses; ports matter with UDP only
	UDP             bool           // ESP goes in UDP
	Follow          bool           // the peer is behind a NAT and we are not: tell PeerSeen where its ESP comes from
	LocalSelectors  []Selector
	RemoteSelectors []Selector
	KeysIn, KeysOut Keys
	// Hold: keep sending on the pair that it replaces until that one is
	// removed or the first packet arrives on this one (RFC 7296 section 2.8):
	// the other end may not have heard yet that this pair is there.
	Hold bool
}

func (e *Engine) do(a Action) { e.out = append(e.out, a) }

func (e *Engine) send(local, remote netip.AddrPort, marker bool, b []byte) {
	e.Sent++
	e.do(Action{Kind: Send, Datagram: &Datagram{local, remote, marker, b}})
}
