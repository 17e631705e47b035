package netstack

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spigate/netstack/capture"
	"spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/trace"
)

// captured begins a capture of what an expression chooses; the test's end ends it.
func (w *world) captured(match string, points capture.Points) *capture.Capture {
	w.t.Helper()
	e, err := filter.Parse(match, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	k, err := w.r.BeginCapture(capture.Config{Filter: e, Points: points})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.r.EndCapture(k) })
	return k
}

// taken are the points of what a capture has, with the ends of the packets.
func taken(t *testing.T, k *capture.Capture) (out []string) {
	t.Helper()
	k.Take(func(r *capture.Record) {
		b := r.Data
		if r.Frame {
			b = b[frame.HeaderLen:]
		}
		var p packet
		if p.Parse(slices.Clone(b)) != drop.None {
			out = append(out, r.Point.String()+" no packet")
			return
		}
		at := lookOf(&p)
		line := r.Point.String() + " " + endpoint(at.src) + " > " + endpoint(at.dst)
		if r.Reason != drop.None {
			line += " " + r.Reason.String()
		}
		out = append(out, line)
	})
	return out
}

func TestACaptureSeesAPacketAtEachPointOnBothPaths(t *testing.T) {
	w := newWorld(t)
	real := newWorld(t).converse()
	k := w.captured("udp port 443", 0)
	s, me := at(server, 443), at(client1, 40000)
	nat := real.udp
	out := []string{
		"received 192.0.2.11:40000 > 203.0.113.254:443", "before 192.0.2.11:40000 > 203.0.113.254:443",
		"after " + nat.String() + " > 203.0.113.254:443", "sent " + nat.String() + " > 203.0.113.254:443",
	}
	in := []string{
		"received 203.0.113.254:443 > " + nat.String(), "before 203.0.113.254:443 > " + nat.String(),
		"after 203.0.113.254:443 > 192.0.2.11:40000", "sent 203.0.113.254:443 > 192.0.2.11:40000",
	}
	for turn := range 4 {
		w.fromLAN(udpTo(me, s, "question"))
		if got := taken(t, k); !slices.Equal(got, out) {
			t.Errorf("turn %d: out: %q", turn, got)
		}
		w.fromWAN(udpTo(s, nat, "answer"))
		if got := taken(t, k); !slices.Equal(got, in) {
			t.Errorf("turn %d: in: %q", turn, got)
		}
	}
	if w.r.flows.Stats().Hits < 4 {
		t.Errorf("%+v: the fast path had no part in it", w.r.flows.Stats())
	}
}

func TestACaptureFollowsWhatItHasChosenOnce(t *testing.T) {
	w := newWorld(t)
	k := w.captured("src host 192.0.2.11 and not port 9", capture.AllPoints&^(1<<capture.Before))
	w.fromLAN(udpTo(at(client1, 40000), at(server, 443), "question"))
	got := taken(t, k)
	if len(got) != 3 || !strings.HasPrefix(got[2], "sent 203.0.113.3:") {
		t.Errorf("%q", got)
	}
	w.fromLAN(udpTo(at(client1, 40000), at(server, 9), "left out"), udpTo(at(client2, 40000), at(server, 443), "left out"))
	if got := taken(t, k); got != nil {
		t.Errorf("%q", got)
	}
}

func TestACaptureTellsWhyAPacketWasDropped(t *testing.T) {
	w := newWorld(t)
	k := w.captured("", 1<<capture.Dropped)
	w.fromWAN(udpTo(at(server, 9), at(natAddr, 9), "nobody asked"))
	w.fromLAN(udpTo(at(client1, 9), at(server, 9), "passes"))
	w.fromLAN(readdressed(udpTo(at(client1, 9), at(server, 9), ""), addr("203.0.113.77"), server))
	var strange []byte
	strange = append(strange, lanMAC[:]...)
	w.frame(0, append(strange, 6, 0, 0, 0, 0, 9, 0x86, 0xdd, 0, 0))
	want := []string{"dropped 203.0.113.254:9 > 203.0.113.3:9 no_mapping", "dropped 203.0.113.77:9 > 203.0.113.254:9 no_listener", "dropped no packet"}
	if got := taken(t, k); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestWhenNobodyLooksOnNobodyIsAsked(t *testing.T) {
	w := newWorld(t)
	on := func() bool { return w.r.watching.Load() != nil || w.r.drops.Watched() }
	if on() {
		t.Error("from the beginning")
	}
	k := w.captured("udp", 0)
	if !on() {
		t.Error("not during a capture")
	}
	w.r.EndCapture(k)
	w.traced("one", "udp", 1)
	w.fromLAN(udpTo(at(client1, 9), at(server, 9), "the one"))
	w.fromLAN(udpTo(at(client1, 9), at(server, 9), "another"))
	w.advance((lingers + 1) * time.Second)
	if on() {
		t.Error("seconds after the trace was full")
	}
	if walks := w.r.Traces().Each(""); len(walks) != 1 {
		t.Errorf("%d walks", len(walks))
	}
	w.r.ClearTrace("one")
	if !on() {
		t.Error("not for a trace that was cleared")
	}
	w.r.RemoveTrace("")
	w.advance((lingers + 1) * time.Second)
	if on() {
		t.Error("after it was removed")
	}
}

// While somebody looks on, what is not chosen costs no memory either.
func TestAHitAllocatesNothingWhileOthersAreLookedAt(t *testing.T) {
	w, loops := established(t)
	w.traced("others", "host 198.51.100.77", 5)
	w.captured("host 198.51.100.77", 0)
	for name, l := range loops {
		l.turn()
		l.turn()
		if n := testing.AllocsPerRun(50, l.turn); n != 0 {
			t.Errorf("%s: %.2f allocations for each batch", name, n)
		}
	}
}

func TestFlowsThatAreLookedAtStayAtHome(t *testing.T) {
	w := newWorld(t)
	e := flow.Entry{Key: flow.Key{Src: client1, Dst: server, ID: flow.PortsID(40000, 443), Proto: frame.ProtoUDP, In: lanIf}, Side: flow.Source, Addr: natAddr, Port: 2000}
	if home := w.r.watch.keptHome(); home != nil {
		t.Error("nobody looks on")
	}
	w.traced("all", "", 5)
	if home := w.r.watch.keptHome(); home != nil {
		t.Error("who leaves nothing out keeps nothing")
	}
	for match, want := range map[string]bool{"host 192.0.2.11": true, "src port 2000 and host 203.0.113.3": true, "tcp": false, "port 443": true, "host 192.0.2.12": false, "out wan": true, "out lan": false} {
		w.traced("t", match, 5)
		if home := w.r.watch.keptHome(); home == nil || home(e, wanIf) != want {
			t.Errorf("%s: want %v", match, want)
		}
		w.r.RemoveTrace("t")
	}
}

// The SPI of ESP in UDP is not known of a flow: whoever looks for one looks at all.
func TestFlowsOfESPInUDPComeHomeForAnSPI(t *testing.T) {
	w := newWorld(t)
	for match, want := range map[string]bool{"spi c0ffee01": true, "not spi c0ffee01": true, "spi c0ffee01 and tcp": false, "spi c0ffee01 and not host 192.0.2.11 and not host 203.0.113.3": false} {
		w.traced("t", match, 5)
		home := w.r.watch.keptHome()
		e := flow.Entry{Key: flow.Key{Src: client1, Dst: server, ID: flow.PortsID(40000, 4500), Proto: frame.ProtoUDP, In: lanIf}, Side: flow.Source, Addr: natAddr, Port: 2000}
		if home(e, wanIf) != want {
			t.Errorf("%s: want %v", match, want)
		}
		e.Key.ID = flow.PortsID(40000, 443)
		if other := strings.HasPrefix(match, "not"); home(e, wanIf) != other {
			t.Errorf("%s: want %v for another port", match, other)
		}
		w.r.RemoveTrace("t")
	}
}

// All lanes pass packets while traces and captures come and go, and somebody reads
// both. What is at stake is the race detector's to say.
func TestLanesPassWhileOthersLookOn(t *testing.T) {
	w := newWorld(t, lanes(4))
	var frames []frame.Frame
	for port := range uint16(64) {
		frames = append(frames, framed(lanMAC, udpTo(at(client1, 10000+port), at(server, 443), "question")))
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, match := range []string{"", "udp", "port 10003"} {
		all.Go(func() { w.lookOn(match, stop) })
	}
	for range 200 {
		batch := make([]frame.Frame, 0, len(frames))
		for i := range frames {
			batch = append(batch, frame.Copy(frames[i].Bytes(), 0))
		}
		w.lanes[0].give(batch)
		w.atWAN()
	}
	close(stop)
	all.Wait()
	if d := w.dropped(); len(d) != 0 {
		t.Errorf("drops: %v", d)
	}
}

// lookOn begins and ends traces and captures until stop is closed.
func (w *world) lookOn(match string, stop chan struct{}) {
	e, err := filter.Parse(match, nil)
	if err != nil {
		w.t.Error(err)
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		if err := w.r.AddTrace(trace.Config{Name: match, Match: e, Count: 50}); err != nil {
			w.t.Error(err)
		}
		k, err := w.r.BeginCapture(capture.Config{Filter: e, Buffer: 4096, Count: 100})
		if err != nil {
			w.t.Error(err)
			return
		}
		for range 20 {
			k.Take(func(*capture.Record) {})
			w.r.Traces().Walks(match)
		}
		w.r.EndCapture(k)
		w.r.RemoveTrace(match)
	}
}
