package flash

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Live applies a configuration to a running router. undo takes that back; it may
// be nil.
type Live func() (undo func() error, err error)

// Committed is what Commit did.
type Committed struct {
	Written  []Slot // those whose text was another
	Sequence uint64 // of what was written; 0: nothing was
}

// Commit makes text the configuration: candidate, then live, then running, then
// confirmed. A crash at any moment leaves a Store that boots the old
// configuration or the new one, whole, and after Commit has returned without an
// error the new one.
//
// Everything that needs room is written before live is called, under other
// names: after that there are only renames. If anything fails, live is undone,
// and running and confirmed are as they were; the candidate stays, unless it is
// all that there would be to boot. If they could not be put back, the error says
// so. live must not use the Store.
func (s *Store) Commit(text []byte, note Note, live Live) (Committed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, has := s.look()
	image := Image{text, next, note}
	if err := check(image); err != nil {
		return Committed{}, err
	}
	t := &transaction{Store: s, has: has}
	for _, slot := range []Slot{Candidate, Running, Confirmed} {
		if has[slot].is(text) {
			continue
		}
		t.wanted = append(t.wanted, slot)
		if err := stage(s.fs, s.staged(slot), encode(image), fileMode); err != nil {
			return Committed{}, t.abort(s.failed(slot, err))
		}
	}
	if err := t.run(live); err != nil {
		return Committed{}, err
	}
	if len(t.wanted) == 0 {
		next = 0
	}
	return Committed{t.wanted, next}, nil
}

// transaction is a Commit under way.
type transaction struct {
	*Store
	has    map[Slot]held
	wanted []Slot // to be replaced, their files are staged
	undo   func() error
}

func (t *transaction) run(live Live) error {
	if err := t.publish(Candidate); err != nil {
		return t.abort(err)
	}
	undo, err := live()
	if err != nil {
		return t.abort(err)
	}
	t.undo = undo
	for _, slot := range []Slot{Running, Confirmed} {
		if err := t.publish(slot); err != nil {
			return t.abort(err)
		}
	}
	return nil
}

// publish gives a slot its new file, if it needs one.
func (t *transaction) publish(slot Slot) error {
	for _, wanted := range t.wanted {
		if wanted != slot {
			continue
		}
		if err := publish(t.fs, t.staged(slot), t.Path(slot)); err != nil {
			return t.failed(slot, err)
		}
	}
	return nil
}

// abort takes back what was done, and says why.
func (t *transaction) abort(why error) error {
	for _, slot := range t.wanted {
		discard(t.fs, t.staged(slot))
	}
	if t.undo != nil {
		if err := t.undo(); err != nil {
			why = fmt.Errorf("%w; and the old configuration could not be applied again: %w", why, err)
		}
	}
	back := []Slot{Confirmed, Running}
	if !t.has[Confirmed].whole && !t.has[Running].whole {
		back = append(back, Candidate)
	}
	var errs []error
	for _, slot := range back {
		errs = append(errs, t.putBack(slot))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w; and the flash could not be put back (%w): the next start may boot the old configuration or the new one", why, err)
	}
	return why
}

// putBack gives a slot the file that it had before.
func (t *transaction) putBack(slot Slot) error {
	was := t.has[slot].file
	now, _, _ := t.read(slot)
	if string(now) == string(was) {
		return nil
	}
	if was == nil {
		return errors.Join(gone(t.fs.Remove(t.Path(slot))), t.fs.SyncDir(filepath.Dir(t.Path(slot))))
	}
	if err := stage(t.fs, t.staged(slot), was, fileMode); err != nil {
		return err
	}
	return publish(t.fs, t.staged(slot), t.Path(slot))
}
