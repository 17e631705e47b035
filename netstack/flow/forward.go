package flow

import (
	"encoding/binary"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// forward rewrites f by the flow that was found for it and sends it to its next
// hop, or leaves it to the stack. It is not current if the flow has just been
// taken away.
//
// The next hop and the numbers are read before the entry is looked at again:
// while the flow lives, neither is given to another.
func (t *Table) forward(f *frame.Frame, k bucket.Key, found *bucket.Found, now int64) (sent, current bool) {
	word := found.Value
	var n *numbers
	if found.Flags&bucket.Extended != 0 {
		if n = t.numbers.at(uint32(word)); n == nil {
			return false, false
		}
		word = n.rewrite.Load()
	}
	addr, port, id := bucket.UnpackValue(word)
	if id > MaxHops {
		return false, false
	}
	h := t.hops[id].Load()
	if h == nil || !found.Current(k) {
		return false, false
	}
	b := f.Bytes()
	total := int(binary.BigEndian.Uint16(b[frame.HeaderLen+2:]))
	if !h.valid.Load() || total > h.mtu || h.due(now) {
		return false, true
	}
	ip := b[frame.HeaderLen : frame.HeaderLen+total]
	if found.Flags&bucket.DFOnly != 0 && ip[atFlags]&dontFragment == 0 || n != nil && !n.follow(ip[ipLen:]) {
		return false, true
	}
	patch{int(found.Flags & bucket.Destination), addr, port}.rewrite(ip)
	f.Trim(frame.HeaderLen + total) // as the stack does
	*(*[12]byte)(b) = h.macs
	f.Out = h.at.out
	found.Entry.Add(total)
	return true, true
}

// follow moves the numbers on by a segment, if it is one to be forwarded: before
// it counts as a packet, so that a report never has the one without the other.
func (n *numbers) follow(segment []byte) bool {
	end, ack, ok := numbersOf(segment)
	if ok {
		n.advance(end, ack)
	}
	return ok
}
