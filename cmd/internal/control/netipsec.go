package control

import (
	"net/netip"
	"slices"
	"strings"
)

// NetIPsec is the part of a Backend that shows the tunnels that end on the
// router, and what an operator may do to them. There are no keys in it.
type NetIPsec interface {
	NetIPsecSAs() []NetIPsecSA             // by traffic domain, selector and direction, the newest first
	NetIPsecSelectors() []NetIPsecSelector // of each traffic domain, in the order in which they are asked (VR29)
	NetIPsecPeers() []NetIPsecPeer         // by traffic domain and name
	NetIPsecStats() []NetIPsecStat         // one for each traffic domain
	// FlushNetIPsec ends the SAs of the selector or the peer that the filter
	// names, or all, at both ends.
	FlushNetIPsec(f Filter) (NetIPsecAsked, error)
	// RekeyNetIPsecPeer and RekeyNetIPsecSelector replace SAs of the one that
	// Filter.Name names, InitiateNetIPsec negotiates some for a selector. They
	// only begin: what becomes of it is seen in the views. The server has seen to
	// it that what is named is there.
	RekeyNetIPsecPeer(f Filter) (NetIPsecAsked, error)
	RekeyNetIPsecSelector(f Filter) (NetIPsecAsked, error)
	InitiateNetIPsec(f Filter) (NetIPsecAsked, error)
}

// Words of the columns Direction and State.
const (
	DirectionIn  = "in"
	DirectionOut = "out"

	StateMature = "mature" // in use
	StateDying  = "dying"  // it is being replaced or closed

	StateUp          = "up"
	StateNegotiating = "negotiating"
	StateDown        = "down"
	StateDisabled    = "disabled" // a peer, by its configuration
	StateUnused      = "unused"   // a peer that no policy names
)

// NetIPsecSA is a row of "show net ipsec sa": one direction of a tunnel.
type NetIPsecSA struct {
	SPI        SPI            `json:"spi"`
	Direction  string         `json:"direction"`
	State      string         `json:"state"`
	Selectors  Words          `json:"selectors"` // one, but for manual SAs, which all selectors of a policy have
	Policy     string         `json:"policy"`
	Peer       *string        `json:"peer"` // null: manual
	Mode       string         `json:"mode"` // tunnel, interface or transport
	LocalIP    netip.Addr     `json:"local_ip"`
	LocalPort  *uint16        `json:"local_port"` // of ESP in UDP; null: bare ESP
	RemoteIP   netip.Addr     `json:"remote_ip"`
	RemotePort *uint16        `json:"remote_port"`
	Suite      string         `json:"suite"`
	ESN        bool           `json:"extended_sequence_numbers"`
	Manual     bool           `json:"manual"`
	Traffic    []NetIPsecPair `json:"traffic"` // what was negotiated
	Age        Seconds        `json:"age_seconds"`
	Idle       Seconds        `json:"idle_seconds"`
	Rekey      *Seconds       `json:"rekey_seconds"`   // until a successor is negotiated; null: not planned
	Expires    *Seconds       `json:"expires_seconds"` // null: never
	Packets    uint64         `json:"packets"`
	Bytes      uint64         `json:"bytes"`       // encrypted or decrypted
	BytesLeft  *uint64        `json:"bytes_left"`  // null: no limit
	Sequence   uint64         `json:"sequence"`    // the last number sent, or the highest received
	Window     uint64         `json:"window"`      // of anti-replay; 0: outbound, or none
	TD         uint16         `json:"td"`          // traffic domain
	Errors     NetIPsecErrors `json:"errors"`      // packets that it could not seal or open
	Dummies    uint64         `json:"esp_dummies"` // packets that are there to hide the traffic
}

// NetIPsecPair is what an SA may carry, seen from here: ADDR, A/P or
// FIRST-LAST, with ports N, FIRST-LAST or any.
type NetIPsecPair struct {
	Local      string `json:"local"`
	LocalPort  string `json:"local_port"`
	Remote     string `json:"remote"`
	RemotePort string `json:"remote_port"`
	Protocol   string `json:"ip_protocol"` // or any
}

// NetIPsecErrors counts packets that an SA could not seal or open, by the words
// of "show drops". All words are there, those at zero too.
type NetIPsecErrors map[string]uint64

// Sum is how many there are.
func (e NetIPsecErrors) Sum() (n uint64) {
	for _, c := range e {
		n += c
	}
	return n
}

// NetIPsecSelector is a row of "show net ipsec selector".
type NetIPsecSelector struct {
	Name      string  `json:"name"`
	TD        uint16  `json:"td"`
	Order     int     `json:"order"`
	Source    string  `json:"source_address"` // A/P, as outbound packets have it (VR25)
	SrcPort   string  `json:"source_port"`    // or any
	Dest      string  `json:"destination_address"`
	DstPort   string  `json:"destination_port"`
	Protocol  string  `json:"ip_protocol"` // or any
	Direction string  `json:"direction"`   // both, in or out
	Action    string  `json:"action"`      // protect, bypass or discard
	State     *string `json:"state"`       // up, negotiating or down; null unless the action is protect
	Policy    *string `json:"policy"`      // null unless the action is protect
	Mode      *string `json:"mode"`
	Peer      *string `json:"peer"`   // who is asked for SAs; null: nobody
	Tunnel    *string `json:"tunnel"` // the interface that has it, in interface mode (VR30)
	Manual    bool    `json:"manual"` // its SAs are configured
	SPIsIn    []SPI   `json:"spis_in"`
	SPIsOut   []SPI   `json:"spis_out"` // the one in use first
	Waits     bool    `json:"waits"`    // a packet waits for an SA

	// Of its SAs, also of those that have ended.
	PacketsIn  uint64 `json:"packets_in"`
	BytesIn    uint64 `json:"bytes_in"`
	PacketsOut uint64 `json:"packets_out"`
	BytesOut   uint64 `json:"bytes_out"`

	NoSA           uint64         `json:"no_sa"`            // packets that found no SA, the one that waits among them
	SelectorReject uint64         `json:"selector_reject"`  // came in clear and should have been protected (VR32)
	Discarded      uint64         `json:"selector_discard"` // by an action of discard
	Bypassed       uint64         `json:"bypassed"`         // let through in clear by an action of bypass
	Errors         NetIPsecErrors `json:"errors"`           // of its SAs
}

// NetIPsecPeer is a row of "show net ipsec peer".
type NetIPsecPeer struct {
	Name      string             `json:"name"`
	TD        uint16             `json:"td"`
	State     string             `json:"state"`     // up, negotiating or down; or disabled or unused, which IKE does not know
	LocalIP   Addr               `json:"local_ip"`  // null: no policy uses it
	RemoteIP  Addr               `json:"remote_ip"` // null: any
	LocalID   string             `json:"my_id"`
	RemoteID  string             `json:"peers_id"`
	Passive   bool               `json:"passive"` // waits for the other end to begin
	Selectors Words              `json:"selectors"`
	IKESAs    []NetIPsecIKE      `json:"ike_sas"`
	LastError *NetIPsecLastError `json:"last_error"` // null: none since the start
}

// NetIPsecIKE is one IKE SA of a peer. There may be several for a moment.
type NetIPsecIKE struct {
	State      string          `json:"state"` // up, or where its negotiation stands
	Role       string          `json:"role"`  // initiator or responder
	SPIi       string          `json:"initiator_spi"`
	SPIr       string          `json:"responder_spi"`
	LocalIP    netip.Addr      `json:"local_ip"`
	LocalPort  uint16          `json:"local_port"`
	RemoteIP   netip.Addr      `json:"remote_ip"`
	RemotePort uint16          `json:"remote_port"`
	Identity   *string         `json:"identity"` // of the other end, once it is proved
	Suite      *string         `json:"suite"`    // null: not agreed yet
	NATHere    bool            `json:"nat_here"` // a NAT is in front of us
	NATThere   bool            `json:"nat_there"`
	Age        Seconds         `json:"age_seconds"`
	Rekey      *Seconds        `json:"rekey_seconds"`
	Expires    *Seconds        `json:"expires_seconds"`
	Quiet      Seconds         `json:"quiet_seconds"` // since its last authentic message
	Children   []NetIPsecChild `json:"children"`
}

// NetIPsecChild is a pair of SAs that an IKE SA made.
type NetIPsecChild struct {
	Selector string   `json:"selector"`
	State    string   `json:"state"` // up, rekeying or closing
	SPIIn    SPI      `json:"spi_in"`
	SPIOut   SPI      `json:"spi_out"`
	Suite    string   `json:"suite"`
	UDP      bool     `json:"udp"` // ESP goes in UDP
	Rekey    *Seconds `json:"rekey_seconds"`
	Expires  *Seconds `json:"expires_seconds"`
}

// NetIPsecLastError is the latest failure that IKE told of a peer.
type NetIPsecLastError struct {
	Event    string  `json:"event"`
	Selector *string `json:"selector"` // null: it was about the IKE SA
	Reason   string  `json:"reason"`
	Remedy   string  `json:"remedy"` // what to do; may be empty
	Ago      Seconds `json:"ago_seconds"`
	Over     bool    `json:"over"` // what had failed has worked since
}

// NetIPsecStat is a row of "show net ipsec stat": what the tunnels of a traffic
// domain have counted. The words of drop reasons stand for themselves.
type NetIPsecStat struct {
	TD        uint16            `json:"td"`
	SAs       uint64            `json:"sas"` // now, each direction is one
	Selectors uint64            `json:"selectors"`
	IKESAs    uint64            `json:"ike_sas"`
	Out       map[string]uint64 `json:"out"`   // packets that were to be sealed, by what became of them
	In        map[string]uint64 `json:"in"`    // packets that were to be opened
	Clear     map[string]uint64 `json:"clear"` // packets without ESP, by what selectors said
	IKE       map[string]uint64 `json:"ike"`
}

// NetIPsecAsked tells what an operator's word was passed on to.
type NetIPsecAsked struct {
	Peers     Words `json:"peers"`
	Selectors Words `json:"selectors"`
}

// FiltersOfNetIPsecSAs returns the filters of "show net ipsec sa".
func FiltersOfNetIPsecSAs() []string {
	return []string{BySelector, ByPeer, BySPI, ByDestIP, ByTD}
}

// FiltersOfNetIPsecSelectors returns those of "show net ipsec selector", beside
// the name.
func FiltersOfNetIPsecSelectors() []string { return []string{ByPeer, ByTD} }

// FiltersOfNetIPsecFlush returns those of "flush net ipsec sa".
func FiltersOfNetIPsecFlush() []string { return []string{BySelector, ByPeer, ByTD} }

func (s NetIPsecSA) passes(f *Filter) bool {
	return (f.Selector == "" || slices.Contains(s.Selectors, f.Selector)) && f.peer(s.Peer) &&
		(f.SPI == 0 || f.SPI == s.SPI) && is(f.DestIP, s.RemoteIP) && f.in(s.TD)
}

func (s NetIPsecSelector) passes(f *Filter) bool {
	return f.named(s.Name) && f.peer(s.Peer) && f.in(s.TD)
}
func (p NetIPsecPeer) passes(f *Filter) bool { return IsPeer(f.Name, p.Name) && f.in(p.TD) }
func (s NetIPsecStat) passes(f *Filter) bool { return f.in(s.TD) }
func (NetIPsecAsked) passes(*Filter) bool    { return true }

func (s NetIPsecSelector) label() string { return s.Name }
func (p NetIPsecPeer) label() string     { return p.Name }

// peer reports whether a row's peer passes; those without one are nobody's.
func (f *Filter) peer(name *string) bool {
	return f.Peer == "" || name != nil && IsPeer(f.Peer, *name)
}

// IsPeer reports whether a peer is the wanted one; "" wants any. A peer that is
// used at several of our addresses is several, which are called NAME/ADDRESS:
// NAME is all of them.
func IsPeer(wanted, name string) bool {
	return wanted == "" || wanted == name || strings.HasPrefix(name, wanted+"/")
}
