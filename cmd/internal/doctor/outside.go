package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// Absent is what is known when no daemon answered.
type Absent struct {
	Socket string
	Why    error // what the question ended with
	User   int   // who asked: 0 is root

	// Files are configurations that a daemon may be started with, each with what
	// reading it came to.
	Files []File
	// StateDirs are directories for slots, with the slots that were found there.
	StateDirs []StateDir
}

// File is a configuration that was read.
type File struct {
	Path string
	Err  error
}

// StateDir is a directory with slots.
type StateDir struct {
	Path  string
	Slots []string // file names
	Err   error    // of reading the directory
}

// Parts that are looked at from outside alone.
const (
	partSocket = "socket"
	partStart  = "start"
)

// Outside returns the tree of checks when the daemon does not answer.
func Outside(a Absent) []control.Check {
	r := &report{}
	r.begin(partDaemon, "")
	r.fail("alive", missing(a.Why), "%v", plain(a.Why))
	r.end()
	r.socket(&a)
	r.start(&a)
	return r.rows
}

// plain is an error without the advice that comes with it elsewhere.
func plain(err error) string {
	text, _, _ := strings.Cut(err.Error(), ": "+control.ErrNoDaemon.Error())
	return strings.ReplaceAll(text, "\n", "; ")
}

func missing(why error) string {
	switch {
	case errors.Is(why, fs.ErrPermission):
		return "ask as root, or as a member of the socket's group"
	case errors.Is(why, fs.ErrNotExist):
		return "start it: systemctl start spigate, service spigate start, or spigate run --config FILE; if it runs with another [control] socket, name that with --socket"
	case errors.Is(why, syscall.ECONNREFUSED):
		return "it has died: the end of its log says why (journalctl -u spigate, logread); then start it again"
	}
	return "something else may listen there, or it hangs: look at its log, then start it anew"
}

func (r *report) socket(a *Absent) {
	r.begin(partSocket, "")
	defer r.end()
	switch {
	case errors.Is(a.Why, fs.ErrNotExist):
		r.warn(a.Socket, "nothing by itself: the daemon makes it", "it is not there")
	case errors.Is(a.Why, fs.ErrPermission):
		r.fail(a.Socket, "sudo, or usermod -a -G for its group", "user %d may not open it", a.User)
	case errors.Is(a.Why, syscall.ECONNREFUSED):
		r.warn(a.Socket, "nothing by itself: the next daemon replaces it", "it is there, but nobody listens")
	default:
		r.warn(a.Socket, "is it the daemon's socket?", "it is there")
	}
}

// start looks at what the next daemon would be started with.
func (r *report) start(a *Absent) {
	r.begin(partStart, "")
	defer r.end()
	if a.User != 0 {
		r.warn("user", "start it as root, or with CAP_NET_RAW and CAP_NET_ADMIN as the packaged service does", "user %d asks; the daemon takes ports from the kernel", a.User)
	}
	for _, f := range a.Files {
		r.file(&f)
	}
	for _, d := range a.StateDirs {
		switch {
		case d.Err != nil:
			r.warn(d.Path, "who may read it? the daemon runs as root", "%v", d.Err)
		case len(d.Slots) == 0:
			r.warn(d.Path, "spigate run --state-dir needs a slot there, or --factory FILE", "it has no slot")
		default:
			r.ok(d.Path, "slots: %s", strings.Join(d.Slots, ", "))
		}
	}
	if len(a.Files)+len(a.StateDirs) == 0 {
		r.warn("configuration", "name it with --config FILE, or its slots with --state-dir DIR, and it is looked at too", "none is where it usually is")
	}
}

func (r *report) file(f *File) {
	faults := configs.Faults(f.Err)
	switch {
	case f.Err == nil:
		r.ok(f.Path, "it can be run")
	case len(faults) > 0:
		r.fail(f.Path, "mend it; spigate check "+f.Path+" names all of it", "%s, the first: %v", count(len(faults), "fault"), faults[0])
	default:
		r.fail(f.Path, "can it be read, and is it there?", "%v", f.Err)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// SlotFiles picks the slots out of the names of a directory.
func SlotFiles(names []string) (out []string) {
	for _, n := range names {
		switch strings.TrimSuffix(n, filepath.Ext(n)) {
		case "confirmed", "running", "candidate":
			out = append(out, n)
		}
	}
	return out
}
