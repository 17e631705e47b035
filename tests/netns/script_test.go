package netns

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/tests/golden"
)

func conversation(t interface{ Fatal(...any) }, name string) golden.Conversation {
	c, err := golden.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Rebase(netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("203.0.113.254"))
}

// talk plays both ends against each other over a wire that lose may cut, with
// a hand-moved clock, and returns them and the order of first sends.
func talk(c golden.Conversation, lose func(n, step int) bool) (ends [2]*script, order []int) {
	p := Patience{ESP: 3 * time.Second, IKE: time.Second, Tries: 10}
	ends = [2]*script{newScript(golden.Client, c, p), newScript(golden.Gateway, c, p)}
	now, n := int64(1), 0
	type packet struct{ from, step int }
	var air []packet
	for range 10000 {
		for i, e := range ends {
			for _, s := range e.due(now) {
				air = append(air, packet{i, s})
			}
		}
		if len(air) == 0 {
			next := int64(0)
			for _, e := range ends {
				if d := e.deadline(); d > 0 && (next == 0 || d < next) {
					next = d
				}
			}
			if next == 0 {
				break
			}
			now = max(next, now)
			continue
		}
		p := air[0]
		air = air[1:]
		if !slices.Contains(order, p.step) {
			order = append(order, p.step)
		}
		n++
		if lose(n, p.step) {
			continue
		}
		_, _, again := ends[1-p.from].arrived(c.Steps[p.step].Payload)
		for _, s := range again {
			air = append(air, packet{1 - p.from, s})
		}
	}
	return ends, order
}

func TestBothEndsPlayTheRecordingInOrder(t *testing.T) {
	for _, name := range []string{golden.IKEv1, golden.IKEv1First, golden.IKEv2, golden.IKEv2First, golden.IKEv2Libreswan} {
		c := conversation(t, name)
		ends, order := talk(c, func(int, int) bool { return false })
		want := make([]int, len(c.Steps))
		for i := range want {
			want[i] = i
		}
		if d := cmp.Diff(want, order); d != "" {
			t.Errorf("%s: order want(-) got(+)\n%s", name, d)
		}
		for _, e := range ends {
			if !e.finished() || len(e.missing()) != 0 || e.resent != 0 || e.duplicates != 0 {
				t.Errorf("%s: %v finished=%v missing=%d resent=%d", name, e.side, e.finished(), len(e.missing()), e.resent)
			}
		}
	}
}

// answered says for which lost IKE message somebody would notice: messages
// that nobody answers are lost for good, as with the daemons.
func answered(c golden.Conversation, i int) bool {
	for j := i + 1; j < len(c.Steps); j++ {
		if c.Steps[j].From != c.Steps[i].From {
			return c.Steps[j].Kind == golden.IKE && sameExchange(&c.Steps[i], &c.Steps[j])
		}
	}
	return false
}

func TestALostIKEMessageIsSentAgain(t *testing.T) {
	for _, name := range []string{golden.IKEv1First, golden.IKEv2First} {
		c := conversation(t, name)
		for lost := range c.Steps {
			if c.Steps[lost].Kind != golden.IKE || !answered(c, lost) {
				continue
			}
			done := false
			ends, _ := talk(c, func(_, step int) bool {
				cut := step == lost && !done
				done = done || cut
				return cut
			})
			for _, e := range ends {
				if !e.finished() || len(e.missing()) != 0 {
					t.Errorf("%s without the first copy of %v: %v finished=%v missing=%d",
						name, &c.Steps[lost], e.side, e.finished(), len(e.missing()))
				}
			}
		}
	}
}

func TestLostESPIsGivenUpAndReported(t *testing.T) {
	c := conversation(t, golden.IKEv2First)
	ends, _ := talk(c, func(_, step int) bool {
		return c.Steps[step].Kind == golden.ESP && c.Steps[step].From == golden.Gateway
	})
	got, want := ends[0].count(golden.ESP)
	if !ends[0].finished() || !ends[1].finished() || got != 0 || want != 9 || len(ends[0].missing()) != 9 {
		t.Errorf("client finished=%v got %d of %d, %d missing", ends[0].finished(), got, want, len(ends[0].missing()))
	}
}

func TestAPausedHostSendsNothingAndGoesOnWhenTold(t *testing.T) {
	c := conversation(t, golden.IKEv1First)
	first := c.First(func(s *golden.Step) bool { return s.Kind == golden.ESP })
	s := newScript(golden.Client, c, DefaultPatience())
	s.pauseAt = first
	for i := range first {
		s.due(1)
		if c.Steps[i].From == golden.Gateway {
			s.arrived(c.Steps[i].Payload)
		}
	}
	if got := s.due(1); len(got) != 0 && slices.Contains(got, first) || !s.paused() || s.deadline() != 0 {
		t.Fatalf("sends %v, paused %v, deadline %d", got, s.paused(), s.deadline())
	}
	s.resume()
	if got := s.due(2); !slices.Equal(got, []int{first}) {
		t.Errorf("after resume it sends %v, want %d", got, first)
	}
}

func TestARepeatedESPPacketIsCountedAsDuplicate(t *testing.T) {
	c := conversation(t, golden.IKEv2First).Repeat(1)
	s := newScript(golden.Client, c, DefaultPatience())
	esp := c.Steps[c.First(func(s *golden.Step) bool { return s.Kind == golden.ESP && s.From == golden.Gateway })].Payload
	for i, want := range []bool{true, true, false} { // once in the recording, once repeated
		if _, fresh, _ := s.arrived(esp); fresh != want {
			t.Errorf("arrival %d is fresh=%v", i+1, fresh)
		}
	}
	if s.duplicates != 1 {
		t.Errorf("%d duplicates", s.duplicates)
	}
}

func TestUnknownPayloadIsNotOurs(t *testing.T) {
	s := newScript(golden.Client, conversation(t, golden.IKEv2First), DefaultPatience())
	if s.knows([]byte("nonsense")) {
		t.Error("knows a payload that is not in the recording")
	}
	if other := conversation(t, golden.IKEv2Second); s.knows(other.Steps[1].Payload) {
		t.Error("knows the other client's payload")
	}
}

// Whatever is lost, both ends come to rest and send no step before its time.
func TestAnyLossEndsInBoundedWork(t *testing.T) {
	c := conversation(t, golden.IKEv1Second)
	rapid.Check(t, func(t *rapid.T) {
		lost := rapid.SliceOfN(rapid.IntRange(1, 120), 0, 60).Draw(t, "lost")
		ends, order := talk(c, func(n, _ int) bool { return slices.Contains(lost, n) })
		for _, e := range ends {
			own := slices.DeleteFunc(slices.Clone(order), func(i int) bool { return c.Steps[i].From != e.side })
			if !slices.IsSorted(own) {
				t.Errorf("%v's first sends are out of order: %v", e.side, own)
			}
			if e.resent > 10*len(c.Steps)*len(c.Steps) {
				t.Errorf("%v sent %d packets again", e.side, e.resent)
			}
		}
	})
}
