package boot

import (
	"fmt"
	"syscall"
)

// farewell is how many turns of the clock other processes have to end.
const farewell = 8

// last ends what else runs, writes the flash out and ends the machine. The
// router has ended by now. From here nothing is waited for but the clock.
func (m *machine) last(how Finish) {
	m.stopped = true
	m.System.SignalAll(syscall.SIGTERM)
	for range farewell {
		<-m.Ticks
		if !m.others() {
			break
		}
	}
	m.System.SignalAll(syscall.SIGKILL)
	m.System.Settle()
	if err := m.System.Unmount(overlay); err != nil {
		m.say("unmount %s: %v", overlay, err)
	}
	if m.dog != nil && how == PowerOff {
		// A reboot that hangs is the watchdog's to mend; without power nothing is.
		if err := m.dog.Rest(); err != nil {
			m.say("watchdog: %v", err)
		}
	}
	m.say("the end")
	m.screen.held = false
	m.screen.follow(&m.log)
	m.drain()
	m.failed(m.System.Finish(how))
}

// others reaps, and reports whether a command of the console is still there.
func (m *machine) others() bool {
	for {
		pid, _, ok := m.System.Reap()
		if !ok {
			return m.job != nil && m.job.pid != 0 && !m.job.reaped
		}
		if m.job != nil && pid == m.job.pid {
			m.job.reaped = true
		}
	}
}

// drain gives the console a moment for what is queued.
func (m *machine) drain() {
	for range farewell {
		if len(m.screen.queue) == 0 {
			break
		}
		<-m.Ticks
	}
	<-m.Ticks // for what is being written
}

// failed notes that the machine did not end.
func (m *machine) failed(err error) { m.lastErr = fmt.Errorf("end of the machine: %w", err) }

// end is reached only if the machine did not end.
func (m *machine) end() error { return m.lastErr }
