package netstack

import (
	"encoding/binary"
	"fmt"
	"slices"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

// fastFlow finds the flow that the fast path has for a packet, without counting
// one for it. The steps are then asked by one packet in a while only, for the
// neighbour's sake; they say how the flow came there.
func (r *Router) fastFlow(in frame.Interface, packet []byte) (e flow.Info, ok bool) {
	b := make([]byte, frame.HeaderLen, frame.HeaderLen+len(packet))
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv4)
	f := frame.Copy(append(b, packet...), 0)
	f.In = in
	k, ok := flow.KeyOf(&f)
	if !ok {
		return e, false
	}
	e, ok = r.flows.Find(k)
	return e, ok && e.Valid && len(packet) <= e.MTU
}

// fast tells that the packet would not walk the steps at all.
func (x *explainer) fast(e *flow.Info, asked []byte) {
	x.hook, x.step = "fast path", ""
	slow := x.fate
	x.p.Parse(slices.Clone(asked))
	x.fate.Src, x.fate.Dst = x.ends()
	end, what := &x.fate.Src, "source"
	if e.Side == flow.Destination {
		end, what = &x.fate.Dst, "destination"
	}
	end.Addr = e.Addr
	switch x.p.Proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		end.Port = e.Port
	case frame.ProtoICMP: // the identifier, whichever side is rewritten
		x.fate.Src.Port = e.Port
	}
	x.fate.End, x.fate.Reason, x.fate.Stack, x.fate.Told, x.fate.Drawn = EndForwarded, 0, "", "", nil
	x.fate.Out, x.fate.Next, x.fate.Known = e.Out, e.Next, true
	x.fate.Depends = slow.End != EndForwarded || slow.Src != x.fate.Src || slow.Dst != x.fate.Dst || slow.Out != x.fate.Out
	x.say(fmt.Sprintf("its flow is established, and the fast path forwards it by itself, with the %s %s", what, endpoint(*end)), "")
	last := len(x.found) - 1
	x.found = append(x.found[last:], x.found[:last]...)
}
