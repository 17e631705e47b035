package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// terminal is a terminal on which a live view is drawn, and from which keys are
// read one by one. Raw mode is two bits: golang.org/x/term would be a module for
// that. Signals stay as they are, so Ctrl-C ends as everywhere, and Ctrl-Z stops.
type terminal struct {
	out, in   *os.File
	was       unix.Termios
	keys      chan byte
	resized   chan os.Signal
	suspended chan os.Signal // Ctrl-Z: whoever draws calls suspend
	halt      func()         // stops the process until it is continued
	done      chan struct{}  // closed when nobody reads keys any more
	stop      context.CancelFunc
}

// What a terminal is told: another screen, no cursor, lines that are cut and do
// not go on below; and all of that back.
const (
	screenOn  = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	screenOff = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// openTerminal takes over the terminal that out is. Without one, or if keys
// cannot be read from it, there is none.
func openTerminal(ctx context.Context, out any) (*terminal, bool) {
	f, ok := out.(*os.File)
	if !ok {
		return nil, false
	}
	t := &terminal{
		out: f, in: keyboard(f), keys: make(chan byte), halt: haltProcess,
		resized: make(chan os.Signal, 1), suspended: make(chan os.Signal, 1),
	}
	mode, err := unix.IoctlGetTermios(int(t.in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, false
	}
	t.was = *mode
	if t.enter(ctx) != nil {
		return nil, false
	}
	signal.Notify(t.resized, syscall.SIGWINCH)
	signal.Notify(t.suspended, syscall.SIGTSTP)
	return t, true
}

// enter changes the terminal, and reads keys until ctx ends or leave is called.
func (t *terminal) enter(ctx context.Context) error {
	mode := t.was
	mode.Lflag &^= unix.ICANON | unix.ECHO
	// A read waits for a tenth of a second, so that whoever reads sees the end.
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 0, 1
	// In the background this stops the process, until it is in front again.
	if err := unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &mode); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	ctx, t.stop = context.WithCancel(ctx)
	t.done = make(chan struct{})
	go t.read(ctx, t.done)
	t.out.WriteString(screenOn)
	return nil
}

// leave makes the terminal what it was. Nobody reads keys after that: a read that
// began in the terminal's own mode would wait for a whole line.
func (t *terminal) leave() {
	t.stop()
	<-t.done
	t.out.WriteString(screenOff)
	_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &t.was)
}

// suspend gives the terminal back, stops, and takes it over again when the process
// is continued. What was drawn is gone then.
func (t *terminal) suspend(ctx context.Context) error {
	t.leave()
	t.halt()
	return t.enter(ctx)
}

// haltProcess does what SIGTSTP does by default: it stops the process, unless no
// shell is there that could continue it, where SIGSTOP would be for ever. Go keeps
// its handler of this signal when nobody is notified any more, so the default is
// asked of the kernel, and put back. A signal to the thread itself is taken before
// the call returns: one to the process might be taken by another thread when it is
// handled again.
func haltProcess() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The kernel's struct sigaction, which is no larger; all zero it is SIG_DFL.
	var byDefault, was [8]uintptr
	if setAction(&byDefault, &was) {
		_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTSTP)
		setAction(&was, &byDefault)
	}
}

// setAction sets what SIGTSTP does, and tells what it did.
func setAction(to, was *[8]uintptr) bool {
	signals := uintptr(8) // bytes of a set of them
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		signals = 16
	}
	_, _, failed := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGTSTP),
		uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(was)), signals, 0, 0)
	return failed == 0
}

// keyboard is the file from which the keys of a terminal come: the terminal
// itself, if it was opened for both, as shells do.
func keyboard(out *os.File) *os.File {
	flags, err := unix.FcntlInt(out.Fd(), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE == unix.O_RDWR {
		return out
	}
	return os.Stdin
}

// read passes keys on until ctx ends, and closes done.
func (t *terminal) read(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	var b [1]byte
	for ctx.Err() == nil {
		n, err := unix.Read(int(t.in.Fd()), b[:])
		if err != nil && err != unix.EINTR && err != unix.EAGAIN {
			return // the terminal is gone
		}
		if n != 1 {
			continue
		}
		select {
		case t.keys <- b[0]:
		case <-ctx.Done():
		}
	}
}

// height is how many lines there are; many if the terminal does not say.
func (t *terminal) height() int {
	size, err := unix.IoctlGetWinsize(int(t.out.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Row == 0 {
		return 1 << 10
	}
	return int(size.Row)
}

// close gives the terminal back for good.
func (t *terminal) close() {
	signal.Stop(t.resized)
	signal.Stop(t.suspended)
	t.leave()
}
