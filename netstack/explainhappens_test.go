package netstack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// happened is what became of a packet that was sent.
type happened struct {
	forwarded []byte // as it left
	out       frame.Interface
	drops     []string

	delivered uint64 // packets that the stack took for the router itself

	spi   uint32 // it was sealed; forwarded is what is inside of
	outer []byte
}

// try sends b and watches what becomes of a packet, which is b or inside.
func (d *drawer) try(b []byte, outside bool, p []byte) (h happened) {
	w := d.w
	w.atLAN()
	w.atWAN()
	before, delivered := d.drops(), w.r.stack.Stats().IP.PacketsDelivered.Value()
	if outside {
		w.fromWAN(b)
	} else {
		w.fromLAN(b)
	}
	for out, sent := range map[frame.Interface][][]byte{lanIf: w.atLAN(), wanIf: w.atWAN()} {
		for _, s := range sent {
			if inner, spi := d.sealedIn(s, p); inner != nil {
				h.forwarded, h.outer, h.spi, h.out = inner, s, spi, out
			} else if d.same(s, p) {
				h.forwarded, h.out = s, out
			}
		}
	}
	h.delivered = w.r.stack.Stats().IP.PacketsDelivered.Value() - delivered
	for word, n := range d.drops() {
		if n > before[word] {
			h.drops = append(h.drops, word)
		}
	}
	return h
}

// same reports whether a packet that left is the one that was sent.
func (d *drawer) same(left, sent []byte) bool {
	answer := d.w.r.isLocal(frame.Addr(sent[16:20])) && bytes.Equal(left[16:20], sent[12:16])
	return !answer && binary.BigEndian.Uint16(left[4:]) == d.id && left[9] == sent[9] && (left[9] != frame.ProtoICMP || left[20] == sent[20])
}

// drops are the counters of our reasons and the stack's.
func (d *drawer) drops() map[string]uint64 {
	all := d.w.dropped()
	for _, s := range d.w.r.StackDrops() {
		if s.Count > 0 {
			all[s.Word] = s.Count
		}
	}
	return all
}

// differs says how an explanation is not what happened, "" if it is.
func differs(x Explanation, h happened) string {
	f := x.Fate
	if f.Depends {
		return ""
	}
	switch f.End {
	case EndDropped:
		word := f.Stack
		if word == "" {
			word = f.Reason.String()
		}
		if h.forwarded != nil || !slices.Contains(h.drops, word) {
			return "it is not dropped for " + word
		}
	case EndDelivered:
		if h.forwarded != nil {
			return "it is forwarded, not delivered"
		}
		if h.delivered == 0 { // what is dropped may be the answer
			return "it is not delivered"
		}
	case EndHeld:
		if h.forwarded != nil || len(h.drops) > 0 {
			return "it is not held"
		}
	case EndSealed:
		return differsInATunnel(&f, h)
	case EndForwarded:
		if h.spi != 0 {
			return "it is sealed"
		}
		return differsOnItsWay(&f, h)
	default:
		return "it ends as " + f.End.String()
	}
	return ""
}

func differsOnItsWay(f *Fate, h happened) string {
	if !f.Known {
		return "" // it waits for ARP
	}
	var p frame.Packet
	if h.forwarded == nil || p.Parse(h.forwarded) != drop.None {
		return "it is not forwarded"
	}
	x := &explainer{p: packet{Packet: p}}
	src, dst := x.ends()
	switch {
	case h.out != f.Out:
		return fmt.Sprintf("it leaves by %d", h.out)
	case dst != f.Dst:
		return "it leaves to " + dst.String()
	case f.Drawn != nil:
		if !slices.Contains(f.Drawn.Addresses, src.Addr) || src.Port < f.Drawn.First || src.Port > f.Drawn.Last {
			return "it leaves from " + src.String() + ", which is not in the set"
		}
	case src != f.Src:
		return "it leaves from " + src.String()
	}
	return ""
}
