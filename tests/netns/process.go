package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxLines bounds what is kept of a process's output; the oldest goes first.
const maxLines = 20000

// stopGrace is how long a process may take to end after SIGTERM.
const stopGrace = 10 * time.Second

// Command says what to start.
type Command struct {
	Path string
	Args []string
	Env  []string          // nil: this process's own
	Line func(line string) // called for each line of its output as it comes, may be nil
	In   *os.File          // its standard input; nil: none
	CPUs []int             // that it may run on; nil: all
}

// Process is a running process in a namespace.
type Process struct {
	path string
	cmd  *exec.Cmd
	out  *lines
	done chan struct{}
	err  error // of Wait; valid once done is closed
}

// Start starts a process in the namespace. It is ended by Stop, at the latest
// when the lab closes; the kernel ends it when this process dies.
func (n *Namespace) Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.Env
	if c.In != nil {
		cmd.Stdin = c.In
	}
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &Process{path: c.Path, cmd: cmd, out: newLines(c.Line), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	started := make(chan error, 1)
	go p.attend(n, c.CPUs, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("namespace %s: start %s: %w", n.Name, c.Path, err)
	}
	n.lab.later(p.Stop)
	return p, nil
}

// attend starts the process and waits for it on one thread: the death signal
// is tied to the thread that started it, not to the process.
func (p *Process) attend(n *Namespace, cpus []int, started chan<- error) {
	runtime.LockOSThread()
	defer close(p.done)
	err := n.enter()
	if err == nil {
		err = stayOn(cpus) // the child inherits it
	}
	if err == nil {
		err = p.cmd.Start()
	}
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
		p.out.close()
	}
}

// stayOn binds the calling thread to CPUs, to none in particular if cpus is
// empty.
func stayOn(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	return unix.SchedSetaffinity(0, &set)
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the process ended, nil for exit status 0; call it after Done
// is closed.
func (p *Process) Err() error { return p.err }

// While returns a context that ends with the process, too.
func (p *Process) While(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.done:
			cancel(fmt.Errorf("%s ended: %w", p.path, errors.Join(p.err, context.Canceled)))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Output returns the lines that the process has written so far, both streams.
func (p *Process) Output() []string { return p.out.all() }

// Stop ends the process with SIGTERM, and with SIGKILL if it does not go. That
// it had to be killed is an error; that it had ended before is none.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.path, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	err := p.cmd.Process.Kill()
	<-p.done
	return errors.Join(fmt.Errorf("stop %s: still there %v after SIGTERM, killed", p.path, stopGrace), err)
}

// WaitLine returns the first line of output, from the beginning, for which
// match is true. It fails when the context or the process ends first.
func (p *Process) WaitLine(ctx context.Context, match func(line string) bool) (string, error) {
	for from := 0; ; {
		got, next, more := p.out.since(from)
		for _, s := range got {
			if match(s) {
				return s, nil
			}
		}
		from = next
		select {
		case <-more:
		case <-p.done:
			if got, _, _ := p.out.since(from); len(got) == 0 {
				return "", fmt.Errorf("%s ended: %w", p.path, errors.Join(p.err, errNoLine))
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

var errNoLine = errors.New("no such line of output")

// Run runs a command in the namespace to its end and returns its output.
func (n *Namespace) Run(ctx context.Context, stdin, path string, args ...string) (string, error) {
	var out bytes.Buffer
	err := n.Do(func() error {
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
		cmd.WaitDelay = time.Second
		return cmd.Run()
	})
	if err != nil {
		return out.String(), fmt.Errorf("namespace %s: %s %s: %w: %s", n.Name, path, strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// lines collects output line by line and wakes those who wait for more.
type lines struct {
	each func(string)

	mu    sync.Mutex
	part  []byte
	kept  []string
	first int           // number of the oldest kept line
	more  chan struct{} // closed and renewed when a line comes
}

func newLines(each func(string)) *lines {
	return &lines{each: each, more: make(chan struct{})}
}

// Write implements io.Writer for exec: it is called by one goroutine at a time.
func (l *lines) Write(b []byte) (int, error) {
	l.part = append(l.part, b...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			return len(b), nil
		}
		l.add(string(l.part[:i]))
		l.part = l.part[i+1:]
	}
}

func (l *lines) close() {
	if len(l.part) > 0 {
		l.add(string(l.part))
		l.part = nil
	}
}

func (l *lines) add(s string) {
	l.mu.Lock()
	l.kept = append(l.kept, s)
	if len(l.kept) > maxLines {
		l.kept = append([]string(nil), l.kept[len(l.kept)-maxLines/2:]...)
		l.first += maxLines + 1 - maxLines/2
	}
	close(l.more)
	l.more = make(chan struct{})
	l.mu.Unlock()
	if l.each != nil {
		l.each(s)
	}
}

// since returns the kept lines from number n on, the number of the next line,
// and a channel that is closed when it comes.
func (l *lines) since(n int) ([]string, int, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := max(0, n-l.first)
	return l.kept[from:len(l.kept):len(l.kept)], l.first + len(l.kept), l.more
}

func (l *lines) all() []string {
	got, _, _ := l.since(0)
	return got
}
