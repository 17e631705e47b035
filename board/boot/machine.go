package boot

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"spigate/board"
)

// Config is what process 1 gets from outside.
type Config struct {
	System  System
	Now     func() int64     // nanoseconds since the boot
	Ticks   <-chan struct{}  // a few times a second
	Signals <-chan os.Signal // SIGCHLD, and those that end a machine
	Console *os.File         // keys and screen; nil: the one of the kernel
	Proc    fs.FS            // root of /proc, once it is mounted
	Notes   string           // socket for messages of the router, as of sd_notify(3)
}

// machine is process 1 at work. Its loop owns everything; goroutines only wait
// for files and hand over what came.
type machine struct {
	Config
	sup    *Supervisor
	dog    Dog
	log    Ring
	screen *screen
	typed  *ahead
	breaks chan struct{} // Ctrl-C
	pace   chan struct{} // one end of input a tick
	lines  chan string   // of the router's log
	notes  chan note
	wells  chan error // answers of the router, nil: it is well

	socket  string
	asking  context.CancelFunc // of the question under way
	job     *job
	stopped bool
	lastErr error
}

// Run is process 1. It returns only if the system cannot end the machine, or
// could not be asked to.
func Run(c Config) error {
	m := &machine{
		Config: c, typed: newAhead(), breaks: make(chan struct{}, 1), pace: make(chan struct{}, 1),
		lines: make(chan string, 64), notes: make(chan note, 4), wells: make(chan error, 1), socket: defaultSocket,
	}
	m.begin()
	for !m.stopped {
		m.turn()
		m.screen.follow(&m.log)
	}
	return m.end()
}

// say tells the log, which the console follows.
func (m *machine) say(format string, args ...any) {
	m.log.Add("init: "+fmt.Sprintf(format, args...), m.Now())
}

func (m *machine) begin() {
	s := setup{m.System, m.say, func() { <-m.Ticks }}
	s.mounts()
	m.openConsole()
	m.screen.follow(&m.log)
	text, err := m.System.Read("/proc/cmdline", maxText)
	if err != nil {
		m.say("kernel arguments: %v", err)
	}
	b := board.Detect(m.Proc)
	m.say("board %s (%s), %d MB", b.Name, b.Title, b.RAM>>20)
	s.modules(b.Name)
	s.compiler()
	m.screen.follow(&m.log)
	s.flash(ParseArguments(string(text)))
	if err := m.System.MakeDir(StateDir); err != nil {
		m.say("%v", err)
	}
	if _, err := listenNotes(m.Notes, m.notes); err != nil {
		m.say("messages of the router: %v", err)
	}
	if err := m.System.HoldKeys(); err != nil {
		m.say("Ctrl-Alt-Del: %v", err)
	}
	m.openDog(cmp.Or(b.Watchdog, "/dev/watchdog"))
	m.sup = NewSupervisor(m.dog != nil, m.Now())
	m.do(m.sup.Tick(m.Now()))
	m.screen.invite()
}

// openConsole takes the kernel's console, which is there once /dev is, and
// makes it our standard output too: a panic should be seen.
func (m *machine) openConsole() {
	if m.Console == nil {
		f, err := os.OpenFile("/dev/console", os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			m.say("console: %v", err)
			m.screen = newScreen(io.Discard)
			return
		}
		for fd := range 3 {
			syscall.Dup3(int(f.Fd()), fd, 0)
		}
		m.Console = f
	}
	prepareTerminal(m.Console)
	m.screen = newScreen(m.Console)
	go m.readKeys(m.Console)
}

// readKeys waits for keys. A console that is gone reads as end after end: those
// come one a tick.
func (m *machine) readKeys(f io.Reader) {
	var k keys
	buf := make([]byte, maxTyped+1)
	for {
		n, err := f.Read(buf)
		if err != nil && err != io.EOF {
			return
		}
		typed, broken := k.read(buf[:n])
		if broken {
			m.typed.clear()
			select {
			case m.breaks <- struct{}{}:
			default:
			}
		}
		m.typed.put(typed)
		if n == 0 {
			<-m.pace
		}
	}
}

func (m *machine) openDog(device string) {
	d, err := m.System.Watchdog(device)
	if err != nil {
		m.say("watchdog %s: %v", device, err)
	}
	if d != nil {
		m.dog = d
	}
}

// turn waits for one thing and does what follows from it.
func (m *machine) turn() {
	var output chan struct{}
	var typed chan struct{}
	if m.job == nil {
		typed = m.typed.wake
	} else {
		if !m.job.finished {
			output = m.job.output
		}
		if m.job.inputs && !m.job.reaped {
			typed = m.typed.wake
		}
	}
	select {
	case <-m.Ticks:
		m.tick()
	case s := <-m.Signals:
		m.signal(s)
	case line := <-m.lines:
		m.log.Add(line, m.Now())
	case n := <-m.notes:
		m.noted(n)
	case err := <-m.wells:
		m.answered(err)
	case <-m.breaks:
		m.interrupted()
	case <-typed:
		m.takeTyped()
	case <-output:
		m.job.finished = true
		m.jobDone()
	}
}

func (m *machine) tick() {
	select {
	case m.pace <- struct{}{}:
	default:
	}
	m.reap() // should a SIGCHLD have been lost
	m.do(m.sup.Tick(m.Now()))
	if m.job != nil && m.job.inputs || m.job == nil {
		m.typed.nudge()
	}
}

func (m *machine) signal(s os.Signal) {
	switch s {
	case syscall.SIGCHLD:
		m.reap()
	case syscall.SIGPWR, syscall.SIGUSR2:
		m.finish(PowerOff, s.String())
	case syscall.SIGTERM, syscall.SIGINT: // SIGINT: Ctrl-Alt-Del
		m.finish(Reboot, s.String())
	}
}

func (m *machine) finish(how Finish, who string) {
	word := map[Finish]string{Restart: "restart of the router", Reboot: "reboot", PowerOff: "power off"}[how]
	m.say("%s (%s)", word, who)
	m.do(m.sup.Finish(how, m.Now()))
}

func (m *machine) reap() {
	for {
		pid, how, ok := m.System.Reap()
		if !ok {
			return
		}
		if m.job != nil && pid == m.job.pid {
			m.job.reaped, m.job.status = true, how
			if m.job.input != nil {
				close(m.job.input)
				m.job.input = nil
			}
			m.jobDone()
		}
		m.do(m.sup.Ended(pid, story(how), m.Now()))
	}
}

// noted takes a message of the router.
func (m *machine) noted(n note) {
	if n.socket != "" {
		m.socket = n.socket
	}
	if n.ready {
		m.say("the router is ready")
	}
}

func (m *machine) do(what []Do) {
	for _, d := range what {
		switch d.Kind {
		case DoStart:
			m.start(d.Factory)
		case DoTerm:
			m.System.Signal(m.sup.Pid(), syscall.SIGTERM)
		case DoKill:
			m.System.Signal(m.sup.Pid(), syscall.SIGKILL)
		case DoAsk:
			m.ask()
		case DoPet:
			if err := m.dog.Pet(); err != nil {
				m.say("watchdog: %v", err)
			}
		case DoSay:
			m.say("%s", d.Text)
		case DoFinish:
			m.last(d.Finish)
		}
	}
}

// start starts the router. What it writes goes to the log.
func (m *machine) start(factory bool) {
	words := []string{"run", "--state-dir=" + StateDir, "--factory", FactoryFile}
	if factory {
		words = append(words, "--use-factory") // what is applied then goes to the slots
	}
	m.socket = defaultSocket
	pid, err := m.launch(words)
	if err != nil {
		m.do(m.sup.Failed(err, m.Now()))
		return
	}
	m.say("the router is started: %s", strings.Join(words, " "))
	m.sup.Started(pid, m.Now())
}

func (m *machine) launch(words []string) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer write.Close()
	pid, err := m.System.Start(words, append(environment(), "NOTIFY_SOCKET="+m.Notes), [3]*os.File{null, write, write})
	if err != nil {
		read.Close()
		return 0, err
	}
	go func() {
		defer read.Close()
		io.Copy(&lines{emit: func(line string) { m.lines <- line }}, read)
	}()
	return pid, nil
}

// environment is that of all our children.
func environment() []string { return []string{"PATH=/", "HOME=/", "TERM=dumb"} }

// ask asks the router whether it is well. A question without an answer is given
// up when the next one is due.
func (m *machine) ask() {
	if m.asking != nil {
		m.asking()
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.asking = cancel
	socket := m.socket
	go func() {
		err := probe(ctx, socket)
		if ctx.Err() == nil {
			select {
			case m.wells <- err:
			case <-ctx.Done():
			}
		}
	}()
}

func (m *machine) answered(err error) {
	if err == nil {
		m.sup.Answered(m.Now())
	}
	// A second one may come before anything else was asked: the first was on its
	// way when the question was put again.
	if m.asking != nil {
		m.asking()
		m.asking = nil
	}
}
