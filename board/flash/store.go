package flash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
)

// Slot is one of a Store's places.
type Slot uint8

// The slots.
const (
	Candidate Slot = iota // what was tried last
	Running               // what the router was told to do last
	Confirmed             // what it boots
)

// Slots returns all, in the order in which Boot tries them.
func Slots() []Slot { return []Slot{Confirmed, Running, Candidate} }

// String returns the slot's word.
func (s Slot) String() string { return [...]string{"candidate", "running", "confirmed"}[s] }

// SlotOf returns the slot of a word.
func SlotOf(word string) (Slot, bool) {
	for _, s := range Slots() {
		if s.String() == word {
			return s, true
		}
	}
	return 0, false
}

// Store is a directory with slots. Its methods may be called at the same time.
// Only one Store at a time may be in use for a directory.
type Store struct {
	dir    string
	fs     FS
	opened error

	mu sync.Mutex
}

// Open returns the Store in a directory, which it makes if it can. What a crash
// has left half written there is removed. That the flash can be read only is no
// error here: a router must boot from it; Health tells.
func Open(dir string, fsys FS) (*Store, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("state directory %q: must be an absolute path", dir)
	}
	s := &Store{dir: filepath.Clean(dir), fs: fsys}
	s.opened = s.tidy()
	return s, nil
}

// tidy removes what waits for a rename that did not come.
func (s *Store) tidy() error {
	names, err := s.fs.List(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return s.fs.MakeDir(s.dir)
	}
	errs := []error{err}
	for _, name := range names {
		if strings.HasSuffix(name, stagedEnd) {
			errs = append(errs, gone(s.fs.Remove(filepath.Join(s.dir, name))))
		}
	}
	return errors.Join(errs...)
}

// Health says why a configuration could not be kept, as far as that can be told
// without writing, and what to do about it.
func (s *Store) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened != nil {
		return advise(s.opened)
	}
	need := int64(0)
	for _, slot := range Slots() {
		file, _, _ := s.read(slot)
		need = max(need, int64(len(file)))
	}
	const block = 4096 // what a file of a byte takes
	if err := s.fs.Room(s.dir, int64(len(Slots()))*(need+block)); err != nil {
		return advise(err)
	}
	return nil
}

// Dir is the Store's directory.
func (s *Store) Dir() string { return s.dir }

// Path is the file of a slot.
func (s *Store) Path(slot Slot) string { return filepath.Join(s.dir, slot.String()+".toml") }

// staged is the file that will become a slot's.
func (s *Store) staged(slot Slot) string { return s.Path(slot) + stagedEnd }

// Read returns what is in a slot. An empty slot is fs.ErrNotExist; otherwise the
// error is a Fault.
func (s *Store) Read(slot Slot) (Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, i, err := s.read(slot)
	return i, err
}

// read returns also the file itself.
func (s *Store) read(slot Slot) (file []byte, i Image, err error) {
	file, err = s.fs.Read(s.Path(slot), maxFile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, i, fmt.Errorf("slot %s: %w", slot, fs.ErrNotExist)
	}
	if err == nil {
		i, err = decode(file)
	}
	if err != nil {
		return file, Image{}, Fault{slot, s.Path(slot), reason(err)}
	}
	return file, i, nil
}

// reason is an error without the path, which a Fault has.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Fault says why a slot that is there was not used.
type Fault struct {
	Slot   Slot
	Path   string
	Reason error
}

// Error implements error.
func (f Fault) Error() string { return fmt.Sprintf("slot %s (%s): %v", f.Slot, f.Path, f.Reason) }

// Unwrap returns the reason.
func (f Fault) Unwrap() error { return f.Reason }

// ErrEmpty is in the chain of Boot's error when no slot has a configuration that
// can be used.
var ErrEmpty = errors.New("no slot has a configuration")

// Boot is what a router starts with.
type Boot struct {
	Slot Slot
	Image
	Damaged []Fault // of the slots that come before it, or of all with ErrEmpty
}

// Boot finds the configuration to start with: the first whole one of confirmed,
// running and candidate that accept, if it is not nil, has nothing against. An
// error of accept is the Fault's reason.
func (s *Store) Boot(accept func(slot Slot, text []byte) error) (Boot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b Boot
	for _, slot := range Slots() {
		_, image, err := s.read(slot)
		if err == nil && accept != nil {
			err = accept(slot, image.Text)
			if err != nil {
				err = Fault{slot, s.Path(slot), err}
			}
		}
		var fault Fault
		switch {
		case err == nil:
			b.Slot, b.Image = slot, image
			return b, nil
		case errors.As(err, &fault):
			b.Damaged = append(b.Damaged, fault)
		}
	}
	return b, fmt.Errorf("%s: %w", s.dir, ErrEmpty)
}

// Write makes text the content of a slot, whole or not at all. It writes nothing
// and returns false if the slot has that text already, whatever its note.
func (s *Store) Write(slot Slot, text []byte, note Note) (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, has := s.look()
	return s.write(slot, Image{text, next, note}, has)
}

// Promote copies a slot into another, with its note and sequence number.
func (s *Store) Promote(from, to Slot) (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, image, err := s.read(from)
	if err != nil {
		return false, err
	}
	_, has := s.look()
	return s.write(to, image, has)
}

func (s *Store) write(slot Slot, image Image, has map[Slot]held) (changed bool, err error) {
	if err := check(image); err != nil {
		return false, err
	}
	if has[slot].is(image.Text) {
		return false, nil
	}
	if err := stage(s.fs, s.staged(slot), encode(image), fileMode); err != nil {
		return false, s.failed(slot, err)
	}
	if err := publish(s.fs, s.staged(slot), s.Path(slot)); err != nil {
		discard(s.fs, s.staged(slot))
		return false, s.failed(slot, err)
	}
	return true, nil
}

// fileMode is that of slots: they have secrets.
const fileMode = 0o600

func (s *Store) failed(slot Slot, err error) error {
	return fmt.Errorf("slot %s: %w", slot, advise(err))
}

// held is what a slot has before it is written.
type held struct {
	file  []byte // nil: none
	image Image
	whole bool
}

func (h held) is(text []byte) bool { return h.whole && bytes.Equal(h.image.Text, text) }

// look returns what all slots have, and the next sequence number, which no
// revision has either.
func (s *Store) look() (next uint64, has map[Slot]held) {
	has = map[Slot]held{}
	for _, slot := range Slots() {
		file, image, err := s.read(slot)
		has[slot] = held{file, image, err == nil}
		next = max(next, image.Sequence)
	}
	if all := s.sequences(); len(all) > 0 {
		next = max(next, all[0])
	}
	return next + 1, has
}
