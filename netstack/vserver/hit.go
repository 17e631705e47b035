package vserver

import (
	"slices"
	"time"

	"spigate/netstack/frame"
)

// Hit is a connection that Find found or Open made, and the side whose packet
// it was.
type Hit struct {
	Side Side
	conn *conn
}

// ID is the connection's number: unique in its table, never 0.
func (h Hit) ID() uint64 { return h.conn.id }

// Keys returns what packets show that come from the client and from the remote
// side. A packet is rewritten to the other one's, reversed.
func (h Hit) Keys() (client, remote Key) { return h.conn.keys[Client], h.conn.keys[Remote] }

// Listener returns who admitted the connection.
func (h Hit) Listener() *Listener {
	h.conn.mu.Lock()
	defer h.conn.mu.Unlock()
	return h.conn.l
}

// ByLSN reports whether the connection's source is translated by the LSN, as
// its virtual server said when it was opened: a reload does not change that.
func (h Hit) ByLSN() bool {
	h.conn.mu.Lock()
	defer h.conn.mu.Unlock()
	return h.conn.byLSN()
}

// Bind ties the connection to the LSN session that translates it; 0 unties it.
// It returns false if the connection has ended, so that End does not name the
// session: what the session has in the fast path is then the caller's to remove.
func (h Hit) Bind(session uint64) bool {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == dead:
		return false
	case c.lsn == nil:
		c.lsn = &bound{}
	}
	c.lsn.session = session
	return true
}

// MostAlso is how many BindAlso ties to one connection.
const MostAlso = 32

// BindAlso ties the connection to one more session that has flows of its packets
// in the fast path: ESP has no ports, so all SPIs between two addresses are one
// connection, and each pair of them a session of the IPsec ALG. It returns false if
// the connection has ended, as Bind does, or has MostAlso of them already; those of
// which over says that they have no flows any more, nor get one that was decided
// before it was asked, make room. over is called with the connection locked.
func (h Hit) BindAlso(session uint64, over func(session uint64) bool) bool {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == dead:
		return false
	case c.lsn == nil:
		c.lsn = &bound{}
	}
	if slices.Contains(c.lsn.also, session) {
		return true
	}
	if len(c.lsn.also) >= MostAlso {
		c.lsn.also = slices.DeleteFunc(c.lsn.also, over)
	}
	if len(c.lsn.also) >= MostAlso {
		return false
	}
	c.lsn.also = append(c.lsn.also, session)
	return true
}

// Session is what Bind was given, 0: nothing.
func (h Hit) Session() uint64 {
	h.conn.mu.Lock()
	defer h.conn.mu.Unlock()
	return h.conn.session()
}

// Cacheable reports whether the fast path may carry the connection's packets:
// it is established and both sides were seen; its profile does not count single
// packets (Immediate) and lets the TTL go down as everywhere else.
func (h Hit) Cacheable() bool {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.l.Profile
	return c.state == established && c.sent[Client].Packets > 0 && c.sent[Remote].Packets > 0 &&
		p.IdleTimeout != Immediate && !p.PreserveTTL
}

// Count counts a packet of the hit's side and nothing else, whether the
// connection lives or not: the rest of a datagram in pieces whose first one was
// its last packet. bytes is the IP total length.
func (h Hit) Count(bytes int) {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[h.Side].Packets++
	c.sent[h.Side].Bytes += uint64(bytes)
	c.count(h.Side, 1, uint64(bytes))
}

// forever is an idle time that no router lives to see.
const forever = 10 * 365 * 24 * time.Hour

// Idle is how long a flow of the connection may be idle in the fast path.
func (h Hit) Idle() time.Duration {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch idle := c.l.Profile.IdleTimeout; idle {
	case Indefinite:
		return forever
	case Immediate:
		return c.l.Profile.HandshakeTimeout // as long as the connection waits for an answer
	default:
		return idle
	}
}

// Numbers are what is known of the hit's side of a TCP connection (VR17): the
// sequence number behind the last byte that it sent, and the last byte that it
// acknowledged, plus one. ok is false if one of them is not known, and for
// other protocols.
func (h Hit) Numbers() (end, ack uint32, ok bool) {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	ack, known := c.wants(h.Side)
	me := &c.half[h.Side]
	return me.next, ack, c.keys[Client].Proto == frame.ProtoTCP && me.seen && known
}
