package vserver

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

func TestAFlowIsFoundAsEachSideSeesIt_VR4(t *testing.T) {
	w := newWorld(t, listenerConfig())
	in := Key{Src: addr("192.168.15.2"), Dst: addr("10.1.1.9"), Proto: 47}
	out := Key{Src: addr("10.1.1.9"), Dst: addr("172.17.1.1"), Proto: 47}
	r := w.tab.Listeners().Match(attempt(lan, 47, "192.168.15.2", "10.1.1.9", 0))
	h, v := w.tab.Open(r, in, out, Segment{Length: 100}, lan, w.now)
	if v != Admit || h.Listener().Name != "N" {
		t.Fatal(v)
	}
	w.mustPass(out, Segment{Length: 60})
	if _, ok := w.tab.Find(in.Reversed(), Segment{}, w.now); ok {
		t.Error("found by a key that nobody shows")
	}
	a, b := h.Keys()
	if a != in || b != out {
		t.Errorf("%v, %v", a, b)
	}
	s := w.tab.Listeners().Find(KindNAT, "N").Counters().Stats()
	if s.PacketsIn != 1 || s.PacketsOut != 1 || s.BitsIn() != 800 || s.BitsOut() != 480 {
		t.Errorf("%+v", s)
	}
}

func TestANATTakesTCPAsItComes_VR22(t *testing.T) {
	w := newWorld(t, listenerConfig())
	k := tcpKey("10.9.9.9", 1, "172.17.1.1", 80)
	r := w.tab.Listeners().Match(attempt(external, frame.ProtoTCP, "10.9.9.9", "172.17.1.1", 80))
	if _, v := w.tab.Open(r, k, tcpKey("192.168.15.2", 80, "10.9.9.9", 1), data, external, w.now); v != Admit {
		t.Error(v)
	}
	w.now += 300 * second
	w.sweep()
	if w.tab.Len() != 0 || len(w.resets) != 0 {
		t.Errorf("%d left, %v", w.tab.Len(), w.resets)
	}
}

func TestTheSNATBehindAServerCountsToo_VR19_VR20(t *testing.T) {
	c := listenerConfig()
	c.Servers = []Server{vs("s", "any", "any", 0, 0)}
	w := newWorld(t, c)
	w.mustOpen(udpKey("192.168.1.1", 1, "8.8.8.8", 53), Segment{Length: 50})
	snat := w.tab.Listeners().Find(KindSNAT, "S").Counters()
	if a, b := w.stats("s"), snat.Stats(); a.Current != 1 || b.Current != 1 || a.BytesIn != 50 || b.BytesIn != 50 {
		t.Errorf("%+v, %+v", a, b)
	}
	w.now += 300 * second
	w.sweep()
	if a, b := w.stats("s"), snat.Stats(); a.Current != 0 || b.Current != 0 || b.Expired != 1 {
		t.Errorf("at the end: %+v, %+v", a, b)
	}
}

func TestATupleBelongsToOneConnection(t *testing.T) {
	w := newWorld(t, plain())
	k := udpKey("10.2.1.1", 1, "10.1.1.1", 53)
	w.mustOpen(k, Segment{})
	if _, v := w.open(k, Segment{}, lan); v != TupleBusy {
		t.Errorf("again: %v", v)
	}
	// Another client, translated to the same answers.
	other := udpKey("10.2.1.2", 1, "10.1.1.1", 53)
	r := w.tab.Listeners().Match(Attempt{In: lan, Proto: 17, Src: other.Src, Dst: other.Dst, Port: 53})
	if _, v := w.tab.Open(r, other, k.Reversed(), Segment{}, lan, w.now); v != TupleBusy {
		t.Errorf("the same answers: %v", v)
	}
	if _, ok := w.tab.Find(other, Segment{}, w.now); ok {
		t.Error("what was refused is found")
	}
	self := udpKey("10.2.1.1", 7, "10.2.1.1", 7)
	if _, v := w.open(self, Segment{}, lan); v != TupleBusy {
		t.Errorf("from and to the same: %v", v)
	}
	if s := w.stats("s"); s.Current != 1 || s.Maximum != 1 || w.tab.Len() != 1 {
		t.Errorf("%+v", s)
	}
	w.now += 300 * second // over, and not swept
	w.mustOpen(k, Segment{})
	if s := w.stats("s"); s.Total != 2 || s.Current != 1 || w.tab.Len() != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAFullTableRefuses(t *testing.T) {
	w := newWorld(t, plain())
	for i := range uint16(1001) {
		_, v := w.open(udpKey("10.2.1.1", i+100, "10.1.1.1", 53), Segment{}, lan)
		if want := map[bool]Verdict{true: Admit, false: TableFull}[i < 1000]; v != want {
			t.Fatalf("number %d: %v", i, v)
		}
	}
	if n := w.tab.Len(); n != 1000 {
		t.Error(n)
	}
}

func TestDecideChangesNothing(t *testing.T) {
	s := vs("s", "any", "any", 0, 0)
	s.ConnectionLimit, s.RateLimit = 1, 1
	w := newWorld(t, oneServer(s, FastL4{}))
	k := udpKey("10.2.1.1", 1, "10.1.1.1", 53)
	r := w.tab.Listeners().Match(Attempt{In: lan, Proto: 17, Src: k.Src, Dst: k.Dst, Port: 53})
	for range 10 {
		if v := w.tab.Decide(r, k, Segment{}, w.now); v != Admit {
			t.Fatal(v)
		}
	}
	if _, v := w.tab.Open(r, k, k.Reversed(), Segment{}, lan, w.now); v != Admit {
		t.Fatal(v)
	}
	if v := w.tab.Decide(r, k, Segment{}, w.now); v != Limited {
		t.Error(v)
	}
}

func TestAReloadKeepsWhatIsStillLegal_VR11(t *testing.T) {
	c := Config{Servers: []Server{vs("web", "10.1.1.0/24", "any", frame.ProtoTCP, 0), vs("gone", "10.1.2.0/24", "any", 0, 0), vs("narrow", "10.1.3.0/24", "any", 0, 0)}}
	w := newWorld(t, c)
	kept := tcpKey("10.2.1.1", 1, "10.1.1.1", 80)
	lost := []Key{tcpKey("10.2.1.1", 1, "10.1.2.1", 80), tcpKey("10.2.1.1", 1, "10.1.3.9", 80)}
	stays := tcpKey("10.2.1.1", 1, "10.1.3.1", 80)
	for _, k := range append([]Key{kept, stays}, lost...) {
		w.handshake(k)
	}
	before := w.tab.Listeners()
	c.Servers = []Server{vs("web", "10.1.0.0/16", "10.2.0.0/16", frame.ProtoTCP, 80), vs("narrow", "10.1.3.0/29", "any", 0, 0), vs("new", "10.1.2.0/24", "any", 0, 0)}
	n := w.tab.Reload(build(t, c), w.now, func(r Reset) { w.resets = append(w.resets, r) })
	if n != (Reloaded{Kept: 2, Cleared: 1, Refused: 1}) || len(w.resets) != 4 {
		t.Errorf("%+v, %d RSTs", n, len(w.resets))
	}
	for _, k := range []Key{kept, stays} {
		if !w.lives(k) || !w.lives(k.Reversed()) {
			t.Errorf("%v is gone", k)
		}
	}
	for _, k := range lost {
		if w.lives(k) || w.lives(k.Reversed()) {
			t.Errorf("%v is still there", k)
		}
	}
	if s := w.stats("web"); s.Current != 1 || s.Total != 1 || s.PacketsIn != 2 {
		t.Errorf("the counters were lost: %+v", s)
	}
	// What was decided before is matched again.
	k := tcpKey("10.2.1.1", 2, "10.1.1.1", 80)
	if _, v := w.tab.Open(before.Match(attempt(lan, 6, "10.2.1.1", "10.1.1.1", 80)), k, k.Reversed(), syn, lan, w.now); v != Stale {
		t.Error(v)
	}
	if s := w.stats("web"); s.Total != 1 || s.Maximum != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAReloadWithAShorterTimeCountsFromTheLastPacket(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.tab.Reload(build(t, oneServer(vs("s", "any", "any", 0, 0), FastL4{IdleTimeout: 10e9})), w.now, nil)
	w.now += 10 * second
	w.sweep()
	if w.tab.Len() != 0 || len(w.resets) != 2 {
		t.Errorf("%d left, %v", w.tab.Len(), w.resets)
	}
}

func TestTheFastPathsPacketsCountAndRefresh(t *testing.T) {
	w := newWorld(t, plain())
	k := udpKey("10.2.1.1", 1000, "10.1.1.1", 53)
	w.mustOpen(k, Segment{Length: 60})
	fast := flow.Key{Src: k.Dst, Dst: k.Src, Proto: 17, ID: 53<<16 | 1000}
	w.now += 200 * second
	if !w.tab.Active(0, KeyOfFlow(fast), 10, 1000, 0, 0, false, w.now) {
		t.Fatal("not known")
	}
	w.now += 299 * second
	w.sweep()
	if s := w.stats("s"); s.PacketsOut != 10 || s.BytesOut != 1000 || s.PacketsIn != 1 || s.Current != 1 {
		t.Errorf("%+v", s)
	}
	if w.tab.Active(0, udpKey("1.1.1.1", 1, "2.2.2.2", 2), 1, 1, 0, 0, false, w.now) {
		t.Error("a stranger is active")
	}
}

func TestWalkAndRemove(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.mustOpen(udpKey("10.2.1.1", 1000, "10.1.1.1", 53), Segment{Length: 60})
	w.now += 10 * second
	n := 0
	w.tab.Walk(w.now, func(i Info) bool {
		n++
		if i.Client.Proto == 6 && (i.State != "established" || i.In.Packets != 2 || i.Out.Bytes != 40 || i.Idle != 10e9 || i.Left != 290e9) {
			t.Errorf("%+v", i)
		}
		return true
	})
	ended := w.tab.Remove(func(i Info) bool { return i.Client.Proto == 6 }, w.now, func(r Reset) { w.resets = append(w.resets, r) })
	if n != 2 || ended != 1 || len(w.resets) != 2 || w.tab.Len() != 1 {
		t.Errorf("%d, %d, %v, %d", n, ended, w.resets, w.tab.Len())
	}
}

func TestManyAtOnceLoseNothing(t *testing.T) {
	s := vs("s", "any", "any", 0, 0)
	s.ConnectionLimit = 50
	c := oneServer(s, FastL4{IdleTimeout: 3e9})
	l := build(t, c)
	var ends atomic.Uint64
	tab := NewTable(TableConfig{Capacity: 100, Listeners: l, OnEnd: func(End) { ends.Add(1) }})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 3000 {
				now := int64(i) * 10e6
				k := tcpKey("10.2.1.1", uint16(i%70), "10.1.1.1", uint16(1+g%2))
				r := tab.Listeners().Match(Attempt{In: lan, Proto: 6, Src: k.Src, Dst: k.Dst, Port: k.DstPort})
				if h, ok := tab.Find(k.Reversed(), data, now); ok {
					tab.Touch(h, Segment{Length: 1, Flags: tcpAck | frame.TCPSyn, Seq: 7, Ack: 101, Size: 1}, lan, now)
				}
				if h, ok := tab.Find(k, data, now); ok && i%7 == 0 {
					tab.Active(h.ID(), k, 1, 40, 101, 8, true, now)
				}
				if h, ok := tab.Find(k, data, now); ok && i%5 == 0 {
					tab.Touch(h, Segment{Flags: frame.TCPRst, Seq: 101}, lan, now)
				}
				tab.Open(r, k, k.Reversed(), syn, lan, now)
				if i%100 == 0 {
					tab.Sweep(now, func(Reset) {})
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 50 {
			next, err := New(c)
			if err != nil {
				panic(err)
			}
			tab.Reload(next, int64(i)*600e6, nil)
			tab.Walk(int64(i)*600e6, func(Info) bool { return true })
		}
	})
	wg.Wait()
	st := l.Find(KindServer, "s").Counters().Stats()
	if st.Maximum > 50 || st.Total == 0 || st.Total != st.Closed+uint64(st.Current) || st.Current != int64(tab.Len()) {
		t.Errorf("%+v, %d in the table", st, tab.Len())
	}
	tab.Sweep(1e15, nil)
	st = l.Find(KindServer, "s").Counters().Stats()
	if tab.Len() != 0 || st.Current != 0 || st.Closed != st.Total || ends.Load() != st.Total {
		t.Errorf("after the end: %d in the table, %+v, told of %d ends", tab.Len(), st, ends.Load())
	}
	for i := range tab.shards {
		if n := len(tab.shards[i].conns); n != 0 {
			t.Errorf("%d keys are left behind", n)
		}
	}
}

func TestMatchAndAHitAllocateNothing(t *testing.T) {
	w := newWorld(t, Config{Servers: append(examples(), listed(1000)...), NATs: listenerConfig().NATs, SNATs: listenerConfig().SNATs})
	w.handshake(client)
	a := attempt(lan, 6, "10.2.1.1", "10.9.1.7", 80)
	if n := testing.AllocsPerRun(100, func() { w.tab.Listeners().Match(a) }); n != 0 {
		t.Errorf("Match: %v allocations", n)
	}
	hit := func() {
		h, ok := w.tab.Find(client, data, w.now)
		if !ok {
			t.Fatal("no hit")
		}
		w.tab.Touch(h, data, lan, w.now)
	}
	if n := testing.AllocsPerRun(100, hit); n != 0 {
		t.Errorf("a hit: %v allocations", n)
	}
}

// tcpPacket is an IPv4 packet with a TCP segment of n bytes of payload.
func tcpPacket(flags uint8, n int) []byte {
	b := make([]byte, 40+n)
	b[0], b[3], b[8], b[9] = 0x45, byte(len(b)), 64, frame.ProtoTCP
	copy(b[12:], []byte{10, 2, 1, 1, 10, 1, 1, 1})
	copy(b[20:], []byte{0x9c, 0x40, 0, 80, 0, 0, 0, 101, 0, 0, 1, 0xf5, 0x50, flags})
	return b
}

func TestKeyAndSegmentOfAPacket(t *testing.T) {
	var p frame.Packet
	if r := p.Parse(tcpPacket(tcpAck|frame.TCPFin, 60)); r != drop.None {
		t.Fatal(r)
	}
	want := Segment{Length: 100, Flags: tcpAck | frame.TCPFin, Seq: 101, Ack: 501, Size: 61}
	if KeyOf(&p) != client || SegmentOf(&p) != want || AttemptOf(&p, lan) != attempt(lan, 6, "10.2.1.1", "10.1.1.1", 80) {
		t.Errorf("%+v, %+v, %+v", KeyOf(&p), SegmentOf(&p), AttemptOf(&p, lan))
	}
	echo := tcpPacket(0, 0)
	echo[9], echo[20], echo[24], echo[25] = frame.ProtoICMP, 8, 0x12, 0x34
	if r := p.Parse(echo); r != drop.None {
		t.Fatal(r)
	}
	id := uint16(0x1234)
	if k := (Key{addr("10.2.1.1"), addr("10.1.1.1"), id, id, frame.ProtoICMP, Request}); KeyOf(&p) != k || AttemptOf(&p, lan).Port != 0 ||
		KeyOfFlow(flow.Key{Src: k.Src, Dst: k.Dst, Proto: 1, ID: 0x12340008}) != k {
		t.Errorf("%+v", KeyOf(&p))
	}
}

func FuzzSegmentOf(f *testing.F) {
	f.Add(tcpPacket(frame.TCPSyn, 0))
	f.Add(tcpPacket(tcpAck, 10))
	bad := tcpPacket(tcpAck, 0)
	bad[32] = 0xf0 // a header longer than the packet
	f.Add(bad)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p frame.Packet
		if p.Parse(b) != drop.None {
			return
		}
		if s := SegmentOf(&p); int(s.Size) > len(b)+2 || s.Length > len(b) {
			t.Errorf("%+v of %d bytes", s, len(b))
		}
		if k := KeyOf(&p); k.Reversed().Reversed() != k {
			t.Errorf("%+v", k)
		}
	})
}

// listed makes n servers with destinations of their own around 10.0.0.0/8: half
// of them hosts, the others networks of three lengths.
func listed(n int) []Server {
	out := make([]Server, n)
	for i := range out {
		bits := []int{32, 24, 32, 28, 32, 20}[i%6]
		x := uint32(i) * 2654435761 >> 8 // spread over 24 bits
		a := netip.AddrFrom4([4]byte{11, byte(x >> 16), byte(x >> 8), byte(x)})
		out[i] = Server{Name: "n" + a.String(), Destination: netip.PrefixFrom(a, bits).Masked(), Role: Forward, Protocol: uint8(i % 200), Port: 0}
		if i%200 == 6 || i%200 == 17 {
			out[i].Port = uint16(i%60000 + 1)
		}
	}
	return out
}
