package boot

import (
	"fmt"
	"time"
)

// Times of the supervisor.
const (
	leastPause = 500 * time.Millisecond // before the first restart, and twice as long for each that follows
	mostPause  = 30 * time.Second
	steady     = time.Minute // who has run so long has begun well
	manyEnds   = 3           // so many ends within steady: the configuration is to blame
	grace      = time.Minute // from a start until the first answer is due
	fresh      = 15 * time.Second
	askEvery   = 5 * time.Second
	petEvery   = 5 * time.Second
	softEnd    = 15 * time.Second // from SIGTERM to SIGKILL
	hardEnd    = 5 * time.Second  // from SIGKILL until nobody waits any more
)

// DogTimeout is after what time without a pet the watchdog resets the machine.
const DogTimeout = 20 * time.Second

// Finish says how a machine ends.
type Finish uint8

// The ways.
const (
	NoFinish Finish = iota
	Restart         // of the router alone
	Reboot
	PowerOff
)

// Do is one thing that the supervisor wants done.
type Do struct {
	Kind    DoKind
	Factory bool   // DoStart: with the factory configuration
	Text    string // DoSay
	Finish  Finish // DoFinish: Reboot or PowerOff
}

// DoKind is what to do.
type DoKind uint8

// What the supervisor wants done.
const (
	DoStart  DoKind = iota // start the router; then Started or Failed
	DoTerm                 // ask it to end
	DoKill                 // end it
	DoAsk                  // ask whether it is well; then Answered, if it is
	DoPet                  // the watchdog
	DoSay                  // tell the console and the log
	DoFinish               // end the machine
)

// Supervisor decides about one child. It is a state machine: every method takes
// the time, in nanoseconds since the boot, and returns what is to be done, in
// order.
type Supervisor struct {
	dog bool // there is a watchdog

	pid     int   // of the router, 0: it does not run
	began   int64 // when it was started
	next    int64 // when it is to be started again, if it does not run
	pause   time.Duration
	ends    []int64 // the last ones, oldest first
	factory bool

	ending  Finish // what is under way
	killAt  int64  // SIGKILL; 0: sent
	leaveAt int64  // not to be waited for after this
	done    bool

	answered int64 // last answer
	patient  int64 // until then no answer is due
	asked    int64
	petted   int64
	quiet    bool // it was said that there is no answer
}

// NewSupervisor returns one that starts the router at once.
func NewSupervisor(dog bool, now int64) *Supervisor {
	const long = -int64(time.Hour)
	return &Supervisor{dog: dog, next: now, pause: leastPause, patient: now + int64(grace), answered: long, asked: long, petted: long}
}

// Factory reports whether the factory configuration is in use because the
// router kept ending with its own.
func (s *Supervisor) Factory() bool { return s.factory }

// Pid is the router's process, 0 if it does not run.
func (s *Supervisor) Pid() int { return s.pid }

// Tick is called a few times a second.
func (s *Supervisor) Tick(now int64) []Do {
	if s.done {
		return nil
	}
	out := s.pet(now)
	switch {
	case s.ending != NoFinish:
		out = append(out, s.endStep(now)...)
	case s.pid == 0 && now >= s.next:
		s.next = now + int64(mostPause) // should the start be lost
		out = append(out, Do{Kind: DoStart, Factory: s.factory})
	case s.pid != 0 && now-s.asked >= int64(askEvery):
		s.asked = now
		out = append(out, Do{Kind: DoAsk})
	}
	return out
}

// pet feeds the watchdog while all is well: the router answers, an answer is
// not due yet, or it is being ended, which takes a bounded time.
func (s *Supervisor) pet(now int64) []Do {
	if !s.dog {
		return nil
	}
	late := now >= s.patient && now-s.answered >= int64(fresh)
	if s.ending != NoFinish {
		late = now >= s.leaveAt // killed, and it does not end all the same
	}
	if late {
		if s.quiet {
			return nil
		}
		s.quiet = true
		return say("the router does not answer: the watchdog resets the machine in %v", DogTimeout)
	}
	s.quiet = false
	if now-s.petted < int64(petEvery) {
		return nil
	}
	s.petted = now
	return []Do{{Kind: DoPet}}
}

// Started tells that the router runs.
func (s *Supervisor) Started(pid int, now int64) { s.pid, s.began, s.asked = pid, now, now }

// Failed tells that the router could not be started at all.
func (s *Supervisor) Failed(err error, now int64) []Do {
	s.began = now
	return append(say("the router cannot be started: %v", err), s.ended(now)...)
}

// Answered tells that the router is well.
func (s *Supervisor) Answered(now int64) { s.answered = now }

// Ended tells that a process has ended; how is for people. Others than the
// router are none of the supervisor's business.
func (s *Supervisor) Ended(pid int, how string, now int64) []Do {
	if pid == 0 || pid != s.pid {
		return nil
	}
	s.pid = 0
	if s.done {
		return nil
	}
	if s.ending != NoFinish {
		return s.endStep(now)
	}
	return append(say("the router has ended: %s", how), s.ended(now)...)
}

func (s *Supervisor) ended(now int64) []Do {
	if now-s.began >= int64(steady) {
		s.pause = leastPause
	}
	s.ends = append(s.ends, now)
	if len(s.ends) > manyEnds {
		s.ends = s.ends[1:]
	}
	var out []Do
	if !s.factory && len(s.ends) == manyEnds && now-s.ends[0] < int64(steady) {
		s.factory, s.ends, s.pause = true, nil, leastPause
		s.patient = now + int64(grace)
		out = say("%d ends within %v: the router now runs with the factory configuration; what is on the flash stays as it is", manyEnds, steady)
	}
	s.next = now + int64(s.pause)
	out = append(out, say("next start in %v", s.pause)...)
	s.pause = min(2*s.pause, mostPause)
	return out
}

// Finish begins a restart of the router or the end of the machine. The end goes
// before a restart; otherwise what was asked for first holds.
func (s *Supervisor) Finish(how Finish, now int64) []Do {
	if s.done || s.ending != NoFinish && (s.ending != Restart || how == Restart) {
		return nil
	}
	begun := s.ending != NoFinish
	s.ending = how
	if begun {
		return nil
	}
	s.killAt, s.leaveAt = now+int64(softEnd), now+int64(softEnd+hardEnd)
	if s.pid == 0 {
		return s.endStep(now)
	}
	return []Do{{Kind: DoTerm}}
}

// endStep goes on with what Finish has begun.
func (s *Supervisor) endStep(now int64) []Do {
	var out []Do
	if s.pid != 0 && s.killAt != 0 && now >= s.killAt {
		s.killAt = 0
		out = append(say("the router does not end: it is killed"), Do{Kind: DoKill})
	}
	if s.pid != 0 && (now < s.leaveAt || s.ending == Restart) {
		return out
	}
	if s.ending != Restart {
		s.done = true
		return append(out, Do{Kind: DoFinish, Finish: s.ending})
	}
	// An operator's restart is a new beginning: with the own configuration.
	s.ending, s.factory, s.ends, s.pause = NoFinish, false, nil, leastPause
	s.next, s.patient = now, now+int64(grace)
	return out
}

func say(format string, args ...any) []Do {
	return []Do{{Kind: DoSay, Text: fmt.Sprintf(format, args...)}}
}
