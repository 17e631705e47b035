package flash

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
)

// Live applies a configuration to a running router. undo takes that back; it may
// be nil.
type Live func() (undo func() error, err error)

// Committed is what Commit or Try did.
type Committed struct {
	Written  []Slot // those whose text was another
	Sequence uint64 // of what was written; 0: nothing was
	Pending  bool   // the confirmed slot has another text: Confirm or Undo is to come
}

// Commit makes text the configuration: candidate, then live, then running, then
// confirmed. A crash at any moment leaves a Store that boots the old
// configuration or the new one, whole, and after Commit has returned without an
// error the new one. What was confirmed before becomes a revision, and so does
// what Try had left unconfirmed.
//
// Everything that needs room is written before live is called, under other
// names: after that there are only renames. If anything fails, live is undone,
// and running and confirmed are as they were; the candidate stays, unless it is
// all that there would be to boot. If they could not be put back, the error says
// so. live must not use the Store.
func (s *Store) Commit(text []byte, note Note, live Live) (Committed, error) {
	return s.CommitOver(Image{}, text, note, live)
}

// CommitOver is Commit for a configuration that is kept in another place too:
// found is what stands there and the next start would boot, whatever the
// confirmed slot has. It becomes a revision in the same change: all or nothing.
// Without text found is what is confirmed.
func (s *Store) CommitOver(found Image, text []byte, note Note, live Live) (Committed, error) {
	note.Confirm = 0
	return s.change(found, text, note, live, true)
}

// Try is Commit without the confirmed slot, which the next start boots until
// Confirm: note.Confirm is how long that may take. ErrNothingConfirmed if there
// would be nothing to boot until then.
func (s *Store) Try(text []byte, note Note, live Live) (Committed, error) {
	return s.TryOver(Image{}, text, note, live)
}

// TryOver is to Try what CommitOver is to Commit: found becomes the confirmed
// slot's, once live has come to its end.
func (s *Store) TryOver(found Image, text []byte, note Note, live Live) (Committed, error) {
	return s.change(found, text, note, live, false)
}

func (s *Store) change(found Image, text []byte, note Note, live Live, good bool) (Committed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, has := s.look()
	over := len(found.Text) > 0 && !has[Confirmed].is(found.Text)
	if over {
		found.Sequence = next
		next++
		if err := check(found); err != nil {
			return Committed{}, err
		}
	}
	image := Image{text, next, note}
	if err := check(image); err != nil {
		return Committed{}, err
	}
	if !good && !over && !has[Confirmed].whole {
		return Committed{}, ErrNothingConfirmed
	}
	t := &transaction{Store: s, has: has}
	boots := t.plan(found, image, good, over)
	if err := t.stage(); err != nil {
		return Committed{}, err
	}
	slots := []Slot{Candidate, Running, Confirmed}
	if !good { // a crash in between leaves what was found, and nothing that waits
		slots = []Slot{Candidate, Confirmed, Running}
	}
	if err := t.run(live, slots); err != nil {
		return Committed{}, err
	}
	s.prune()
	out := Committed{Sequence: next, Pending: string(boots) != string(text)}
	for slot := range t.wanted {
		out.Written = append(out.Written, slot)
	}
	slices.Sort(out.Written)
	if len(out.Written) == 0 {
		out.Sequence = 0
	}
	return out, nil
}

// plan notes what is to be written, and returns what the confirmed slot has then.
func (t *transaction) plan(found, image Image, good, over bool) (boots []byte) {
	has, text := t.has, image.Text
	if over || good && !has[Confirmed].is(text) {
		t.archive(has[Confirmed], "")
	}
	if pending(has) && !has[Running].is(text) {
		t.archive(has[Running], FateReplaced)
	}
	if over && good && string(found.Text) != string(text) {
		t.archive(held{image: found, whole: true}, "")
	}
	if !has[Candidate].is(text) {
		t.want(Candidate, image)
	}
	if over || !has[Running].is(text) { // it is to be newer than what was found
		t.want(Running, image)
	}
	switch {
	case good && (over || !has[Confirmed].is(text)):
		t.want(Confirmed, image)
	case over && !good:
		t.want(Confirmed, found)
		return found.Text
	case !good:
		return has[Confirmed].image.Text
	}
	return text
}

// transaction is a change under way.
type transaction struct {
	*Store
	has      map[Slot]held
	wanted   map[Slot][]byte // to be replaced, by these files
	archived []archived
	undo     func() error
}

// archived is a revision that is to be written.
type archived struct {
	sequence uint64
	file     []byte
}

// want notes that a slot is to have an image.
func (t *transaction) want(slot Slot, image Image) {
	if t.wanted == nil {
		t.wanted = map[Slot][]byte{}
	}
	t.wanted[slot] = encode(image)
}

// archive notes that what a slot has is to become a revision. What is not whole
// cannot.
func (t *transaction) archive(h held, fate Fate) {
	if !h.whole {
		return
	}
	h.image.Note.Fate = fate
	file := compress(h.image)
	if was, err := t.fs.Read(t.revision(h.image.Sequence), maxRevision+1); err == nil && string(was) == string(file) {
		return
	}
	t.archived = append(t.archived, archived{h.image.Sequence, file})
}

// stage writes all under other names. Without room old revisions give way.
func (t *transaction) stage() error {
	for _, a := range t.archived {
		if err := t.stageIn(t.revision(a.sequence), a.file); err != nil {
			return t.abort(fmt.Errorf("revision %d: %w", a.sequence, advise(err)))
		}
	}
	for _, slot := range []Slot{Candidate, Running, Confirmed} {
		if file := t.wanted[slot]; file != nil {
			if err := t.stageIn(t.Path(slot), file); err != nil {
				return t.abort(t.failed(slot, err))
			}
		}
	}
	return nil
}

// stageIn stages the file of a path.
func (t *transaction) stageIn(path string, file []byte) error {
	for {
		err := stage(t.fs, path+stagedEnd, file, fileMode)
		full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		if !full || !t.giveWay() {
			return err
		}
	}
}

// run gives all that is staged its name. The revisions come before what they are
// copies of is replaced.
func (t *transaction) run(live Live, slots []Slot) error {
	for i, slot := range slots {
		if i == 1 { // behind the candidate
			if err := t.goLive(live); err != nil {
				return t.abort(err)
			}
		}
		if err := t.publish(slot); err != nil {
			return t.abort(err)
		}
	}
	return nil
}

// goLive lets the router take it, and writes the revisions.
func (t *transaction) goLive(live Live) error {
	undo, err := live()
	if err != nil {
		return err
	}
	t.undo = undo
	for _, a := range t.archived {
		path := t.revision(a.sequence)
		if err := publish(t.fs, path+stagedEnd, path); err != nil {
			return fmt.Errorf("revision %d: %w", a.sequence, advise(err))
		}
	}
	return nil
}

// publish gives a slot its new file, if it needs one.
func (t *transaction) publish(slot Slot) error {
	if t.wanted[slot] == nil {
		return nil
	}
	if err := publish(t.fs, t.staged(slot), t.Path(slot)); err != nil {
		return t.failed(slot, err)
	}
	return nil
}

// abort takes back what was done, and says why. A revision that is there already
// does no harm: it says what its slot does.
func (t *transaction) abort(why error) error {
	for slot := range t.wanted {
		discard(t.fs, t.staged(slot))
	}
	for _, a := range t.archived {
		discard(t.fs, t.revision(a.sequence)+stagedEnd)
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
