package boot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// fake is a System that notes what it was asked, and fails as it is told.
type fake struct {
	mu     sync.Mutex
	files  map[string][]byte
	refuse map[string]error // by the beginning of what is asked
	asked  []string
	ended  []death
	pid    int
	alive  map[int][3]*os.File
	words  map[int][]string
}

type death struct {
	pid int
	how syscall.WaitStatus
}

func newFake() *fake {
	return &fake{
		files: map[string][]byte{}, refuse: map[string]error{}, pid: 10, alive: map[int][3]*os.File{}, words: map[int][]string{},
	}
}

// note writes down what was asked, and returns the error that it is to have.
func (f *fake) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	f.asked = append(f.asked, text)
	for begin, err := range f.refuse {
		if strings.HasPrefix(text, begin) {
			return err
		}
	}
	return nil
}

// all is everything that was asked, a line each.
func (f *fake) all() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, "\n")
}

// did reports whether something was asked that begins so.
func (f *fake) did(begin string) bool { return f.count(begin) > 0 }

func (f *fake) count(begin string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.asked {
		if strings.HasPrefix(a, begin) {
			n++
		}
	}
	return n
}

func (f *fake) Mount(m Mount) error {
	return f.note("mount %s %s %s %#x %s", m.Target, m.Source, m.Kind, m.Flags&syscall.MS_RDONLY, m.Options)
}
func (f *fake) Unmount(target string) error      { return f.note("unmount %s", target) }
func (f *fake) MakeDir(dir string) error         { return f.note("mkdir %s", dir) }
func (f *fake) RemoveAll(dir string) error       { return f.note("remove %s", dir) }
func (f *fake) LoadModule(file string) error     { return f.note("module %s", file) }
func (f *fake) HoldKeys() error                  { return f.note("keys") }
func (f *fake) Log() ([]byte, error)             { return []byte("<6>[ 0.000000] Booting\n"), f.note("log") }
func (f *fake) SignalAll(s syscall.Signal) error { return f.note("all %v", s) }
func (f *fake) Settle()                          { f.note("sync") }
func (f *fake) Finish(how Finish) error {
	return errors.Join(f.note("finish %d", how), errors.ErrUnsupported)
}

func (f *fake) Read(file string, most int64) ([]byte, error) {
	if err := f.note("read %s", file); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, ok := f.files[file]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: file, Err: fs.ErrNotExist}
	}
	return text[:min(int64(len(text)), most)], nil
}

func (f *fake) Write(file, text string) error {
	if err := f.note("write %s %s", file, strings.TrimSpace(text)); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.files[file]; !ok {
		return &fs.PathError{Op: "open", Path: file, Err: fs.ErrNotExist}
	}
	f.files[file] = []byte(text)
	return nil
}

func (f *fake) List(dir string) ([]string, error) {
	err := f.note("list %s", dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for file := range f.files {
		if name, ok := strings.CutPrefix(file, "/dev/"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

type fakeDog struct{ f *fake }

func (d fakeDog) Pet() error  { return d.f.note("pet") }
func (d fakeDog) Rest() error { return d.f.note("rest") }

func (f *fake) Watchdog(device string) (Dog, error) {
	if err := f.note("watchdog %s", device); err != nil {
		return nil, err
	}
	return fakeDog{f}, nil
}

func (f *fake) Start(words, env []string, files [3]*os.File) (int, error) {
	if err := f.note("start %s", strings.Join(words, " ")); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pid++
	var own [3]*os.File
	for i, file := range files {
		fd, err := syscall.Dup(int(file.Fd()))
		if err != nil {
			return 0, err
		}
		own[i] = os.NewFile(uintptr(fd), file.Name())
	}
	f.alive[f.pid], f.words[f.pid] = own, words
	return f.pid, nil
}

func (f *fake) Signal(pid int, s syscall.Signal) error {
	err := f.note("signal %d %v", pid, s)
	if s == syscall.SIGTERM || s == syscall.SIGKILL || s == syscall.SIGINT {
		f.end(pid, syscall.WaitStatus(s))
	}
	return err
}

// end ends a process.
func (f *fake) end(pid int, how syscall.WaitStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	files, ok := f.alive[pid]
	if !ok {
		return
	}
	for _, file := range files {
		file.Close()
	}
	delete(f.alive, pid)
	f.ended = append(f.ended, death{pid, how})
}

// running returns the process that was started with words that begin so.
func (f *fake) running(begin string) (pid int, files [3]*os.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p, words := range f.words {
		if own, ok := f.alive[p]; ok && strings.HasPrefix(strings.Join(words, " "), begin) {
			return p, own
		}
	}
	return 0, files
}

func (f *fake) Reap() (int, syscall.WaitStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ended) == 0 {
		return 0, 0, false
	}
	d := f.ended[0]
	f.ended = f.ended[1:]
	return d.pid, d.how, true
}

// ext4 is the beginning of a file system with a label.
func ext4(label string) []byte {
	head := make([]byte, 4096)
	binary.LittleEndian.PutUint16(head[superblock+0x38:], ext4Magic)
	copy(head[superblock+0x78:superblockEnd], label)
	return head
}
