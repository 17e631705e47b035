package netstack

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// happened is what became of a packet that was sent.
type happened struct {
	forwarded []byte // as it left
	out       frame.Interface
	drops     []string
}

// try sends a packet and watches.
func (d *drawer) try(b []byte, outside bool) (h happened) {
	w := d.w
	w.atLAN()
	w.atWAN()
	before := d.drops()
	if outside {
		w.fromWAN(b)
	} else {
		w.fromLAN(b)
	}
	for out, sent := range map[frame.Interface][][]byte{lanIf: w.atLAN(), wanIf: w.atWAN()} {
		for _, s := range sent {
			same := binary.BigEndian.Uint16(s[4:]) == d.id && s[9] == b[9] && (s[9] != frame.ProtoICMP || s[20] == b[20])
			if same {
				h.forwarded, h.out = s, out
			}
		}
	}
	for word, n := range d.drops() {
		if n > before[word] {
			h.drops = append(h.drops, word)
		}
	}
	return h
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
		// Two reasons are the answer's: it shows an address of ours on the
		// subscribers' network to somebody who is none of them.
		ours := []string{drop.ICMPNoFlow.String(), drop.InsideAddress.String()}
		if slices.ContainsFunc(h.drops, func(w string) bool { return !strings.HasPrefix(w, "stack_") && !slices.Contains(ours, w) }) {
			return "it is dropped, not delivered"
		}
	case EndHeld:
		if h.forwarded != nil || len(h.drops) > 0 {
			return "it is not held"
		}
	default:
		return differsOnItsWay(&f, h)
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
