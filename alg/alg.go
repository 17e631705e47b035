// Package alg says what an application layer gateway (a helper) is: a state
// machine that watches the control protocol of one application, tells the NAT
// what to let through, and does no input or output of its own (rule R35).
//
// A helper looks at packets in turn and answers each with a Result: what is to
// become of it, and, if it names an address that means nothing on the other
// side, its bytes with another one in place (FTP; never IKE, R35). What it
// wants of the NAT it asks for through the interface NAT, which has one method.
// Time comes in as a number of monotonic nanoseconds. It knows nothing of the
// NAT's tables: a session and a mapping are numbers to it.
//
// The helpers are alg/ftp, alg/tftp and alg/ipsec. The last has more to say
// than a Result can carry (it holds messages and gives them back, and sees ESP,
// which is no connection); the router fits it to Helper.
package alg

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Direction is where a packet goes.
type Direction uint8

// The two directions.
const (
	In2Out Direction = iota // subscriber to server
	Out2In                  // server to subscriber
)

// Reverse returns the other direction.
func (d Direction) Reverse() Direction { return d ^ 1 }

// String returns the word used in logs and JSON.
func (d Direction) String() string {
	if d == In2Out {
		return "in2out"
	}
	return "out2in"
}

// Verdict is what a helper wants to become of a packet.
type Verdict uint8

// The verdicts.
const (
	Forward Verdict = iota // go on with the packet
	Hold                   // the helper has copied the packet and gives it back later
	Drop                   // the packet dies; the result names the reason
)

// String returns the word used in logs and JSON.
func (v Verdict) String() string {
	switch v {
	case Forward:
		return "forward"
	case Hold:
		return "hold"
	default:
		return "drop"
	}
}

// Conn is a translated connection, or the exchange of datagrams that the NAT
// has a session for.
type Conn struct {
	Session, Mapping uint64 // the NAT's identifiers, never 0
	Proto            uint8
	Inside           frame.Endpoint // the subscriber
	Outside          frame.Endpoint // what the remote sees of it
	Remote           frame.Endpoint
}

// Packet is a packet of a connection that a helper watches. Its bytes are lent
// until Step returns, and are not to be changed.
type Packet struct {
	Conn
	Dir    Direction
	IP     []byte          // the whole IPv4 packet, not a fragment
	Header int             // length of its IPv4 header in bytes
	In     frame.Interface // where it came in
	Mark   uint32          // the caller's own, of a packet that may be held
	// Room is how long the IPv4 packet may become, in bytes; it is at least as
	// long as the packet is now, unless that has to be cut anyway.
	Room int
}

// Transport returns the transport header and what follows it.
func (p *Packet) Transport() []byte { return p.IP[p.Header:] }

// Result is what a helper says of a packet.
type Result struct {
	Verdict Verdict
	Reason  drop.Reason // of Drop
	// Transport, if not nil, takes the place of the packet's own transport
	// header and payload; whoever sends it computes the checksum. In out2in it
	// has the length of what it replaces. It is the receiver's.
	Transport []byte
}

// Expectation is a connection that the remote is going to open, because the
// subscriber asked for it on a connection that a helper watches.
type Expectation struct {
	Session uint64 // the watched connection: its subscriber, NAT address, remote address and protocol
	Port    uint16 // where the subscriber listens
}

// NAT is what a helper asks of the NAT.
type NAT interface {
	// Expect makes the NAT let one connection in from the remote's address, from
	// any port of it, within a minute, and returns where outside that is: on the
	// NAT address of the watched connection (R14), and for the subscriber's own
	// port of that connection on its own port outside. To ask again before the
	// remote has come gives the same endpoint and another minute.
	Expect(e Expectation, now int64) (outside frame.Endpoint, why drop.Reason)
}

// Helper watches connections of one application. It is safe for concurrent use.
type Helper interface {
	// Watches reports whether the packets of a connection are to be shown to
	// Step, all of them and in the order in which they come. They stay off the
	// fast path.
	Watches(c *Conn) bool
	// Step looks at one packet.
	Step(p *Packet, nat NAT, now int64) Result
	// Gone tells that a session has ended, watched or not.
	Gone(session uint64)
}
