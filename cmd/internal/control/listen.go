package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxSocketPath is what the kernel's sockaddr_un holds, less the closing zero
// and the ending of the temporary name.
const maxSocketPath = 107 - len(newSuffix)

const (
	newSuffix  = ".new"  // the socket before it gets its mode and its name
	lockSuffix = ".lock" // flock: who holds it owns the socket
)

// dialTimeout bounds a connect; on this machine it takes microseconds.
const dialTimeout = 2 * time.Second

// endpoint is the listening socket of one daemon with its lock.
type endpoint struct {
	path     string
	lock     *os.File
	listener *net.UnixListener
}

// openEndpoint takes the lock, removes what a killed daemon left, and
// listens.
func openEndpoint(path string) (*endpoint, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket %s: the path is longer than %d characters", path, maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	e := &endpoint{path: path, lock: lock}
	if err := e.replaceStale(); err != nil {
		e.unlock()
		return nil, err
	}
	if err := e.listen(); err != nil {
		e.unlock()
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return e, nil
}

// takeLock opens and locks the lock file. The holder removes the file when it
// ends, so a lock may be had on a file that is no longer the one in the
// folder: then another daemon could lock the new one, and we try again.
func takeLock(path string) (*os.File, error) {
	for {
		lock, err := os.OpenFile(path+lockSuffix, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("control socket %s: lock: %w", path, err)
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			pid := readPID(lock)
			lock.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, taken(path, pid)
			}
			return nil, fmt.Errorf("control socket %s: lock: %w", path, err)
		}
		if same(lock, path+lockSuffix) {
			return lock, writePID(lock)
		}
		lock.Close()
	}
}

func taken(path, pid string) error {
	return fmt.Errorf("control socket %s: another spigate answers there (pid %s)", path, pid)
}

// same reports whether the open file is still the one of that name.
func same(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(name)
	return err == nil && os.SameFile(open, named)
}

func readPID(lock *os.File) string {
	text, err := io.ReadAll(io.LimitReader(lock, 16))
	pid := strings.TrimSpace(string(text))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return "unknown"
	}
	return pid
}

func writePID(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("control lock: %w", err)
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("control lock: %w", err)
	}
	return nil
}

// replaceStale looks at what stands at the socket's path. Having the lock, we
// know that no daemon of ours is behind it, but we do not take a socket away
// from anybody who answers.
func (e *endpoint) replaceStale() error {
	info, err := os.Lstat(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control socket %s: %w", e.path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control socket %s: a file of another kind is there", e.path)
	}
	conn, err := net.DialTimeout("unix", e.path, dialTimeout)
	if err == nil {
		defer conn.Close()
		return taken(e.path, peerPID(conn.(*net.UnixConn)))
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("control socket %s: %w", e.path, err)
	}
	if err := os.Remove(e.path); err != nil {
		return fmt.Errorf("control socket %s: stale: %w", e.path, err)
	}
	return nil
}

// peerPID asks the kernel who listens at the other end.
func peerPID(conn *net.UnixConn) string {
	if cred, ok := credentials(conn); ok {
		return strconv.Itoa(int(cred.Pid))
	}
	return "unknown"
}

// listen gives the socket its name only when it has its mode: it is never
// there with the wrong one.
func (e *endpoint) listen() error {
	temporary := e.path + newSuffix
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false) // it would remove the temporary name
	// The group may be one of operators; everybody else stays outside.
	err = os.Chmod(temporary, 0o660)
	if err == nil {
		err = os.Rename(temporary, e.path)
	}
	if err != nil {
		l.Close()
		os.Remove(temporary)
		return err
	}
	e.listener = l
	return nil
}

// close stops listening and leaves nothing behind. The order matters: the
// lock goes last, so that the next daemon finds the path free.
func (e *endpoint) close() {
	if e.listener != nil {
		os.Remove(e.path)
		e.listener.Close()
	}
	e.unlock()
}

func (e *endpoint) unlock() {
	os.Remove(e.lock.Name())
	e.lock.Close()
}
