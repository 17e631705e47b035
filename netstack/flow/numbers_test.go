package flow

import (
	"bytes"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"spigate/netstack/frame"
)

const ackFlag = 0x10

// numberedFlow makes a table with the flow of segment as a Numbered one.
func numberedFlow(t testing.TB, active func(Report), end, ack uint32) (*Table, Entry) {
	t.Helper()
	tab := open(t, Config{Active: active})
	e := entryFor(t, tab, segment(ackFlag, 0, 0, 0), Owner{Kind: OwnerConn, ID: 9})
	e.Numbered, e.End, e.Ack = true, end, ack
	insert(t, tab, e, 0)
	return tab, e
}

// numbersNow are those of the only flow in tab.
func numbersNow(t testing.TB, tab *Table) (end, ack uint32) {
	t.Helper()
	n := 0
	tab.Walk(func(in Info) bool {
		n++
		end, ack = in.End, in.Ack
		return true
	})
	if n != 1 {
		t.Fatalf("%d flows, want one", n)
	}
	return end, ack
}

func wantNumbers(t testing.TB, tab *Table, end, ack uint32) {
	t.Helper()
	if e, a := numbersNow(t, tab); e != end || a != ack {
		t.Errorf("end %#x, ack %#x, want %#x and %#x", e, a, end, ack)
	}
}

func TestANumberedFlowKeepsTheFurthestByteAndAcknowledgement_VR17(t *testing.T) {
	type numbers struct{ end, ack uint32 }
	for _, c := range []struct {
		name     string
		start    numbers
		seq, ack uint32
		payload  int
		want     numbers
	}{
		{"the next segment", numbers{1000, 500}, 1000, 500, 100, numbers{1100, 500}},
		{"a bare acknowledgement", numbers{1000, 500}, 1000, 700, 0, numbers{1000, 700}},
		{"both", numbers{1000, 500}, 1000, 700, 8, numbers{1008, 700}},
		{"a retransmission", numbers{1000, 500}, 900, 500, 50, numbers{1000, 500}},
		{"one that was overtaken", numbers{1000, 500}, 800, 400, 50, numbers{1000, 500}},
		{"a retransmission with a new tail", numbers{1000, 500}, 950, 510, 80, numbers{1030, 510}},
		{"one behind a hole", numbers{1000, 500}, 5000, 500, 10, numbers{5010, 500}},
		{"across zero", numbers{0xfffffff0, 0xffffffff}, 0xfffffff0, 2, 0x20, numbers{0x10, 2}},
		{"ending at zero", numbers{0xfffffff0, 0}, 0xfffffff0, 0, 0x10, numbers{0, 0}},
		{"an old one from before zero", numbers{0x10, 2}, 0xfffffff0, 0xffffffff, 0x10, numbers{0x10, 2}},
		{"a keepalive, one byte back", numbers{0, 500}, 0xffffffff, 500, 0, numbers{0, 500}},
		{"half a circle less one ahead", numbers{0, 0}, 1<<31 - 1, 1<<31 - 1, 0, numbers{1<<31 - 1, 1<<31 - 1}},
		{"half a circle and one ahead is behind", numbers{0, 0}, 1<<31 + 1, 1<<31 + 1, 0, numbers{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, _ := numberedFlow(t, nil, c.start.end, c.start.ack)
			if !hit(t, tab, segment(ackFlag, c.seq, c.ack, c.payload), 1) {
				t.Fatal("not forwarded")
			}
			wantNumbers(t, tab, c.want.end, c.want.ack)
		})
	}
}

// A stream of 6 GB goes round zero, with its segments in any order within the
// window: what is kept is always the furthest.
func TestNumbersFollowAStreamRoundZeroInWhateverOrderItComes_VR17(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		start := rapid.Uint32().Draw(rt, "first byte")
		tab, _ := numberedFlow(t, nil, start, ^start)
		furthest, acked := uint64(0), uint64(0)
		for range rapid.IntRange(1, 30).Draw(rt, "segments") {
			seq := furthest + rapid.Uint64Range(0, 1<<30).Draw(rt, "ahead")
			seq -= min(seq, rapid.Uint64Range(0, 1<<30).Draw(rt, "back"))
			ack := acked + rapid.Uint64Range(0, 1<<28).Draw(rt, "acknowledged")
			n := rapid.IntRange(0, 1400).Draw(rt, "payload")
			if !hit(t, tab, segment(ackFlag, start+uint32(seq), ^start+uint32(ack), n), 1) {
				rt.Fatal("not forwarded")
			}
			furthest, acked = max(furthest, seq+uint64(n)), max(acked, ack)
			if end, ack := numbersNow(t, tab); end != start+uint32(furthest) || ack != ^start+uint32(acked) {
				rt.Fatalf("end %#x, ack %#x, want %#x and %#x", end, ack, start+uint32(furthest), ^start+uint32(acked))
			}
		}
	})
}

func TestSegmentsThatSayMoreThanDataAreTheStacksAndMoveNoNumbers_VR17(t *testing.T) {
	offset := func(words uint8) []byte {
		b := segment(ackFlag, 2000, 600, 10)
		b[46] = words << 4
		return b
	}
	for name, b := range map[string][]byte{
		"SYN":                                segment(frame.TCPSyn, 2000, 0, 0),
		"SYN, ACK":                           segment(frame.TCPSyn|ackFlag, 2000, 600, 0),
		"FIN":                                segment(frame.TCPFin|ackFlag, 2000, 600, 10),
		"RST":                                segment(frame.TCPRst, 2000, 600, 0),
		"RST, ACK":                           segment(frame.TCPRst|ackFlag, 2000, 600, 0),
		"no ACK":                             segment(0, 2000, 600, 10),
		"PSH without ACK":                    segment(0x08, 2000, 600, 10),
		"a header shorter than TCP's":        offset(4),
		"a header of no length":              offset(0),
		"a header longer than the packet":    offset(8),
		"too long a packet for the next hop": segment(ackFlag, 2000, 600, 1461),
	} {
		tab, _ := numberedFlow(t, nil, 1000, 500)
		if hit(t, tab, b, 1) {
			t.Errorf("%s: forwarded", name)
		}
		wantNumbers(t, tab, 1000, 500)
	}
}

func TestOptionsArePartOfTheHeaderAndPaddingIsPartOfNothing_VR17(t *testing.T) {
	options := segment(ackFlag, 1000, 500, 12+7)
	options[46] = 8 << 4 // 12 bytes of them
	tab, _ := numberedFlow(t, nil, 1000, 500)
	if !hit(t, tab, options, 1) {
		t.Fatal("not forwarded")
	}
	wantNumbers(t, tab, 1007, 500)
	padded := append(segment(ackFlag, 1007, 501, 0), make([]byte, 6)...)
	if !hit(t, tab, padded, 1) {
		t.Fatal("not forwarded")
	}
	wantNumbers(t, tab, 1007, 501)
}

func TestAnUnnumberedTCPFlowTakesWhatItTookAndFollowsNothing(t *testing.T) {
	var got []Report
	tab, e := numberedFlow(t, func(r Report) { got = append(got, r) }, 0, 0)
	e.Numbered = false
	insert(t, tab, e, 0) // it is another flow: replaced
	short := segment(ackFlag, 5000, 5000, 3)
	short[46] = 4 << 4
	for _, b := range [][]byte{segment(0, 5000, 5000, 3), segment(ackFlag, 5000, 5000, 3), short} {
		if !hit(t, tab, b, 1) {
			t.Errorf("not forwarded: % x", b[34:])
		}
	}
	wantNumbers(t, tab, 0, 0)
	tab.Credit(e.Owner, 1)
	tab.Credit(e.Owner, 1) // nothing new, and no numbers to tell
	if len(got) != 1 || got[0].Packets != 3 || got[0].Numbered || got[0].End != 0 || got[0].Ack != 0 {
		t.Errorf("reported %+v, want 3 packets without numbers", got)
	}
}

func TestOtherProtocolsHaveNoNumbers(t *testing.T) {
	for name, b := range kinds(30) {
		tab := open(t, Config{})
		e := entryFor(t, tab, b, ownerA)
		e.Numbered, e.End, e.Ack = true, 1, 2
		insert(t, tab, e, 0)
		if !hit(t, tab, b, 1) {
			t.Errorf("%s: not forwarded", name)
		}
		tab.Walk(func(in Info) bool {
			if in.Numbered != (name == "TCP") {
				t.Errorf("%s: numbered is %v", name, in.Numbered)
			}
			return true
		})
	}
}

func TestDFOnlyAndNumberedTogetherAskForBoth(t *testing.T) {
	tab, e := numberedFlow(t, nil, 1000, 500)
	e.DFOnly = true
	insert(t, tab, e, 0)
	with := func(df bool, flags uint8) []byte {
		b := segment(flags, 1000, 500, 1)
		if df {
			b[frame.HeaderLen+atFlags] |= dontFragment
		}
		resum(b)
		return b
	}
	if hit(t, tab, with(false, ackFlag), 1) || hit(t, tab, with(true, 0), 1) {
		t.Error("forwarded without DF, or without ACK")
	}
	wantNumbers(t, tab, 1000, 500)
	if !hit(t, tab, with(true, ackFlag), 1) {
		t.Error("not forwarded with both")
	}
	wantNumbers(t, tab, 1001, 500)
}

func TestARepeatedInsertMovesTheNumbersForwardOnly_VR17(t *testing.T) {
	tab, e := numberedFlow(t, nil, 1000, 0xfffffff0)
	hit(t, tab, segment(ackFlag, 1000, 0xfffffff0, 100), 1)
	e.End, e.Ack = 1050, 5 // who inserts knows of more acknowledgements, and of fewer bytes
	insert(t, tab, e, 5*second)
	wantNumbers(t, tab, 1100, 5)
	tab.Walk(func(in Info) bool {
		if in.Packets != 1 || in.Last != 5*second {
			t.Errorf("%d packets, last at %d: it was not refreshed but replaced", in.Packets, in.Last)
		}
		return true
	})
}

func TestAPacketOfANumberedFlowHasTheSameBytesAsOfAnyOther(t *testing.T) {
	b := segment(ackFlag, 1000, 500, 33)
	tab, e := numberedFlow(t, nil, 1000, 500)
	batch := []frame.Frame{arrived(b, lan)}
	if tab.process(batch, 1) != 1 || !bytes.Equal(batch[0].Bytes(), slow(t, b, e)) {
		t.Errorf("fast % x\nslow % x", batch[0].Bytes(), slow(t, b, e))
	}
}

// A port and an Insert at one flow without anything between: what one has moved
// stays moved, whatever the other does at the same time.
func TestNobodyTakesTheNumbersOfAnotherBack(t *testing.T) {
	const moves = 200_000
	var s numbers
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range uint32(moves) {
			s.advance(n, 0)
			if end, _ := s.get(); end != n {
				t.Errorf("end is %d, was moved to %d", end, n)
				return
			}
		}
	})
	wg.Go(func() {
		for n := range uint32(moves) {
			s.advance(0, n)
			if _, ack := s.get(); ack != n {
				t.Errorf("ack is %d, was moved to %d", ack, n)
				return
			}
		}
	})
	wg.Wait()
}
