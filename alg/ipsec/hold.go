package ipsec

import (
	"slices"

	"spigate/alg"
	"spigate/netstack/frame"
)

// holdQueue keeps the phase-2 messages that wait for the lock of one pair
// (R58): first in first out, the newest copy of each only.
type holdQueue struct {
	messages []*heldMessage
	bytes    int
}

// heldKey names a waiting message: one for each exchange and direction.
type heldKey struct {
	session *ikeSession
	ex      exchangeKey
	dir     alg.Direction
}

// heldMessage is one waiting message; more than one part if it came in RFC
// 7383 fragments, which are one logical message.
type heldMessage struct {
	key       heldKey
	kind      uint8 // exchange type
	in        frame.Interface
	total     uint16 // fragments it was cut into
	newest    int64  // when the newest copy came
	notBefore int64  // penalty of R60, if others wait
	parts     []heldPart
}

// heldPart is a copy of one IPv4 packet.
type heldPart struct {
	number uint16 // RFC 7383 fragment number, 0 if whole
	packet []byte
	mark   uint32
}

// find returns the waiting message of a key, or nil.
func (q *holdQueue) find(k heldKey) *heldMessage {
	for _, h := range q.messages {
		if h.key == k {
			return h
		}
	}
	return nil
}

// heldWeight is what a message weighs at least when the room of a queue is
// shared out: its part of the bytes if all messages were equal.
const heldWeight = maxHeldBytes / maxHeld

// outweighs returns which messages give way so that a message of c with grow
// more bytes fits into a full queue, and whether that is fair: the newest ones
// of the client that has most there, as long as it keeps at least what c will
// have. One client alone may fill the queue; it cannot shut out others.
func (q *holdQueue) outweighs(k heldKey, c *client, grow int) (out []*heldMessage, fits bool) {
	if h := q.find(k); h != nil && len(h.parts) >= maxFragments {
		return nil, false
	}
	weight := make(map[*client]int)
	for _, h := range q.messages {
		weight[h.key.session.client] += max(heldWeight, h.size())
	}
	count, bytes, want := len(q.messages), q.bytes, weight[c]+max(heldWeight, grow)
	if q.find(k) != nil {
		count, want = count-1, weight[c]+grow
	}
	for i := len(q.messages) - 1; i >= 0; i-- {
		if count < maxHeld && bytes+grow <= maxHeldBytes {
			return out, true
		}
		h := q.messages[i]
		o, w := h.key.session.client, max(heldWeight, h.size())
		if o != c && weight[o] == heaviest(weight) && weight[o]-w >= want {
			out = append(out, h)
			weight[o] -= w
			count, bytes = count-1, bytes-h.size()
		}
	}
	return out, count < maxHeld && bytes+grow <= maxHeldBytes
}

func heaviest(weight map[*client]int) (most int) {
	for _, w := range weight {
		most = max(most, w)
	}
	return most
}

// growth is by how many bytes the queue grows if a packet of size bytes takes
// its place, and whether it may.
func (q *holdQueue) growth(k heldKey, m *message, size int) (int, bool) {
	h := q.find(k)
	if h == nil {
		return size, len(q.messages) < maxHeld && q.bytes+size <= maxHeldBytes
	}
	grow := size
	if h.total != m.fragments {
		grow -= h.size() // a new cut replaces the old one
	} else if i := h.part(m.fragment); i >= 0 {
		grow -= len(h.parts[i].packet)
	} else if len(h.parts) >= maxFragments {
		return 0, false
	}
	return grow, q.bytes+grow <= maxHeldBytes
}

// put stores a copy of p's packet. growth must have allowed it. It reports
// whether the message is new to the queue.
func (q *holdQueue) put(k heldKey, m *message, p *IKEPacket, now int64) (*heldMessage, bool) {
	grow, _ := q.growth(k, m, len(p.Packet))
	q.bytes += grow
	h := q.find(k)
	fresh := h == nil
	if fresh {
		h = &heldMessage{key: k, kind: m.exchange, total: m.fragments, notBefore: now}
		q.messages = append(q.messages, h)
	}
	if h.total != m.fragments {
		h.parts, h.total = nil, m.fragments
	}
	h.in, h.newest = p.In, now
	part := heldPart{number: m.fragment, packet: slices.Clone(p.Packet), mark: p.Mark}
	if i := h.part(m.fragment); i >= 0 {
		h.parts[i] = part
	} else {
		h.parts = append(h.parts, part)
	}
	return h, fresh
}

// next takes out the message whose turn it is: the oldest that serves no
// penalty, or the oldest at all, because a penalty is only served while
// somebody else can be (R60).
func (q *holdQueue) next(now int64) *heldMessage {
	i := slices.IndexFunc(q.messages, func(h *heldMessage) bool { return h.notBefore <= now })
	h := q.messages[max(i, 0)]
	q.remove(h)
	return h
}

// demote moves the client's messages behind all others, and after three
// timeouts in a row makes them wait for whoever comes meanwhile (R60).
func (q *holdQueue) demote(c *client, now int64) {
	for _, h := range q.messages {
		if h.key.session.client == c && c.timeouts >= penaltyTimeouts {
			h.notBefore = now + h.key.session.profile.gate()
		}
	}
	slices.SortStableFunc(q.messages, func(a, b *heldMessage) int {
		return boolToInt(a.key.session.client == c) - boolToInt(b.key.session.client == c)
	})
}

// remove takes h out.
func (q *holdQueue) remove(h *heldMessage) {
	i := slices.Index(q.messages, h)
	q.messages = slices.Delete(q.messages, i, i+1)
	q.bytes -= h.size()
}

// deadline is the last moment at which h may wait: espGateTimeout after its
// newest copy (R58).
func (h *heldMessage) deadline() int64 { return h.newest + h.key.session.profile.gate() }

func (h *heldMessage) size() (n int) {
	for _, p := range h.parts {
		n += len(p.packet)
	}
	return n
}

func (h *heldMessage) part(number uint16) int {
	return slices.IndexFunc(h.parts, func(p heldPart) bool { return p.number == number })
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
