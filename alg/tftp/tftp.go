// Package tftp is the helper for TFTP through a NAT (RFC 1350): a server answers
// a request to its port 69 from another port, which the NAT's filtering would
// not admit.
//
// On a request, a read or a write (RFC 1350 section 5, options of RFC 2347 may
// follow), it lets the server's address in once, from any port, to where the
// request came from. It rewrites nothing. Where the mapping admits that address
// anyway, with the filtering EIF or ADF, there is nothing to do; so does TFTP
// pass a NetScaler that has an EIM and EIF profile for UDP port 69.
//
// It has no state but its counters, and does no input or output.
package tftp

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Port is where servers take requests.
const Port = 69

// The opcodes of requests.
const (
	readRequest  = 1
	writeRequest = 2
)

// Helper is the TFTP helper. It is safe for concurrent use.
type Helper struct {
	opened, strange, refused atomic.Uint64
}

var _ alg.Helper = (*Helper)(nil)

// Stats is what the helper has done since the start.
type Stats struct {
	Opened  uint64 // requests whose answer may come; repeated ones count again
	Strange uint64 // datagrams to port 69 that are no request: they open nothing
	Refused uint64 // requests for whose answer the NAT had no room
}

// New makes a helper.
func New() *Helper { return &Helper{} }

// Watches implements alg.Helper.
func (*Helper) Watches(c *alg.Conn) bool { return c.Proto == frame.ProtoUDP && c.Remote.Port == Port }

// Step implements alg.Helper. It lets every packet pass.
func (h *Helper) Step(p *alg.Packet, nat alg.NAT, now int64) alg.Result {
	switch {
	case p.Dir == alg.Out2In:
	case !request(p.Transport()):
		h.strange.Add(1)
	default:
		_, why := nat.Expect(alg.Expectation{Session: p.Session, Port: p.Inside.Port}, now)
		if why != drop.None {
			h.refused.Add(1)
			break
		}
		h.opened.Add(1)
	}
	return alg.Result{}
}

// request reports whether a UDP datagram is a request: an opcode, the name of a
// file and a mode, each with a zero byte behind it.
func request(b []byte) bool {
	const udpHeader = 8
	if len(b) < udpHeader+2 {
		return false
	}
	b = b[udpHeader:]
	if op := binary.BigEndian.Uint16(b); op != readRequest && op != writeRequest {
		return false
	}
	name, rest, ok := bytes.Cut(b[2:], []byte{0})
	mode, _, ended := bytes.Cut(rest, []byte{0})
	return ok && ended && len(name) > 0 && len(mode) > 0
}

// Gone implements alg.Helper.
func (*Helper) Gone(uint64) {}

// Stats returns what the helper has done.
func (h *Helper) Stats() Stats {
	return Stats{Opened: h.opened.Load(), Strange: h.strange.Load(), Refused: h.refused.Load()}
}
