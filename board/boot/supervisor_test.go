package boot

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// player drives a supervisor with a clock of its own, as a machine would.
type player struct {
	t      interface{ Fatalf(string, ...any) }
	s      *Supervisor
	now    int64
	pid    int
	well   bool // the router answers
	ends   time.Duration
	bad    bool // only with its own configuration
	stuck  bool // it ignores SIGTERM
	until  int64
	factor bool

	starts, pets []int64
	said         []string
	finish       Finish
	killed       bool
}

func newPlayer(t interface{ Fatalf(string, ...any) }, dog bool) *player {
	return &player{t: t, s: NewSupervisor(dog, 0), pid: 100, well: true}
}

func (p *player) do(what []Do) {
	for _, d := range what {
		switch d.Kind {
		case DoStart:
			p.pid++
			p.starts = append(p.starts, p.now)
			p.factor = d.Factory
			p.until = 0
			if p.ends > 0 && (!p.bad || !d.Factory) {
				p.until = p.now + int64(p.ends)
			}
			p.s.Started(p.pid, p.now)
		case DoTerm:
			if !p.stuck {
				p.until = p.now + int64(time.Second)
			}
		case DoKill:
			p.killed = true
			p.until = p.now + 1
		case DoAsk:
			if p.well {
				p.s.Answered(p.now)
			}
		case DoPet:
			p.pets = append(p.pets, p.now)
		case DoSay:
			p.said = append(p.said, d.Text)
		case DoFinish:
			p.finish = d.Finish
		}
	}
}

// run lets time pass, four ticks a second.
func (p *player) run(d time.Duration) {
	for end := p.now + int64(d); p.now < end; p.now += int64(time.Second / 4) {
		if p.until != 0 && p.now >= p.until && p.s.Pid() != 0 {
			p.until = 0
			p.do(p.s.Ended(p.s.Pid(), "exit code 1", p.now))
		}
		p.do(p.s.Tick(p.now))
	}
}

func TestARouterThatRunsIsStartedOnceAndPettedFor(t *testing.T) {
	p := newPlayer(t, true)
	p.run(10 * time.Minute)
	if len(p.starts) != 1 || p.s.Factory() {
		t.Errorf("starts at %v", p.starts)
	}
	longest := int64(0)
	for i := range p.pets[1:] {
		longest = max(longest, p.pets[i+1]-p.pets[i])
	}
	if longest > int64(DogTimeout)/2 {
		t.Errorf("%v passed between two pets", time.Duration(longest))
	}
}

func TestARouterThatEndsNowAndThenIsStartedAtOnce(t *testing.T) {
	p := newPlayer(t, true)
	p.ends = 2 * time.Minute
	p.run(20 * time.Minute)
	if n := len(p.starts); n < 9 || n > 10 || p.s.Factory() {
		t.Errorf("%d starts, factory %v", n, p.s.Factory())
	}
}

func TestThreeEndsInAMinuteBringTheFactoryConfiguration(t *testing.T) {
	p := newPlayer(t, true)
	p.ends, p.bad = time.Second, true
	p.run(5 * time.Minute)
	if len(p.starts) != 4 || !p.s.Factory() || !p.factor {
		t.Errorf("starts at %v, factory %v", p.starts, p.s.Factory())
	}
	if !slices.ContainsFunc(p.said, func(s string) bool { return strings.Contains(s, "factory configuration") }) {
		t.Errorf("nothing was said: %q", p.said)
	}
	p.do(p.s.Finish(Restart, p.now))
	p.bad, p.ends = false, 0 // somebody has mended it
	p.run(time.Minute)
	if p.s.Factory() || p.factor {
		t.Error("after a restart by the operator it is still the factory configuration")
	}
}

func TestEndsThatLieApartChangeNothing(t *testing.T) {
	p := newPlayer(t, true)
	p.ends = 35 * time.Second // three ends in 72 seconds
	p.run(10 * time.Minute)
	if p.s.Factory() {
		t.Error("the factory configuration after ends that lie apart")
	}
}

func TestARouterThatNeverRunsIsTriedLessAndLessOftenAndTheWatchdogBites(t *testing.T) {
	p := newPlayer(t, true)
	p.ends, p.well = 100*time.Millisecond, false
	p.run(5 * time.Minute)
	last := p.starts[len(p.starts)-1] - p.starts[len(p.starts)-2]
	if len(p.starts) > 25 || last < int64(mostPause) {
		t.Errorf("%d starts, the last two %v apart", len(p.starts), time.Duration(last))
	}
	if end := p.pets[len(p.pets)-1]; end > int64(70*time.Second) {
		t.Errorf("petted after %v though nothing answers", time.Duration(end))
	}
}

func TestAHangingRouterIsNotPettedFor(t *testing.T) {
	p := newPlayer(t, true)
	p.run(5 * time.Minute)
	p.well = false
	hangs := p.now
	p.run(2 * time.Minute)
	last := p.pets[len(p.pets)-1] - hangs
	if last > int64(fresh) {
		t.Errorf("the last pet came %v after the last answer", time.Duration(last))
	}
	if got := strings.Join(p.said, "\n"); strings.Count(got, "the watchdog resets the machine") != 1 {
		t.Errorf("said: %s", got)
	}
	p.well = true // it was only slow
	p.run(20 * time.Second)
	if n := len(p.pets); p.pets[n-1] < p.now-int64(10*time.Second) {
		t.Error("it answers again and is not petted for")
	}
}

func TestNobodyIsPettedForTheFirstMinuteAlone(t *testing.T) {
	p := newPlayer(t, true)
	p.well = false
	p.run(3 * time.Minute)
	if last := p.pets[len(p.pets)-1]; last < int64(50*time.Second) || last >= int64(grace) {
		t.Errorf("the last pet of a router that never answers came at %v", time.Duration(last))
	}
}

func TestWithoutAWatchdogNobodyIsPetted(t *testing.T) {
	p := newPlayer(t, false)
	p.well = false
	p.run(5 * time.Minute)
	if len(p.pets) != 0 || len(p.said) != 0 {
		t.Errorf("%v, %q", p.pets, p.said)
	}
}

func TestTheEndOfTheMachineWaitsForTheRouterAndNotForEver(t *testing.T) {
	for _, c := range []struct {
		name   string
		stuck  bool
		within time.Duration
	}{{"one that ends", false, 2 * time.Second}, {"one that is stuck", true, 21 * time.Second}} {
		p := newPlayer(t, true)
		p.run(time.Minute)
		p.stuck = c.stuck
		p.do(p.s.Finish(PowerOff, p.now))
		p.do(p.s.Finish(Reboot, p.now)) // somebody else, later: the first holds
		begun := p.now
		for p.finish == NoFinish && p.now < begun+int64(time.Minute) {
			p.run(time.Second / 4)
		}
		if p.finish != PowerOff || p.now-begun > int64(c.within) || p.killed != c.stuck {
			t.Errorf("%s: finish %d after %v, killed %v", c.name, p.finish, time.Duration(p.now-begun), p.killed)
		}
		if p.do(p.s.Tick(p.now)); len(p.starts) != 1 {
			t.Errorf("%s: started again", c.name)
		}
	}
}

func TestTheEndOfTheMachineDoesNotWaitForAnUnkillableRouter(t *testing.T) {
	p := newPlayer(t, true)
	p.run(time.Minute)
	p.do(p.s.Finish(Reboot, p.now))
	p.until = 0 // in the kernel, and no signal reaches it
	begun := p.now
	for p.finish == NoFinish && p.now < begun+int64(time.Minute) {
		p.until = 0
		p.now += int64(time.Second / 4)
		p.do(p.s.Tick(p.now))
	}
	if p.finish != Reboot || p.now-begun > int64(softEnd+hardEnd+time.Second) {
		t.Errorf("finish %d after %v", p.finish, time.Duration(p.now-begun))
	}
}

func TestAnEndOfTheMachineGoesBeforeARestart(t *testing.T) {
	p := newPlayer(t, true)
	p.run(time.Minute)
	p.stuck = true
	p.do(p.s.Finish(Restart, p.now))
	p.run(2 * time.Second)
	p.do(p.s.Finish(Reboot, p.now))
	p.run(30 * time.Second)
	if p.finish != Reboot || len(p.starts) != 1 {
		t.Errorf("finish %d, starts %v", p.finish, p.starts)
	}
}

func TestARouterThatCannotBeStartedIsTriedAgain(t *testing.T) {
	s := NewSupervisor(false, 0)
	tries := 0
	for now := int64(0); now < int64(2*time.Minute); now += int64(time.Second / 4) {
		for _, d := range s.Tick(now) {
			if d.Kind == DoStart {
				tries++
				s.Failed(errors.New("no memory"), now)
			}
		}
	}
	if tries < 5 || tries > 15 {
		t.Errorf("%d tries in two minutes", tries)
	}
}

// Whatever happens in whatever order: one router at most, none after the end.
func TestThereIsNeverMoreThanOneRouter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSupervisor(rapid.Bool().Draw(t, "dog"), 0)
		now, pid, running, finished := int64(0), 1, 0, false
		do := func(what []Do) {
			for _, d := range what {
				switch d.Kind {
				case DoStart:
					if running != 0 || finished {
						t.Fatalf("started beside %d, finished %v", running, finished)
					}
					pid++
					running = pid
					s.Started(pid, now)
				case DoFinish:
					if finished {
						t.Fatal("the machine ends twice")
					}
					finished = true
				case DoPet, DoAsk, DoSay, DoTerm, DoKill:
				}
			}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "wait")
			switch rapid.IntRange(0, 5).Draw(t, "event") {
			case 0:
				gone := running
				running = 0
				do(s.Ended(gone, "exit code 1", now))
			case 1:
				s.Answered(now)
			case 2:
				do(s.Finish(Finish(rapid.IntRange(1, 3).Draw(t, "how")), now))
			case 3:
				do(s.Ended(rapid.IntRange(1000, 2000).Draw(t, "orphan"), "exit code 0", now))
			default:
				do(s.Tick(now))
			}
		}
	})
}
