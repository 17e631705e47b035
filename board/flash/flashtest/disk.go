package flashtest

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"spigate/board/flash"
)

// ErrCut is what every call says after the power was cut.
var ErrCut = errors.New("the power is cut")

// Disk is a file system in memory. It is not for use by several goroutines.
type Disk struct {
	// Capacity is how many bytes fit, 0: no bound. A write takes what fits and then
	// fails with ENOSPC.
	Capacity int
	// Fail is asked before each call that may change something (numbered from 1,
	// what is one of the Op… words); an error is what the call returns, and it then
	// does nothing, or for a write half. May be nil.
	Fail func(call int, op string) error

	Calls  int // that may change something, so far
	Writes int // bytes that were written

	cut     int              // the call before which the power is cut; 0: never
	names   map[string]*node // as programs see them
	kept    map[string]*node // as they are on the flash
	pending []change         // of names that are not on the flash yet, in order
	dirs    map[string]bool
}

// The operations of a Disk.
const (
	OpMakeDir = "mkdir"
	OpCreate  = "create"
	OpWrite   = "write"
	OpSync    = "sync"
	OpClose   = "close"
	OpRename  = "rename"
	OpRemove  = "remove"
	OpSyncDir = "syncdir"
)

// node is a file without its name.
type node struct {
	now  []byte // as programs see it
	kept []byte // as it is on the flash
}

// change is one of names: what appears, what goes.
type change struct {
	gone, name string // "" for none
	node       *node
}

var _ flash.FS = (*Disk)(nil)

// New returns an empty disk with a directory.
func New(dir string) *Disk {
	return &Disk{names: map[string]*node{}, kept: map[string]*node{}, dirs: map[string]bool{dir: true}}
}

// Put makes a file, on the flash at once.
func (d *Disk) Put(path string, content []byte) {
	n := &node{slices.Clone(content), slices.Clone(content)}
	d.names[path], d.kept[path] = n, n
}

// Files returns the paths of all files, in order.
func (d *Disk) Files() []string { return slices.Sorted(maps.Keys(d.names)) }

// Copy returns a disk that shares nothing with d.
func (d *Disk) Copy() *Disk {
	clones := map[*node]*node{nil: nil}
	clone := func(n *node) *node {
		if clones[n] == nil && n != nil {
			clones[n] = &node{slices.Clone(n.now), slices.Clone(n.kept)}
		}
		return clones[n]
	}
	out := &Disk{Capacity: d.Capacity, Fail: d.Fail, names: map[string]*node{}, kept: map[string]*node{}, dirs: maps.Clone(d.dirs)}
	for path, n := range d.names {
		out.names[path] = clone(n)
	}
	for path, n := range d.kept {
		out.kept[path] = clone(n)
	}
	for _, c := range d.pending {
		out.pending = append(out.pending, change{c.gone, c.name, clone(c.node)})
	}
	return out
}

// next counts a call, and says why it cannot be done.
func (d *Disk) next(op, path string) error {
	d.Calls++
	if d.cut > 0 && d.Calls >= d.cut {
		return ErrCut
	}
	if d.Fail != nil {
		if err := d.Fail(d.Calls, op); err != nil {
			return &fs.PathError{Op: op, Path: path, Err: err}
		}
	}
	return nil
}

// off reports whether the power is cut.
func (d *Disk) off() bool { return d.cut > 0 && d.Calls >= d.cut }

// alter is a change of names, which is not on the flash yet.
func (d *Disk) alter(c change) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

func (c change) apply(names map[string]*node) {
	if c.gone != "" {
		delete(names, c.gone)
	}
	if c.name != "" {
		names[c.name] = c.node
	}
}

// MakeDir implements flash.FS.
func (d *Disk) MakeDir(dir string) error {
	err := d.next(OpMakeDir, dir)
	if err == nil {
		d.dirs[dir] = true
	}
	return err
}

// List implements flash.FS.
func (d *Disk) List(dir string) (names []string, err error) {
	if d.off() {
		return nil, ErrCut
	}
	if !d.dirs[dir] {
		return nil, missing("list", dir)
	}
	for _, path := range d.Files() {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	return names, nil
}

// Read implements flash.FS.
func (d *Disk) Read(path string, limit int) ([]byte, error) {
	if d.off() {
		return nil, ErrCut
	}
	n := d.names[path]
	if n == nil {
		return nil, missing("read", path)
	}
	return append([]byte{}, n.now[:min(limit, len(n.now))]...), nil
}

// Create implements flash.FS.
func (d *Disk) Create(path string, _ fs.FileMode) (flash.File, error) {
	if err := d.next(OpCreate, path); err != nil {
		return nil, err
	}
	if d.names[path] != nil {
		return nil, &fs.PathError{Op: OpCreate, Path: path, Err: syscall.EEXIST}
	}
	if !d.dirs[filepath.Dir(path)] {
		return nil, missing(OpCreate, path)
	}
	n := &node{}
	d.alter(change{"", path, n})
	return &file{d, n, path}, nil
}

// Overwrite opens a file to be written in place, as no careful program does.
func (d *Disk) Overwrite(path string) (flash.File, error) {
	n := d.names[path]
	if n == nil {
		return d.Create(path, 0)
	}
	if err := d.next(OpWrite, path); err != nil {
		return nil, err
	}
	n.now = nil
	return &file{d, n, path}, nil
}

// Rename implements flash.FS.
func (d *Disk) Rename(from, to string) error {
	if err := d.next(OpRename, from); err != nil {
		return err
	}
	if d.names[from] == nil {
		return missing(OpRename, from)
	}
	d.alter(change{from, to, d.names[from]})
	return nil
}

// Remove implements flash.FS.
func (d *Disk) Remove(path string) error {
	if err := d.next(OpRemove, path); err != nil {
		return err
	}
	if d.names[path] == nil {
		return missing(OpRemove, path)
	}
	d.alter(change{path, "", nil})
	return nil
}

// SyncDir implements flash.FS.
func (d *Disk) SyncDir(dir string) error {
	if err := d.next(OpSyncDir, dir); err != nil {
		return err
	}
	for _, c := range d.pending {
		c.apply(d.kept)
	}
	d.pending = nil
	return nil
}

// Room implements flash.FS.
func (d *Disk) Room(dir string, bytes int64) error {
	if d.Fail != nil {
		if err := d.Fail(0, OpWrite); err != nil {
			return err
		}
	}
	if d.Capacity > 0 && int64(d.Capacity-d.used()) < bytes {
		return &fs.PathError{Op: OpWrite, Path: dir, Err: syscall.ENOSPC}
	}
	return nil
}

func (d *Disk) used() (n int) {
	for _, f := range d.names {
		n += len(f.now)
	}
	return n
}

func missing(op, path string) error {
	return &fs.PathError{Op: op, Path: path, Err: syscall.ENOENT}
}

// file is one that is being written.
type file struct {
	disk *Disk
	node *node
	path string
}

func (f *file) Write(b []byte) (int, error) {
	d := f.disk
	err := d.next(OpWrite, f.path)
	if errors.Is(err, ErrCut) {
		return 0, err
	}
	n := len(b)
	if err != nil {
		n /= 2
	}
	if free := max(0, d.Capacity-d.used()); d.Capacity > 0 && free < n {
		n, err = free, &fs.PathError{Op: OpWrite, Path: f.path, Err: syscall.ENOSPC}
	}
	f.node.now = append(f.node.now, b[:n]...)
	d.Writes += n
	if errors.Is(err, errShort) {
		return n, nil
	}
	return n, err
}

// errShort makes a write short without an error.
var errShort = errors.New("short")

// ErrShort as the error of Disk.Fail makes a write take half, and say so only by
// its number of bytes.
func ErrShort() error { return errShort }

func (f *file) Sync() error {
	if err := f.disk.next(OpSync, f.path); err != nil {
		return err
	}
	f.node.kept = slices.Clone(f.node.now)
	return nil
}

func (f *file) Close() error { return f.disk.next(OpClose, f.path) }

// String lists the files with their sizes.
func (d *Disk) String() string {
	var words []string
	for _, path := range d.Files() {
		words = append(words, filepath.Base(path)+" "+string(d.names[path].now))
	}
	return strings.Join(words, "; ")
}
