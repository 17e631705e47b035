package boot

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A process that hangs in the kernel does not end when it is killed. Nothing but
// a reset of the machine mends that.
func TestARestartThatDoesNotComeToAnEndIsForTheWatchdog(t *testing.T) {
	p := newPlayer(t, true)
	p.run(2 * time.Minute)
	p.stuck, p.well = true, false
	p.do(p.s.Finish(Restart, p.now))
	begun := p.now
	for range 4 * 120 {
		p.run(time.Second / 4)
		p.until = 0 // it does not end, killed or not
	}
	if last := p.pets[len(p.pets)-1]; !p.killed || time.Duration(last-begun) > softEnd+hardEnd {
		t.Errorf("killed %v, petted for %v", p.killed, time.Duration(last-begun))
	}
}

// An answer may be on its way while the next question is asked, and then both
// come.
func TestAnAnswerThatNobodyWaitsForAnyMoreDoesNoHarm(t *testing.T) {
	m := &machine{sup: NewSupervisor(true, 0), Config: Config{Now: func() int64 { return 7 }}}
	ended := 0
	_, cancel := context.WithCancel(t.Context())
	m.asking = func() { ended++; cancel() }
	m.answered(errors.New("refused"))
	m.answered(nil)
	if ended != 1 || m.sup.answered != 7 {
		t.Errorf("%d questions ended, last answer at %d", ended, m.sup.answered)
	}
}
