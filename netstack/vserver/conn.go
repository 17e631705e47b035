package vserver

import (
	"math"
	"slices"
	"sync"
	"time"

	"spigate/netstack/frame"
)

// Side is one of a connection's two ends.
type Side uint8

// Client sent the first packet (VR39).
const (
	Client Side = iota
	Remote
)

func (s Side) other() Side { return 1 - s }

type phase uint8

const (
	opening     phase = iota // not yet under both its keys
	handshake                // TCP: SYN seen
	established              // and everything that is not TCP
	closing                  // TCP: FIN both ways; or the first one, with loose-close
	dead
)

// end is why a connection ended.
type end uint8

const (
	endTime  end = iota // idle, or half open for too long
	endReset            // RST of one side
	endDone             // closed, immediate, or its place was taken by a new one
	endAdmin            // reload, or somebody removed it
)

// conn is one connection. mu guards what changes; a shard's lock is taken
// before it, never after.
type conn struct {
	id     uint64
	keys   [2]Key // what packets of each side show
	opened int64

	mu    sync.Mutex
	l     *Listener // who admitted it
	from  *Listener // whose SNAT or NAT translates its source, or nil
	state phase
	since int64 // of the state, where it has a fixed end
	last  int64 // packet
	due   int64 // what the wheel was told
	in    [2]frame.Interface
	half  [2]half
	sent  [2]Traffic

	lsn   *bound // to the LSN, nil: not
	fast  bool   // the fast path carried packets of it: last is a sweep behind
	reset bool   // it ends with RSTs; said by who made it dead, as ended
	ended end    // why, where its time was over

	link link // in the wheel, under the lock of the client key's shard
}

// half is what is known of one side's sequence numbers (VR17).
type half struct {
	next  uint32 // behind the last byte it sent
	ack   uint32 // the next byte it wants
	seen  bool
	acked bool
	syn   bool
	fin   bool
}

// Traffic counts one side's packets.
type Traffic struct {
	Packets, Bytes uint64 // bytes of IP
}

const never = math.MaxInt64

// deadline is when the connection is over (VR16).
func (c *conn) deadline() int64 {
	p := &c.l.Profile
	switch {
	case c.state == handshake:
		return c.since + int64(p.HandshakeTimeout)
	case c.state == closing:
		return c.since + int64(p.CloseTimeout)
	case p.IdleTimeout == Indefinite:
		return never
	case p.IdleTimeout == Immediate: // an answer that does not come
		return c.last + int64(p.HandshakeTimeout)
	}
	return c.last + int64(p.IdleTimeout)
}

// alive reports whether the connection takes packets. What the fast path
// carries refreshes it only when that is swept: an idle time that seems to be
// over may not be, and the connection's own sweep, which comes after, decides.
func (c *conn) alive(now int64) bool {
	switch c.state {
	case opening, dead:
		return false
	case established:
		return c.fast || now < c.deadline()
	}
	return now < c.deadline()
}

// bound is how a connection hangs on the LSN.
type bound struct {
	session uint64   // what Bind said
	also    []uint64 // what BindAlso said
	group   string   // that translates, as the server said when it was opened; "": none
}

func (c *conn) session() uint64 {
	if c.lsn == nil {
		return 0
	}
	return c.lsn.session
}

// others is a copy of what BindAlso said. c.mu is held.
func (c *conn) others() []uint64 {
	if c.lsn == nil {
		return nil
	}
	return slices.Clone(c.lsn.also)
}

func (c *conn) byLSN() bool { return c.lsn != nil && c.lsn.group != "" }

// replaceable: a SYN on a closed connection begins a new one.
func (c *conn) replaceable(s *Segment) bool {
	return c.state == closing && s.Flags&(frame.TCPSyn|tcpAck) == frame.TCPSyn
}

// start is the first packet's part of track.
func (c *conn) start(s *Segment, now int64) phase {
	c.since = now
	if c.keys[Client].Proto == frame.ProtoTCP && s.Flags&(frame.TCPSyn|tcpAck) == frame.TCPSyn {
		return handshake
	}
	return established
}

// track follows one packet: sequence numbers, state, time and counts. It
// reports whether the connection is over with it, and why.
func (c *conn) track(from Side, s *Segment, now int64) (over bool, why end) {
	answer := from == Remote && c.sent[Client].Packets > 0
	c.last = max(c.last, now)
	c.sent[from].Packets++
	c.sent[from].Bytes += uint64(s.Length)
	if c.keys[Client].Proto == frame.ProtoTCP && s.Flags != 0 { // a later fragment has no header
		if s.Flags&frame.TCPRst != 0 {
			return c.believes(from, s), endReset
		}
		c.number(from, s)
		c.advance(from, s, now)
	}
	return answer && c.state == established && c.l.Profile.IdleTimeout == Immediate, endDone
}

// number keeps the sequence numbers. An acknowledgement of what was never sent
// is forged or of a time before ours, and forgotten.
func (c *conn) number(from Side, s *Segment) {
	me, peer := &c.half[from], &c.half[from.other()]
	reach(&me.next, &me.seen, s.Seq+s.Size)
	if s.Flags&tcpAck == 0 || peer.seen && ahead(s.Ack, peer.next) {
		return
	}
	if want, _ := c.wants(from); want != me.ack {
		me.acked = false // the fast path took over a forged one
	}
	reach(&me.ack, &me.acked, s.Ack)
}

// carried takes over the numbers that the fast path kept of a side. It reports
// the sides one after the other, so that an acknowledgement cannot be compared
// with what the peer sent before both are told: wants does that.
func (c *conn) carried(from Side, end, ack uint32) {
	me := &c.half[from]
	reach(&me.next, &me.seen, end)
	reach(&me.ack, &me.acked, ack)
}

// wants is the byte that a side asks for next, if that is known: what it
// acknowledged, but never beyond what its peer sent.
func (c *conn) wants(side Side) (next uint32, known bool) {
	me, peer := &c.half[side], &c.half[side.other()]
	if me.acked && peer.seen && ahead(me.ack, peer.next) {
		return peer.next, true
	}
	return me.ack, me.acked
}

// ahead compares sequence numbers, which go round zero.
func ahead(a, b uint32) bool { return int32(a-b) > 0 }

// reach moves a number ahead, never back.
func reach(n *uint32, known *bool, to uint32) {
	if !*known || ahead(to, *n) {
		*n, *known = to, true
	}
}

// advance moves the state (VR16).
func (c *conn) advance(from Side, s *Segment, now int64) {
	me, peer := &c.half[from], &c.half[from.other()]
	me.syn = me.syn || s.Flags&frame.TCPSyn != 0
	if c.state == handshake && from == Client && c.half[Remote].syn && s.Flags&(tcpAck|frame.TCPSyn) == tcpAck {
		c.state = established
	}
	if s.Flags&frame.TCPFin == 0 || me.fin {
		return
	}
	me.fin = true
	if c.state != closing && (peer.fin || c.l.Profile.LooseClose) {
		c.state, c.since = closing, now
	}
}

// believes asks whether a RST can be its sender's: what it names lies between
// what the other side wants and what the sender sent, as far as both are known
// (RFC 5961 section 3).
func (c *conn) believes(from Side, s *Segment) bool {
	me := &c.half[from]
	want, known := c.wants(from.other())
	if !me.seen || !known {
		return true
	}
	return s.Seq-want <= me.next-want
}

// Reset is a RST that the router is to send (VR17): To names the side it goes
// to, Key the 5-tuple that it must show there, Out where that side's last
// packet came from.
type Reset struct {
	To       Side
	Key      Key
	Out      frame.Interface
	Seq, Ack uint32
	HasAck   bool // the segment has ACK set
	Listener *Listener
	ByLSN    bool // the Key is the inside's: the LSN translates what goes to the remote side
}

// resets are the RSTs for both sides. What a side wants next is what it last
// acknowledged; one that never did wants what follows the other's last byte. To
// a side in SYN-SENT the acknowledgement is what counts (RFC 9293, 3.10.7.3).
func (c *conn) resets() (out [2]Reset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for to := range Remote + 1 {
		me, peer := &c.half[to], &c.half[to.other()]
		r := Reset{To: to, Key: c.keys[to].Reversed(), Out: c.in[to], Ack: me.next, HasAck: me.seen, Listener: c.l, ByLSN: c.byLSN()}
		switch want, known := c.wants(to); {
		case known:
			r.Seq = want
		case peer.seen:
			r.Seq = peer.next
		}
		if to == Remote && c.sent[Remote].Packets == 0 {
			r.Out = 0 // it never sent: by route
		}
		out[to] = r
	}
	return out
}

// resetsOnTimeout: VR17 speaks of idle TCP; half-open ones are let go quietly,
// as a forged SYN must not make us send to whom it names.
func (c *conn) resetsOnTimeout() bool {
	return c.keys[Client].Proto == frame.ProtoTCP && c.state == established && c.l.Profile.ResetOnTimeout.Is(true)
}

// Info is one connection, for listings.
type Info struct {
	ID, Session    uint64   // Session: of the LSN, 0: none
	Also           []uint64 // what Hit.BindAlso was given
	Listener       *Listener
	Client, Remote Key // as packets of each side show it
	State          string
	Age, Idle      time.Duration
	Left           time.Duration // -1: without end
	In, Out        Traffic       // from and to the client
}

func (c *conn) info(now int64) Info {
	i := Info{
		ID: c.id, Session: c.session(), Also: c.others(), Listener: c.l, Client: c.keys[Client], Remote: c.keys[Remote],
		State: [...]string{"opening", "handshake", "established", "closing", "dead"}[c.state],
		Age:   time.Duration(now - c.opened), Idle: time.Duration(now - c.last), Left: -1,
		In: c.sent[Client], Out: c.sent[Remote],
	}
	if d := c.deadline(); d != never {
		i.Left = time.Duration(d - now)
	}
	return i
}
