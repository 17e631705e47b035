package netstack

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// A SYN has five seconds to become a connection (VR16).
func TestVR16_AHandshakeThatIsNotCompletedEndsInFiveSeconds(t *testing.T) {
	for name, shake := range map[string]func(*talk){
		"a lone SYN":           func(k *talk) { k.say(vserver.Client, syn, "") },
		"one that is answered": func(k *talk) { k.say(vserver.Client, syn, ""); k.say(vserver.Remote, synAck, "") },
		"one that is repeated": func(k *talk) {
			k.say(vserver.Client, syn, "")
			k.w.wait(4)
			k.next[0]-- // the same again
			k.say(vserver.Client, syn, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSites(t, serving(ipsec0()))
			k := w.talk(true, at(near, 40000), at(far, 80))
			shake(k)
			w.advance(5*time.Second - time.Millisecond - time.Duration(w.r.now()))
			if n := w.r.conns.Len(); n != 1 {
				t.Fatalf("%d connections", n)
			}
			w.advance(time.Second)
			w.advance(time.Second)
			if n := w.r.conns.Len(); n != 0 {
				t.Errorf("%d connections", n)
			}
			w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(k.segment(vserver.Remote, synAck, "")) })
			w.wantDrop(drop.NotSYN, 1, func() { w.fromLAN(k.segment(vserver.Client, ack, "")) })
		})
	}
}

func TestVR16_AClosedConnectionEndsFiveSecondsAfterBothFINs(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(3)
	k.say(vserver.Client, frame.TCPFin|ack, "")
	w.wait(60) // half closed: the other side may go on
	k.say(vserver.Remote, ack, "still talking")
	k.say(vserver.Client, ack, "")
	k.say(vserver.Remote, frame.TCPFin|ack, "")
	k.say(vserver.Client, ack, "")
	w.wait(4)
	k.say(vserver.Client, ack, "") // does not keep it
	w.wait(2)
	if n, flows := w.r.conns.Len(), w.r.flows.Stats().Entries; n != 0 || flows != 0 {
		t.Errorf("%d connections and %d flows", n, flows)
	}
	w.none(w.atLAN()) // nobody is told
	w.traffic("ipsec-0", k.packets, k.bytes)
}

// The ports of a closed connection are free for a new one at once, though it
// is still there for what is late.
func TestVR16_ASYNReplacesAClosedConnection(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(3)
	k.part()
	k.next = [2]uint32{5_000_000, 7_000_000}
	k.shake().chat(3)
	if s := w.stats(vserver.KindServer, "ipsec-0"); s.Total != 2 || s.Current != 1 || s.Maximum != 1 {
		t.Errorf("%+v", s)
	}
	w.wait(302)
	k.resetBoth()
	w.traffic("ipsec-0", k.packets, k.bytes)
}

func TestVR16_ARSTEndsAConnectionIfItsNumberFits(t *testing.T) {
	for _, from := range []vserver.Side{vserver.Client, vserver.Remote} {
		w := newSites(t, serving(ipsec0()))
		k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(3)
		forged := segment(k.ends[from], k.seen[1-from], k.next[from]+100000, 0, frame.TCPRst, "")
		w.one(k.give(from, forged)) // the other end may judge it, too
		k.packets[from]++
		k.bytes[from] += uint64(len(forged))
		if n := w.r.conns.Len(); n != 1 {
			t.Errorf("a forged RST has ended the connection")
		}
		k.chat(1)
		k.say(from, frame.TCPRst|ack, "")
		if n, flows := w.r.conns.Len(), w.r.flows.Stats().Entries; n != 0 || flows != 0 {
			t.Errorf("%d connections and %d flows", n, flows)
		}
		w.traffic("ipsec-0", k.packets, k.bytes)
	}
}

func TestLooseCloseEndsAConnectionAfterOneFIN(t *testing.T) {
	w := newSites(t, serving(ipsec0()), withFastL4(vserver.FastL4{LooseClose: true}))
	k := w.talk(true, at(near, 40000), at(far, 80)).shake().chat(3)
	k.say(vserver.Remote, frame.TCPFin|ack, "")
	w.wait(4)
	k.say(vserver.Client, ack, "the rest")
	w.wait(3)
	if n := w.r.conns.Len(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// Immediate: a packet, its answer, and nothing is left; what is not answered
// waits for the time of a handshake (VR17).
func TestVR17_ImmediateEndsWithTheAnswer(t *testing.T) {
	w := newSites(t, serving(forwarding("dns", "10.1.1.0/24")), withFastL4(vserver.FastL4{IdleTimeout: vserver.Immediate}))
	for range 3 {
		w.fromLAN(udpTo(at(near, 40000), at(far, 53), "question"))
		w.one(w.atWAN())
		w.fromWAN(udpTo(at(far, 53), at(near, 40000), "answer"))
		w.one(w.atLAN())
		if n := w.r.conns.Len(); n != 0 {
			t.Errorf("%d connections", n)
		}
		w.wantDrop(drop.NoListener, 1, func() { w.fromWAN(udpTo(at(far, 53), at(near, 40000), "another")) })
	}
	w.fromLAN(udpTo(at(near, 40000), at(far, 53), "nobody there?"))
	w.wait(6)
	if s := w.stats(vserver.KindServer, "dns"); s.Current != 0 || s.Total != 4 || s.Expired != 1 || w.r.flows.Stats().Entries != 0 {
		t.Errorf("%+v", s)
	}
}

// Durations are of closed connections (VR42), the maximum is one that was there
// at one time (VR41).
func TestVR41_VR42_MaximumAndDurations(t *testing.T) {
	w := newSites(t, serving(ipsec0()))
	if s := w.stats(vserver.KindServer, "ipsec-0"); s.MinDuration != 0 || s.MaxDuration != 0 || s.MeanDuration != 0 {
		t.Errorf("before the first %+v", s)
	}
	a := w.talk(true, at(near, 1), at(far, 80)).shake()
	w.wait(10)
	b := w.talk(true, at(near, 2), at(far, 80)).shake()
	w.wait(10)
	a.say(vserver.Client, frame.TCPRst|ack, "")
	w.talk(true, at(near, 3), at(far, 80)).shake()
	b.say(vserver.Remote, frame.TCPRst|ack, "")
	s := w.stats(vserver.KindServer, "ipsec-0")
	if s.Maximum != 2 || s.Current != 1 || s.Total != 3 || s.MinDuration != 10*time.Second || s.MaxDuration != 20*time.Second || s.MeanDuration != 15*time.Second {
		t.Errorf("%+v", s)
	}
}
