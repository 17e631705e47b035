package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// slots keep a configuration on flash.
type slots struct {
	store   *flash.Store
	factory Factory
	booted  flash.Slot // valid with some
	some    bool       // a slot was booted

	waits     atomic.Bool // something waits for its confirmation, and runs
	atFactory atomic.Bool // the factory configuration runs, and nothing was applied since
}

// Factory is the configuration that a router comes with.
type Factory struct {
	File string // that is run when no slot can be booted; "": none
	Use  bool   // run it whatever the slots have: what they have did not do well
}

// KeepSlots keeps the configuration in the slots of a directory.
func KeepSlots(dir string, factory Factory, fsys flash.FS) (Keeper, error) {
	store, err := flash.Open(dir, fsys)
	if err != nil {
		return nil, err
	}
	return &slots{store: store, factory: factory}, nil
}

// Boot implements Keeper. A slot that this build refuses, perhaps because it is
// older than the one that wrote it, is passed over as a damaged one is.
func (s *slots) Boot(now time.Time, log *slog.Logger) (*configs.Config, []configs.Warning, error) {
	if err := s.store.Health(); err != nil {
		log.Warn("configurations cannot be kept; the router runs all the same", "state_dir", s.store.Dir(), "reason", err)
	}
	s.atFactory.Store(false)
	if s.factory.Use {
		s.atFactory.Store(true)
		log.Warn("boot: the factory configuration, as was asked for; the slots stay as they are until the next spigate config apply", "state_dir", s.store.Dir(), "file", s.factory.File)
		return Load(s.factory.File, now)
	}
	var c *configs.Config
	var warnings []configs.Warning
	b, err := s.store.Boot(func(slot flash.Slot, text []byte) (err error) {
		c, warnings, err = LoadText(s.store.Path(slot), text, now)
		return err
	})
	for _, f := range b.Damaged {
		log.Error("a slot is not booted", "slot", f.Slot, "file", f.Path, "reason", flat(f.Reason),
			"do", "nothing: it stays as it is until the next spigate config apply")
	}
	if err == nil {
		s.booted, s.some = b.Slot, true
		log.Info("boot", "slot", b.Slot, "sequence", b.Sequence, "written", written(b.Note.Time), "comment", b.Note.Comment)
		if d := c.System.StateDir; d != s.store.Dir() && d != usualStateDir {
			log.Warn("state_dir in [system] is another directory than the one that was booted from", "state_dir", d, "booted_from", s.store.Dir())
		}
		return c, warnings, nil
	}
	if s.factory.File == "" {
		return nil, nil, fmt.Errorf("%w that can be booted: start it with --factory FILE, then give it one with: spigate config apply FILE", err)
	}
	log.Warn("boot: the factory configuration, for no slot can be booted", "state_dir", s.store.Dir(), "file", s.factory.File)
	s.atFactory.Store(true)
	return Load(s.factory.File, now)
}

// usualStateDir is [system] state_dir where it is not written.
const usualStateDir = "/overlay/spigate"

// written is when a slot was, for people.
func written(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// Started implements Keeper: what runs is the running slot, also after a crash
// between it and the confirmed one.
func (s *slots) Started(log *slog.Logger) {
	if !s.some || s.booted == flash.Running {
		return
	}
	if _, is := s.store.Pending(); is && s.booted == flash.Confirmed {
		giveUp(s.store, log)
		return
	}
	changed, err := s.store.Promote(s.booted, flash.Running)
	switch {
	case err != nil:
		log.Warn("the running slot is not what runs", "booted", s.booted, "reason", err)
	case changed:
		log.Info("the running slot is what was booted", "booted", s.booted)
	}
}

// Again implements Keeper: SIGHUP reads the running slot, or what runs in its
// place.
func (s *slots) Again(now time.Time) (*configs.Config, []configs.Warning, error) {
	if s.atFactory.Load() && !s.waits.Load() {
		return Load(s.factory.File, now)
	}
	i, err := s.store.Read(s.runs())
	if err != nil {
		return nil, nil, err
	}
	return LoadText(s.Path(), i.Text, now)
}

// runs is the slot of what the router was told last. What was given up may still
// be in the running one, if the flash could not be written.
func (s *slots) runs() flash.Slot {
	if _, is := s.store.Pending(); is && !s.waits.Load() {
		return flash.Confirmed
	}
	return flash.Running
}

// Path implements Keeper.
func (s *slots) Path() string { return s.store.Path(flash.Running) }

// Commit implements Keeper.
func (s *slots) Commit(text []byte, note flash.Note, back []byte, live flash.Live) (Kept, error) {
	keep := s.store.Commit
	if note.Confirm > 0 {
		keep = s.store.Try
		i, err := s.store.Read(flash.Confirmed)
		if err == nil && bytes.Equal(i.Text, text) && len(back) > 0 && !bytes.Equal(back, text) {
			return Kept{}, errBootsAlready(s.store.Path(flash.Confirmed))
		}
	}
	done, err := keep(text, note, live)
	if err == nil {
		s.waits.Store(done.Pending)
		s.atFactory.Store(s.atFactory.Load() && done.Pending)
	}
	return Kept{Written: len(done.Written) > 0, Sequence: done.Sequence, Pending: done.Pending}, err
}

// errBootsAlready is said where the factory configuration runs although there is
// a slot: that one cannot wait for its confirmation.
func errBootsAlready(path string) error {
	return &control.Error{Code: control.CodeNeedsStart, Message: fmt.Sprintf(
		"%s: the next start takes this very text already, so it would not be rolled back: apply it without a time to confirm", path)}
}

// Confirm implements Keeper.
func (s *slots) Confirm() (flash.Image, error) {
	i, err := s.store.Confirm()
	if err == nil {
		s.waits.Store(false)
		s.atFactory.Store(false)
	}
	return i, err
}

// Undo implements Keeper.
func (s *slots) Undo(fate flash.Fate) error {
	s.waits.Store(false)
	_, err := s.store.Undo(fate)
	return err
}

// Revisions implements Keeper.
func (s *slots) Revisions() ([]revision, error) { return revisionsOf(s.store, s.waits.Load()), nil }

// Show implements Keeper.
func (s *slots) Show(word string) (Shown, error) {
	if word == "" && s.atFactory.Load() && !s.waits.Load() {
		return KeepFile(s.factory.File).Show("")
	}
	if word == "" {
		word = s.runs().String()
	}
	slot, ok := flash.SlotOf(word)
	if !ok {
		return Shown{}, control.NotFound("slot", word, "candidate", "running", "confirmed")
	}
	i, err := s.store.Read(slot)
	if errors.Is(err, fs.ErrNotExist) {
		return Shown{}, &control.Error{Message: fmt.Sprintf("slot %s of %s is empty", slot, s.store.Dir()), Code: control.CodeNotFound}
	}
	return Shown{word, s.store.Path(slot), i}, err
}
