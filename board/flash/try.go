package flash

import (
	"errors"
	"fmt"
)

// ErrNotPending is what Confirm and Undo say when Try has left nothing.
var ErrNotPending = errors.New("nothing waits for its confirmation")

// ErrNothingConfirmed is what Try says of a Store whose confirmed slot is empty or
// damaged: there is nothing to go back to.
var ErrNothingConfirmed = errors.New("there is no confirmed configuration to go back to")

// pending reports whether the running slot has what Try wrote and nobody has
// confirmed since.
func pending(has map[Slot]held) bool {
	r, c := has[Running], has[Confirmed]
	return r.whole && c.whole && r.image.Note.Confirm > 0 && r.image.Sequence > c.image.Sequence && !c.is(r.image.Text)
}

// Pending returns what Try has left in the running slot, if nobody has confirmed
// it: after a start, that is what was not confirmed before the power was cut.
func (s *Store) Pending() (Image, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.look()
	return has[Running].image, pending(has)
}

// Confirm makes what Try has left what the next start boots; what that was
// before becomes a revision. A crash meanwhile leaves the old one or the new one.
func (s *Store) Confirm() (Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.look()
	if !pending(has) {
		return Image{}, ErrNotPending
	}
	t := &transaction{Store: s, has: has}
	t.archive(has[Confirmed], "")
	image := has[Running].image
	t.want(Confirmed, image)
	return image, t.swap(Confirmed)
}

// Undo gives up what Try has left: it becomes a revision with a fate, and the
// running slot gets what is confirmed. Whatever fails or crashes, the next start
// boots the confirmed slot, which is not touched.
func (s *Store) Undo(fate Fate) (Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.look()
	if !pending(has) {
		return Image{}, ErrNotPending
	}
	t := &transaction{Store: s, has: has}
	image := has[Running].image
	t.archive(has[Running], fate)
	t.want(Running, has[Confirmed].image)
	return image, t.swap(Running)
}

// swap writes the revisions and replaces a slot.
func (t *transaction) swap(slot Slot) error {
	if err := t.stage(); err != nil {
		return err
	}
	err := t.goLive(func() (func() error, error) { return nil, nil })
	if err == nil {
		err = t.publish(slot)
	}
	if err != nil {
		return t.abort(err)
	}
	t.prune()
	return nil
}

// Fate says why a revision is none that was confirmed; "" if it was.
type Fate string

// The fates.
const (
	FateReplaced     Fate = "replaced"      // another was applied before it was confirmed
	FateNotConfirmed Fate = "not_confirmed" // its time was over
	FateRolledBack   Fate = "rolled_back"   // an operator gave it up
	FateRestarted    Fate = "restarted"     // the router ended before it was confirmed
)

func checkFate(f Fate) error {
	switch f {
	case "", FateReplaced, FateNotConfirmed, FateRolledBack, FateRestarted:
		return nil
	}
	return fmt.Errorf("%.20q is no fate of a revision", string(f))
}
