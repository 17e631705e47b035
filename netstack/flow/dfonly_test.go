package flow

import (
	"testing"

	"spigate/netstack/frame"
)

func TestAFlowForDFOnlyLeavesTheOthersToTheStack_R29(t *testing.T) {
	tb := open(t, Config{Capacity: 16})
	hop, ok := tb.Hop(wan, gateway, macGW, macOut, 1500)
	if !ok {
		t.Fatal("no hop")
	}
	e := Entry{Key: Key{Src: inside, Dst: remote, ID: 0x1000, Proto: frame.ProtoESP, In: lan}, Addr: outside, Hop: hop, Owner: ownerB, Idle: 60e9}
	with := func(df bool) int {
		b := ipv4(inside, remote, frame.ProtoESP, 64, esp(0x1000, 64))
		if df {
			b[frame.HeaderLen+6] |= 0x40
		}
		resum(b)
		f := frame.Copy(b, 0)
		f.In = lan
		return tb.process([]frame.Frame{f}, 1)
	}
	tb.Insert(e, tb.Epoch(), 0)
	if with(false) != 1 || with(true) != 1 {
		t.Error("a flow without the mark: not both were forwarded")
	}
	e.DFOnly = true
	tb.Insert(e, tb.Epoch(), 0) // equal but for the mark: it is replaced
	if with(false) != 0 || with(true) != 1 {
		t.Error("a flow with the mark: not only that with DF was forwarded")
	}
	tb.Walk(func(in Info) bool {
		if !in.DFOnly || in.Side != Source {
			t.Errorf("shown as %+v", in)
		}
		return true
	})
	tb.Remove(e.Key)
	if with(true) != 0 || tb.Stats().Entries != 0 {
		t.Error("the flow is still there")
	}
}
