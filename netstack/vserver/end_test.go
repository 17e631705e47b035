package vserver

import (
	"reflect"
	"testing"
	"time"

	"spigate/netstack/frame"
)

func TestEveryConnectionHasANumberOfItsOwn(t *testing.T) {
	w := newWorld(t, plain())
	seen := map[uint64]bool{0: true}
	for i := range uint16(100) {
		k := udpKey("10.2.1.1", 1000+i, "10.1.1.1", 53)
		h := w.mustOpen(k, Segment{Length: 60})
		if seen[h.ID()] {
			t.Fatalf("the number %d is nobody's or another's", h.ID())
		}
		seen[h.ID()] = true
		if other, ok := w.tab.Find(k.Reversed(), Segment{}, w.now); !ok || other.ID() != h.ID() {
			t.Error("the answers have another number")
		}
	}
	w.tab.Walk(w.now, func(i Info) bool {
		if !seen[i.ID] {
			t.Errorf("%d is listed", i.ID)
		}
		return true
	})
}

func TestTheEndIsToldOnceWhileTheConnectionStillCounts(t *testing.T) {
	ways := map[string]struct {
		profile FastL4
		end     func(w *world)
	}{
		"idle": {end: func(w *world) {
			w.now += 300 * second
			w.sweep()
		}},
		"reset": {end: func(w *world) { w.mustPass(client, Segment{Flags: frame.TCPRst, Seq: 101}) }},
		"its place taken": {end: func(w *world) {
			w.mustPass(client, fin(101))
			w.mustPass(client.Reversed(), fin(501))
			w.mustOpen(client, syn)
		}},
		"immediate": {FastL4{IdleTimeout: Immediate, LooseInitialization: true}, func(w *world) {
			w.mustPass(client.Reversed(), Segment{Flags: tcpAck, Seq: 501, Ack: 101})
		}},
		"reload":  {end: func(w *world) { w.reload(Config{}) }},
		"removed": {end: func(w *world) { w.tab.Remove(func(Info) bool { return true }, w.now, nil) }},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oneServer(vs("s", "any", "any", 0, 0), way.profile))
			var h Hit
			if way.profile.LooseInitialization {
				h = w.mustOpen(client, data)
			} else {
				w.handshake(client)
				h, _ = w.tab.Find(client, data, w.now)
			}
			if !h.Bind(77) || !h.BindAlso(5, nil) || !h.BindAlso(6, nil) || !h.BindAlso(5, nil) || h.Session() != 77 {
				t.Error("not bound")
			}
			count := w.tab.Listeners().Find(KindServer, "s").Counters()
			w.onEnd = func(e End) {
				before := count.Stats()
				// No lock is held, the connection is there, and takes nothing.
				if w.tab.Active(e.ID, e.Remote, 3, 300, 0, 0, false, w.now) {
					t.Error("a connection that ends is alive")
				}
				w.tab.Active(0, e.Client, 4, 400, 0, 0, false, w.now)
				after := count.Stats()
				if after.PacketsOut != before.PacketsOut+3 || after.BytesIn != before.BytesIn+400 || after.Current != 1 || after.Closed != 0 {
					t.Errorf("at the end %+v, then %+v", before, after)
				}
				if w.tab.Free(e.Remote, syn, w.now) || w.tab.Free(e.Client, syn, w.now) || w.lives(e.Client) || h.Bind(78) || h.BindAlso(7, nil) {
					t.Error("its keys are free, or it lives")
				}
			}
			way.end(w)
			resets := name == "idle" || name == "reload" || name == "removed"
			want := End{h.ID(), 77, []uint64{5, 6}, client, client.Reversed(), h.Listener(), false, resets, w.now}
			if len(w.ends) != 1 || !reflect.DeepEqual(w.ends[0], want) {
				t.Fatalf("told of %+v, want %+v", w.ends, want)
			}
			if s := count.Stats(); s.Closed != 1 || s.PacketsOut < 3 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestWhatTheFastPathTellsAfterTheEndStillCounts(t *testing.T) {
	c := listenerConfig()
	c.Servers = []Server{vs("s", "any", "any", 0, 0)}
	w := newWorld(t, c)
	k := udpKey("192.168.1.1", 1, "8.8.8.8", 53)
	h := w.mustOpen(k, Segment{Length: 50})
	w.mustPass(k.Reversed(), Segment{Length: 60})
	old := h.ID()
	w.tab.Remove(func(Info) bool { return true }, w.now, nil)
	again := w.mustOpen(k, Segment{Length: 50})
	late := func() (out uint64) {
		before := w.stats("s")
		if w.tab.Active(old, k.Reversed(), 2, 200, 0, 0, false, w.now) {
			t.Error("it lives")
		}
		w.tab.Active(old, k, 1, 100, 0, 0, false, w.now)
		after := w.stats("s")
		if after.PacketsIn-before.PacketsIn != (after.PacketsOut-before.PacketsOut)/2 {
			t.Errorf("%+v, then %+v", before, after)
		}
		return after.PacketsOut - before.PacketsOut
	}
	if n := late(); n != 2 {
		t.Errorf("%d counted at once", n)
	}
	if s := w.tab.Listeners().Find(KindSNAT, "S").Counters().Stats(); s.PacketsOut != 3 || s.PacketsIn != 3 {
		t.Errorf("the SNAT: %+v", s)
	}
	w.now += second
	w.sweep()
	w.reload(c)
	if n := late(); n != 2 {
		t.Errorf("%d counted after the next sweep and a reload", n)
	}
	w.tab.Walk(w.now, func(i Info) bool {
		if i.ID != again.ID() || i.In.Packets != 1 || i.Out.Packets != 0 {
			t.Errorf("the new connection was given them: %+v", i)
		}
		return true
	})
	for range 4 {
		w.now += second
		w.sweep()
	}
	if n := late(); n != 0 {
		t.Errorf("%d counted five seconds after the end", n)
	}
	if n := len(w.tab.past[old%shardCount].young) + len(w.tab.past[old%shardCount].old); n != 0 {
		t.Errorf("%d are remembered for ever", n)
	}
}

func TestNumbersAloneKeepNoConnection_VR17(t *testing.T) {
	w := newWorld(t, plain())
	k := udpKey("10.2.1.1", 1000, "10.1.1.1", 53)
	h := w.mustOpen(k, Segment{Length: 60})
	w.now += 200 * second
	if !w.tab.Active(h.ID(), k, 0, 0, 7, 7, true, w.now) {
		t.Fatal("not known")
	}
	w.now += 100 * second
	w.sweep()
	if n := w.tab.Len(); n != 0 {
		t.Error("it lived on without a packet")
	}
}

func TestWhatTheLSNsFlowsCarriedIsCountedByTheKey(t *testing.T) {
	w := newWorld(t, Config{Servers: []Server{from(vs("s", "any", "any", 0, 0), TranslateLSN)}, Groups: listenerConfig().Groups})
	k := udpKey("100.64.1.1", 1, "8.8.8.8", 53)
	h := w.mustOpen(k, Segment{Length: 50})
	w.mustPass(k.Reversed(), Segment{Length: 60})
	if !h.ByLSN() || !h.Bind(5) {
		t.Error("not the LSN's")
	}
	if !w.tab.Active(0, k, 10, 500, 0, 0, false, w.now) {
		t.Error("it does not live")
	}
	w.tab.Remove(func(Info) bool { return true }, w.now, nil)
	w.tab.Active(0, k, 20, 1000, 0, 0, false, w.now)
	w.tab.Active(0, k.Reversed(), 30, 1500, 0, 0, false, w.now)
	if s := w.stats("s"); s.PacketsIn != 31 || s.BytesIn != 1550 || s.PacketsOut != 31 || s.BytesOut != 1560 {
		t.Errorf("%+v", s)
	}
}

func TestTheMemoryOfEndedConnectionsIsBounded(t *testing.T) {
	w := newWorld(t, plain())
	for i := range uint64(pastRoom + 10) {
		c := &conn{id: i * shardCount, fast: true, l: w.tab.Listeners().Find(KindServer, "s")}
		w.tab.bury(c)
	}
	if n := len(w.tab.past[0].young); n != pastRoom {
		t.Errorf("%d are remembered", n)
	}
}

func TestAConnectionInTheFastPathIsOverWhenTheSweepSaysSo(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	h, _ := w.tab.Find(client, data, w.now)
	w.now += 100 * second
	w.tab.Active(h.ID(), client, 1, 40, 101, 501, true, w.now)
	w.now += 300 * second
	if !w.lives(client) { // the last packets may not be reported yet
		t.Fatal("over before the fast path was asked")
	}
	w.tab.Active(h.ID(), client.Reversed(), 1, 40, 501, 101, true, w.now-second)
	w.sweep()
	if !w.lives(client) || len(w.resets) != 0 {
		t.Fatal("over in spite of a packet a second ago")
	}
	w.now += 299 * second
	w.sweep()
	if w.lives(client) || len(w.resets) != 2 {
		t.Errorf("it is still there: %v", w.resets)
	}
}

func TestTheRSTHasTheFastPathsNumbers_VR17(t *testing.T) {
	for name, c := range map[string]struct {
		clientEnd, clientAck, serverEnd, serverAck uint32
		toClient, toServer                         uint32 // sequence numbers
	}{
		"both sides":              {5101, 9501, 9501, 5101, 9501, 5101},
		"bytes on their way":      {5101, 9001, 9501, 4101, 9001, 4101},
		"a forged acknowledgment": {5101, 9501 + 1<<30, 9501, 5101, 9501, 5101},
		"old numbers":             {50, 400, 450, 60, 501, 101},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, plain())
			w.handshake(client)
			h, _ := w.tab.Find(client, data, w.now)
			w.tab.Active(h.ID(), client, 10, 1000, c.clientEnd, c.clientAck, true, w.now)
			w.tab.Active(h.ID(), client.Reversed(), 10, 1000, c.serverEnd, c.serverAck, true, w.now)
			w.now += 300 * second
			w.sweep()
			if len(w.resets) != 2 || w.resets[0].Seq != c.toClient || w.resets[1].Seq != c.toServer {
				t.Errorf("%+v, want %d and %d", w.resets, c.toClient, c.toServer)
			}
		})
	}
}

func TestWhatOnEndCreditsIsInTheRST_VR17(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	w.onEnd = func(e End) {
		w.tab.Active(e.ID, e.Client, 10, 1000, 201, 2501, true, w.now)
		w.tab.Active(e.ID, e.Remote, 10, 1000, 2501, 201, true, w.now)
	}
	w.reload(Config{})
	if len(w.resets) != 2 || w.resets[0].Seq != 2501 || w.resets[1].Seq != 201 {
		t.Errorf("%+v", w.resets)
	}
}

func TestAForgedAcknowledgementInTheFastPathIsForgotten_VR17(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	h, _ := w.tab.Find(client, data, w.now)
	w.tab.Active(h.ID(), client.Reversed(), 1, 40, 501, 0x60000000, true, w.now)
	w.mustPass(client, Segment{Length: 1040, Flags: tcpAck, Seq: 101, Ack: 501, Size: 1000})
	w.mustPass(client.Reversed(), Segment{Length: 40, Flags: tcpAck, Seq: 501, Ack: 601})
	// What the server wants is known again: 601, where the client sent to 1101.
	if over, _ := w.packet(client, Segment{Flags: frame.TCPRst, Seq: 600}, lan); over {
		t.Error("a RST before what the server wants ended it")
	}
	h, _ = w.tab.Find(client.Reversed(), data, w.now)
	if end, ack, ok := h.Numbers(); end != 501 || ack != 601 || !ok {
		t.Errorf("%d, %d, %v", end, ack, ok)
	}
	if over, _ := w.packet(client, Segment{Flags: frame.TCPRst, Seq: 601}, lan); !over {
		t.Error("the client's RST did not end it")
	}
}

func TestARSTIsBelievedByTheFastPathsNumbers(t *testing.T) {
	w := newWorld(t, plain())
	w.handshake(client)
	h, _ := w.tab.Find(client, data, w.now)
	w.tab.Active(h.ID(), client, 100, 100_000, 100_101, 501, true, w.now)
	w.tab.Active(h.ID(), client.Reversed(), 100, 4000, 501, 99_101, true, w.now)
	rst := Segment{Flags: frame.TCPRst, Seq: 101} // where the handshake left it
	if over, ok := w.packet(client, rst, lan); over || !ok {
		t.Error("a RST of a time before ended it")
	}
	rst.Seq = 100_101
	if over, ok := w.packet(client, rst, lan); !over || !ok {
		t.Error("the client's RST did not end it")
	}
}

func TestWhatTheFastPathMayHave(t *testing.T) {
	opened := func(w *world) Hit { return w.mustOpen(client, syn) }
	answered := func(w *world) Hit {
		w.handshake(client)
		h, _ := w.tab.Find(client.Reversed(), data, w.now)
		return h
	}
	for name, c := range map[string]struct {
		profile  FastL4
		begin    func(*world) Hit
		cached   bool
		idle     time.Duration
		end, ack uint32
		numbers  bool
	}{
		"half open":      {FastL4{}, opened, false, 300 * time.Second, 101, 0, false},
		"established":    {FastL4{IdleTimeout: time.Minute}, answered, true, time.Minute, 501, 101, true},
		"indefinite":     {FastL4{IdleTimeout: Indefinite}, answered, true, forever, 501, 101, true},
		"immediate":      {FastL4{IdleTimeout: Immediate}, opened, false, 5 * time.Second, 101, 0, false},
		"TTL as it came": {FastL4{PreserveTTL: true}, answered, false, 300 * time.Second, 501, 101, true},
		"picked up": {FastL4{LooseInitialization: true}, func(w *world) Hit { return w.mustOpen(client, data) },
			false, 300 * time.Second, 201, 501, true},
	} {
		w := newWorld(t, oneServer(vs("s", "any", "any", 0, 0), c.profile))
		h := c.begin(w)
		end, ack, ok := h.Numbers()
		if h.Cacheable() != c.cached || h.Idle() != c.idle || end != c.end || ack != c.ack || ok != c.numbers {
			t.Errorf("%s: %v, %v, %d %d %v", name, h.Cacheable(), h.Idle(), end, ack, ok)
		}
	}
	w := newWorld(t, plain())
	k := udpKey("10.2.1.1", 1, "10.1.1.1", 53)
	h := w.mustOpen(k, Segment{Length: 60})
	if h.Cacheable() {
		t.Error("UDP without an answer")
	}
	w.mustPass(k.Reversed(), Segment{Length: 60})
	if _, _, ok := h.Numbers(); ok || !h.Cacheable() {
		t.Error("UDP with an answer: no numbers, and into the fast path")
	}
}

func TestAKeyIsFreeWhenNoLivingConnectionHasIt(t *testing.T) {
	w := newWorld(t, plain())
	back := client.Reversed()
	if !w.tab.Free(back, syn, w.now) {
		t.Error("nobody has it")
	}
	w.handshake(client)
	if w.tab.Free(back, syn, w.now) || w.tab.Free(client, syn, w.now) {
		t.Error("somebody has it")
	}
	w.mustPass(client, fin(101))
	w.mustPass(back, fin(501))
	if !w.tab.Free(back, syn, w.now) || w.tab.Free(back, data, w.now) {
		t.Error("a closed connection's is free for a SYN only")
	}
	w.now += 5 * second
	if !w.tab.Free(back, data, w.now) || w.tab.Len() != 1 {
		t.Error("it is over, and not swept")
	}
}

func TestAConnectionThatIsNotOpenYetIsGivenNobodysPackets(t *testing.T) {
	w := newWorld(t, plain())
	c := &conn{id: 1, keys: [2]Key{client, client.Reversed()}, l: w.tab.Listeners().Find(KindServer, "s")}
	if v := w.tab.claim(c, Remote, &syn, w.now, nil); v != Admit {
		t.Fatal(v)
	}
	if w.tab.Active(0, client.Reversed(), 1, 40, 0, 0, false, w.now) || w.lives(client.Reversed()) || w.stats("s").PacketsOut != 0 {
		t.Error("it takes packets")
	}
	if w.tab.Free(client.Reversed(), syn, w.now) {
		t.Error("its key is free")
	}
}
