package trace

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

var esp = filter.Packet{In: 1, Kind: frame.TypeIPv4, Proto: frame.ProtoESP, SPI: 7}

// packet begins the walk of a packet, if a trace wants it.
func packet(s *Set, p *filter.Packet, at int64, expects ...Event) uint32 {
	t := s.Wants(p)
	if t == nil {
		return 0
	}
	return s.Begin(t, &Packet{At: at, In: p.In}, expects)
}

func add(t *testing.T, s *Set, c Config) {
	t.Helper()
	if err := s.Add(c, 100); err != nil {
		t.Fatal(err)
	}
}

func TestATraceTakesWhatItWantsUntilItHasEnough(t *testing.T) {
	e, err := filter.Parse("esp", nil)
	if err != nil {
		t.Fatal(err)
	}
	var s Set
	add(t, &s, Config{Name: "other", Match: e, In: 2, Count: 5})
	add(t, &s, Config{Name: "esp", Match: e, Count: 2})
	udp := esp
	udp.Proto = frame.ProtoUDP
	for i, p := range []filter.Packet{udp, esp, esp, esp} {
		packet(&s, &p, int64(200+i))
	}
	walks := s.Each("")
	if len(walks) != 2 || walks[0].Trace != "esp" || walks[0].At != 101 || walks[1].Number != 2 || !s.Wanting() {
		t.Errorf("%+v", walks)
	}
	s.Remove("other")
	if s.Wanting() {
		t.Error("a full one wants more")
	}
	if traces, packets := s.Clear("esp", 300); traces != 1 || packets != 2 || !s.Wanting() || len(s.Each("")) != 0 {
		t.Errorf("%d, %d", traces, packets)
	}
}

func TestTracesAreBounded(t *testing.T) {
	var s Set
	for _, n := range []int{0, MaxPackets + 1} {
		if err := s.Add(Config{Name: "x", Count: n}, 0); !errors.Is(err, ErrCount) {
			t.Errorf("%d: %v", n, err)
		}
	}
	add(t, &s, Config{Name: "a", Count: MaxPackets})
	add(t, &s, Config{Name: "b", Count: MaxTotal - MaxPackets - MaxTraces})
	if err := s.Add(Config{Name: "c", Count: MaxTraces + 1}, 0); !errors.Is(err, ErrTotal) {
		t.Error(err)
	}
	if err := s.Add(Config{Name: "a", Count: 1}, 0); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	for i := range MaxTraces - 2 {
		add(t, &s, Config{Name: fmt.Sprint(i), Count: 1})
	}
	if err := s.Add(Config{Name: "more", Count: 1}, 0); !errors.Is(err, ErrMany) {
		t.Error(err)
	}
	id := packet(&s, &esp, 0)
	for range MaxEvents + 3 {
		s.Event(id, Event{Hook: "x"})
	}
	if w := s.Each("a")[0]; len(w.Events) != MaxEvents || w.More != 3 {
		t.Errorf("%d events, %d more", len(w.Events), w.More)
	}
}

func TestEqualWalksAreShownTogether(t *testing.T) {
	var s Set
	add(t, &s, Config{Name: "t", Count: 100})
	for i := range 30 {
		id := packet(&s, &esp, int64(i))
		s.Event(id, Event{At: int64(i), Hook: "prerouting", Step: "espIn", Verdict: "accept", Src: frame.Endpoint{Port: uint16(i)}, Says: fmt.Sprint("session ", i)})
		f := Fate{End: "forwarded", Out: 2, Src: frame.Endpoint{Port: uint16(i)}}
		if i%3 == 0 {
			f = Fate{End: "dropped", Reason: drop.Filtered}
		}
		s.End(id, f)
	}
	walks := s.Walks("t")
	if len(walks) != 2 || walks[0].Packets != 10 || walks[1].Packets != 20 || walks[1].Number != 2 || walks[1].Events[0].Says != "session 1" {
		t.Errorf("%+v", walks)
	}
}

func TestAStepSaysWhatWasSaidBeforehandIfItDoesIt(t *testing.T) {
	said := []Event{
		{Hook: "prerouting", Step: "listener", Verdict: "continue", Says: "a is passed over"},
		{Hook: "prerouting", Step: "listener", Verdict: "accept", Says: "b admits it", Rule: "VR2", Name: "b"},
		{Hook: "forward", Step: "in2out", Verdict: "dropped", Reason: drop.NoFreePort, Says: "no port"},
	}
	var s Set
	add(t, &s, Config{Name: "t", Count: 1})
	p := s.Packet(packet(&s, &esp, 0, said...))
	at := frame.Endpoint{Port: 9}
	if !p.Step(Event{Hook: "prerouting", Step: "listener", Verdict: "accept", Src: at}) {
		t.Error("it says nothing")
	}
	if p.Step(Event{Hook: "forward", Step: "in2out", Verdict: "continue"}) || p.Step(Event{Hook: "forward", Step: "carry", Verdict: "continue"}) {
		t.Error("it says what does not happen")
	}
	w := s.Each("")[0]
	if len(w.Events) != 2 || w.Events[1].Name != "b" || w.Events[1].Src != at {
		t.Errorf("%+v", w.Events)
	}
	if src, _ := p.Ends(); src != at {
		t.Error(src)
	}
}

func TestAWalkEndsOnceUnlessItWaits(t *testing.T) {
	var s Set
	add(t, &s, Config{Name: "t", Count: 9})
	id := packet(&s, &esp, 0)
	for _, f := range []Fate{{End: "held"}, {End: "forwarded", Waits: true}, {End: "dropped"}, {End: "delivered"}} {
		s.End(id, f)
	}
	if f, ended := s.Packet(id).Ended(); !ended || f.End != "dropped" {
		t.Errorf("%+v", f)
	}
	s.Packet(id).Change(func(f *Fate) bool { f.End = "sealed"; return true })
	if s.Packet(id).Change(func(f *Fate) bool { f.End = "opened"; return false }) {
		t.Error("it is changed though nobody wants it")
	}
	if f, _ := s.Packet(id).Ended(); f.End != "sealed" {
		t.Errorf("%+v", f)
	}
}

func TestNoChangeOfAFateIsLost(t *testing.T) {
	var s Set
	add(t, &s, Config{Name: "t", Count: 1})
	p := s.Packet(packet(&s, &esp, 0))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				p.Change(func(f *Fate) bool { f.SPI++; return true })
			}
		})
	}
	all.Wait()
	if f, _ := p.Ended(); f.SPI != 4000 {
		t.Errorf("%d of 4000 changes", f.SPI)
	}
}

func TestANumberThatIsForgottenIsNobodys(t *testing.T) {
	var s Set
	add(t, &s, Config{Name: "t", Count: 1})
	id := packet(&s, &esp, 0)
	if s.Packet(id) == nil || s.Packet(id+places) != nil || s.Packet(0) != nil {
		t.Error("the wrong packet")
	}
	s.Remove("t")
	s.Event(id, Event{})
	s.End(id, Fate{End: "dropped"})
	if s.Packet(id) != nil {
		t.Error("a packet of a trace that was removed")
	}
}

func TestManyPacketsAtOnceAreEachCountedOnce(t *testing.T) {
	var s Set
	add(t, &s, Config{Name: "t", Count: 500})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 200 {
				id := packet(&s, &esp, 0)
				s.Event(id, Event{Hook: "x"})
				s.End(id, Fate{End: "forwarded"})
				if i%50 == 0 {
					s.Walks("t")
				}
			}
		})
	}
	all.Wait()
	seen := map[int]bool{}
	for _, w := range s.Each("t") {
		if seen[w.Number] || len(w.Events) != 1 || w.Fate.End == "" {
			t.Errorf("%+v", w)
		}
		seen[w.Number] = true
	}
	if len(seen) != 500 {
		t.Errorf("%d packets", len(seen))
	}
}
