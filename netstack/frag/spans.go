package frag

import (
	"slices"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// span is a run of payload bytes, [from, to).
type span struct{ from, to uint16 }

// maxSpans bounds the gaps between the pieces of one datagram: 64 KB in pieces
// of 576 bytes may come in any order.
const maxSpans = 64

// coverage is what is known of a datagram's bytes: which are here or have
// passed, and how many there are.
type coverage struct {
	spans []span // sorted; neither overlapping nor touching
	end   int    // length of the payload in bytes, 0: the last piece was not seen
}

// take adds a piece. It returns drop.None, or why the piece may not count:
// then nothing has changed.
func (c *coverage) take(p *frame.Packet) drop.Reason {
	from := p.FragmentOffset()
	to := from + len(p.Transport())
	last := !p.MoreFragments()
	reached := 0
	if n := len(c.spans); n > 0 {
		reached = int(c.spans[n-1].to)
	}
	if c.end != 0 && (to > c.end || last && to != c.end) || last && to < reached {
		return drop.FragmentMalformed
	}
	if why := c.cover(span{uint16(from), uint16(to)}); why != drop.None {
		return why
	}
	if last {
		c.end = to
	}
	return drop.None
}

// cover adds s, which may touch its neighbours but not overlap them.
func (c *coverage) cover(s span) drop.Reason {
	i, _ := slices.BinarySearchFunc(c.spans, s, func(a, s span) int { return int(a.to) - int(s.from) })
	if i < len(c.spans) && c.spans[i].to == s.from { // the piece before it
		if i+1 < len(c.spans) && c.spans[i+1].from < s.to {
			return overlap(c.spans[i+1], s)
		}
		c.spans[i].to = s.to
		c.close(i)
		return drop.None
	}
	if i < len(c.spans) && c.spans[i].from < s.to {
		return overlap(c.spans[i], s)
	}
	if i < len(c.spans) && c.spans[i].from == s.to {
		c.spans[i].from = s.from
		return drop.None
	}
	if len(c.spans) >= maxSpans {
		return drop.FragmentOverflow
	}
	c.spans = slices.Insert(c.spans, i, s)
	return drop.None
}

// close joins span i and the next one where they touch.
func (c *coverage) close(i int) {
	if i+1 < len(c.spans) && c.spans[i].to == c.spans[i+1].from {
		c.spans[i].to = c.spans[i+1].to
		c.spans = slices.Delete(c.spans, i+1, i+2)
	}
}

// overlap names what is wrong with a piece s that shares bytes with have. One
// that adds nothing is most likely a copy that the network made.
func overlap(have, s span) drop.Reason {
	if have.from <= s.from && s.to <= have.to {
		return drop.FragmentDuplicate
	}
	return drop.FragmentMalformed
}

// complete reports whether every byte is covered.
func (c *coverage) complete() bool {
	return c.end != 0 && len(c.spans) == 1 && c.spans[0] == span{0, uint16(c.end)}
}

func (c *coverage) reset() { c.spans, c.end = c.spans[:0], 0 }
