package boot

import (
	"fmt"
	"syscall"
)

const help = `What is typed here are the words of the router's command line, for example

  show status                   config show
  show ipsecalg session         config apply -   (then the text, then Ctrl-D)
  list lsn                      explain …

and of the machine:

  log                           what was logged, as far as it is kept
  dmesg                         the kernel's log
  memory                        what the machine, the router and process 1 have of it
  restart                       end the router and start it again, with its own configuration
  signal hup|quit|stop|cont     send the router a signal: read its configuration again, end
                                with a report of what it was doing, halt, go on
  reboot, poweroff              end the router and the machine

Ctrl-C ends a command; twice kills it.
`

// takeTyped handles what was typed: a command, or input of one.
func (m *machine) takeTyped() {
	t, lost, ok := m.typed.take()
	if lost > 0 {
		m.screen.offer(fmt.Sprintf("(%d lines were thrown away: too much at once)\n", lost))
	}
	if !ok {
		return
	}
	if m.job != nil {
		m.feed(t)
		return
	}
	m.typed.nudge()
	m.screen.fresh = false
	words, err := Words(t.Line)
	switch {
	case t.End:
	case err != nil:
		m.screen.offer(err.Error() + "\n" + prompt)
	case len(words) == 0:
		m.screen.invite()
	default:
		m.command(words)
	}
}

func (m *machine) feed(t Typed) {
	if m.job.input == nil {
		return
	}
	select {
	case m.job.input <- t:
		m.typed.nudge()
		if t.End {
			close(m.job.input)
			m.job.input, m.job.inputs = nil, false
		}
	default: // it does not read as fast as somebody types: again in a while
		m.typed.back(t)
	}
}

// command runs one line.
func (m *machine) command(words []string) {
	if words[0] == "spigate" && len(words) > 1 {
		words = words[1:]
	}
	m.screen.held = true
	switch {
	case len(words) == 1 && (words[0] == "help" || words[0] == "?"):
		m.job = print(help, m.screen)
	case len(words) == 1 && words[0] == "log":
		m.job = print(m.log.Text(), m.screen)
	case len(words) == 1 && words[0] == "dmesg":
		m.job = m.kernelLog()
	case len(words) == 1 && words[0] == "memory":
		m.job = print(memory(m.System, m.sup.Pid()), m.screen)
	case len(words) == 1 && words[0] == "restart":
		m.order(Restart)
	case len(words) == 1 && words[0] == "reboot":
		m.order(Reboot)
	case len(words) == 1 && words[0] == "poweroff":
		m.order(PowerOff)
	case words[0] == "signal":
		m.job = print(m.sendSignal(words[1:]), m.screen)
	default:
		j, err := startJob(m.System, words, environment(), m.screen)
		if err != nil {
			j = print(err.Error()+"\n", m.screen)
		}
		m.job = j
	}
}

func (m *machine) order(how Finish) {
	m.finish(how, "console")
	m.screen.invite()
}

func (m *machine) kernelLog() *job {
	text, err := m.System.Log()
	if err != nil {
		return print(err.Error()+"\n", m.screen)
	}
	return print(string(text), m.screen)
}

func (m *machine) sendSignal(words []string) string {
	known := map[string]syscall.Signal{"hup": syscall.SIGHUP, "quit": syscall.SIGQUIT, "stop": syscall.SIGSTOP, "cont": syscall.SIGCONT}
	if len(words) != 1 || known[words[0]] == 0 {
		return "want signal hup, quit, stop or cont\n"
	}
	if m.sup.Pid() == 0 {
		return "the router does not run\n"
	}
	if err := m.System.Signal(m.sup.Pid(), known[words[0]]); err != nil {
		return err.Error() + "\n"
	}
	return ""
}

// interrupted answers Ctrl-C.
func (m *machine) interrupted() {
	if m.job == nil {
		m.screen.offer("\n")
		m.screen.invite()
		return
	}
	m.job.interrupt(m.System)
}

// jobDone shows the prompt when a command has ended with all its output.
func (m *machine) jobDone() {
	if m.job == nil || !m.job.done() {
		return
	}
	if m.job.pid != 0 && (m.job.status.Signaled() || m.job.status.ExitStatus() != 0) {
		m.screen.offer(fmt.Sprintf("(%s)\n", story(m.job.status)))
	}
	m.job = nil
	m.screen.invite()
	m.typed.nudge()
}
