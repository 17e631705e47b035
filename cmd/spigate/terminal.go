package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is a terminal on which a live view is drawn, and from which keys are
// read one by one. Raw mode is two bits: golang.org/x/term would be a module for
// that. Signals stay as they are, so Ctrl-C ends as everywhere.
type terminal struct {
	out, in *os.File
	was     unix.Termios
	keys    chan byte
	resized chan os.Signal
	done    chan struct{} // closed when nobody reads keys any more
	stop    context.CancelFunc
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
	t := &terminal{out: f, in: keyboard(f), keys: make(chan byte), resized: make(chan os.Signal, 1), done: make(chan struct{})}
	mode, err := unix.IoctlGetTermios(int(t.in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, false
	}
	t.was = *mode
	mode.Lflag &^= unix.ICANON | unix.ECHO
	// A read waits for a tenth of a second, so that whoever reads sees the end.
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 0, 1
	if unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, mode) != nil {
		return nil, false
	}
	ctx, t.stop = context.WithCancel(ctx)
	signal.Notify(t.resized, syscall.SIGWINCH)
	go t.read(ctx)
	f.WriteString(screenOn)
	return t, true
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

// read passes keys on until ctx ends.
func (t *terminal) read(ctx context.Context) {
	defer close(t.done)
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

// close gives the terminal back as it was.
func (t *terminal) close() {
	t.stop()
	<-t.done
	signal.Stop(t.resized)
	t.out.WriteString(screenOff)
	_ = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &t.was)
}
