package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// file keeps a configuration in a file of its own. What belongs to its history
// is in a directory beside it, whose confirmed slot is a copy of what the router
// wrote last: a file that an operator has changed since is told by that.
type file struct {
	path  string
	waits atomic.Bool // something waits for its confirmation

	mu     sync.Mutex
	opened *flash.Store
}

// historyEnd makes the name of a file's history of its own.
const historyEnd = ".history"

// KeepFile keeps the configuration in a file, which the operator may also edit.
// Its history is in the directory FILE.history, which the first apply makes.
func KeepFile(path string) Keeper { return &file{path: path} }

// store opens the history; it is the only Store of its directory.
func (f *file) store() (s *flash.Store, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened == nil {
		dir, err := filepath.Abs(f.path + historyEnd)
		if err != nil {
			return nil, err
		}
		if f.opened, err = flash.Open(dir, flash.OS{}); err != nil {
			return nil, err
		}
	}
	return f.opened, nil
}

// begun is store, but nil if there is no history yet.
func (f *file) begun() (*flash.Store, error) {
	if _, err := os.Stat(f.path + historyEnd); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f.store()
}

// Boot implements Keeper.
func (f *file) Boot(now time.Time, _ *slog.Logger) (*configs.Config, []configs.Warning, error) {
	return Load(f.path, now)
}

// Again implements Keeper. While something waits for its confirmation the file is
// not what runs.
func (f *file) Again(now time.Time) (*configs.Config, []configs.Warning, error) {
	if !f.waits.Load() {
		return Load(f.path, now)
	}
	s, err := f.store()
	if err != nil {
		return nil, nil, err
	}
	i, err := s.Read(flash.Running)
	if err != nil {
		return nil, nil, err
	}
	return LoadText(f.path, i.Text, now)
}

// Started implements Keeper: what the last start has left waiting is given up, or
// is confirmed if it was just about to be.
func (f *file) Started(log *slog.Logger) {
	s, err := f.begun()
	if s == nil || err != nil {
		return
	}
	i, is := s.Pending()
	if !is {
		return
	}
	if text, err := os.ReadFile(f.path); err == nil && bytes.Equal(text, i.Text) {
		_, err = s.Confirm()
		log.Info("config: what was confirmed is in the history", "file", f.path, "sequence", i.Sequence, "error", err)
		return
	}
	giveUp(s, log)
}

// giveUp ends what no start has confirmed.
func giveUp(s *flash.Store, log *slog.Logger) {
	i, err := s.Undo(flash.FateRestarted)
	log.Warn("config: rolled back, for the router ended before it was confirmed", "sequence", i.Sequence, "by", i.Note.By, "comment", i.Note.Comment,
		"written", written(i.Note.Time), "do", "spigate config history shows it; spigate config rollback with its number applies it again")
	if err != nil {
		log.Error("config: the history could not be written; what runs is the confirmed configuration all the same", "reason", flat(err))
	}
}

// Path implements Keeper.
func (f *file) Path() string { return f.path }

// Commit implements Keeper. The file keeps its mode, and a link stays one. What an
// operator has written into it since becomes the history's with it, not before.
func (f *file) Commit(text []byte, note flash.Note, back []byte, live flash.Live) (Kept, error) {
	s, err := f.store()
	if err != nil {
		return Kept{}, err
	}
	found, err := f.found()
	if err != nil {
		return Kept{}, err
	}
	if note.Confirm > 0 {
		return f.try(s, found, text, note, back, live)
	}
	changed := false
	done, err := s.CommitOver(found, text, note, func() (func() error, error) {
		var undo func() error
		var err error
		changed, undo, err = f.replace(text, live)
		return undo, err
	})
	if err == nil {
		f.waits.Store(false)
	}
	return Kept{Written: changed, Sequence: done.Sequence}, err
}

// try is Commit with a time to confirm. An operator who has edited the file in
// place applies what the next start would boot: until that is confirmed the file
// gets back what ran before.
func (f *file) try(s *flash.Store, found flash.Image, text []byte, note flash.Note, back []byte, live flash.Live) (Kept, error) {
	putBack := bytes.Equal(found.Text, text) && len(back) > 0 && !bytes.Equal(back, text)
	if putBack {
		found = flash.Image{Text: back, Note: flash.Note{Comment: "what ran before"}}
		taken := live
		live = func() (func() error, error) {
			_, undo, err := f.replace(back, taken)
			return undo, err
		}
	}
	done, err := s.TryOver(found, text, note, live)
	if err == nil {
		f.waits.Store(done.Pending)
	}
	return Kept{Written: len(done.Written) > 0, Sequence: done.Sequence, Pending: done.Pending, PutBack: putBack}, err
}

// replace writes the file; undo puts back what it was and what ran.
func (f *file) replace(text []byte, live flash.Live) (changed bool, undo func() error, err error) {
	path, err := flash.OS{}.Resolve(f.path)
	if err != nil {
		return false, nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, nil, err
	}
	was, err := os.ReadFile(path)
	if err != nil {
		return false, nil, err
	}
	taken := func() error { return nil }
	changed, err = flash.Replace(flash.OS{}, path, text, info.Mode().Perm(), func() (func() error, error) {
		back, err := live()
		if back != nil {
			taken = back
		}
		return back, err
	})
	if err != nil {
		return changed, nil, err
	}
	return changed, func() error {
		_, err := flash.Replace(flash.OS{}, path, was, info.Mode().Perm(), nil)
		return errors.Join(err, taken())
	}, nil
}

// found is what the next start would boot, whoever has written it; without text
// if the history cannot take it.
func (f *file) found() (flash.Image, error) {
	text, note, err := f.read()
	if len(text) > flash.MaxText {
		text = nil
	}
	return flash.Image{Text: text, Note: note}, err
}

// read returns what is in the file. Nobody knows who wrote it.
func (f *file) read() ([]byte, flash.Note, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, flash.Note{}, err
	}
	text, err := os.ReadFile(f.path)
	return text, flash.Note{Time: info.ModTime(), Comment: "as it was found in the file"}, err
}

// Confirm implements Keeper. A file that was changed meanwhile is not replaced:
// whoever did that does not expect it.
func (f *file) Confirm() (flash.Image, error) {
	s, err := f.store()
	if err != nil {
		return flash.Image{}, err
	}
	text, _, err := f.read()
	if err != nil {
		return flash.Image{}, err
	}
	i, is := s.Pending()
	if !is {
		return i, flash.ErrNotPending
	}
	was, err := s.Read(flash.Confirmed)
	if err != nil {
		return i, err
	}
	if !bytes.Equal(was.Text, text) && !bytes.Equal(i.Text, text) {
		return i, fmt.Errorf("the file %s was changed meanwhile: apply it, or apply again what runs, or roll back", f.path)
	}
	_, undo, err := f.replace(i.Text, func() (func() error, error) { return nil, nil })
	if err != nil {
		return i, err
	}
	if i, err = s.Confirm(); err != nil {
		return i, errors.Join(err, undo())
	}
	f.waits.Store(false)
	return i, nil
}

// Undo implements Keeper.
func (f *file) Undo(fate flash.Fate) error {
	f.waits.Store(false)
	s, err := f.store()
	if err == nil {
		_, err = s.Undo(fate)
	}
	return err
}

// Show implements Keeper.
func (f *file) Show(slot string) (Shown, error) {
	if slot != "" {
		return Shown{}, &control.Error{Message: fmt.Sprintf("there is no slot %s: the router runs on the file %s", slot, f.path), Code: control.CodeNotFound}
	}
	if f.waits.Load() {
		s, err := f.store()
		if err != nil {
			return Shown{}, err
		}
		i, err := s.Read(flash.Running)
		return Shown{Path: s.Path(flash.Running), Image: i}, err
	}
	text, err := os.ReadFile(f.path)
	return Shown{Path: f.path, Image: flash.Image{Text: text}}, err
}

// Revisions implements Keeper: the file is the confirmed one, whoever wrote it.
func (f *file) Revisions() ([]revision, error) {
	text, note, err := f.read()
	if err != nil {
		return nil, err
	}
	found := revision{Image: flash.Image{Text: text, Note: note}, path: f.path, state: control.RevisionConfirmed}
	s, err := f.begun()
	if s == nil || err != nil {
		return []revision{found}, err
	}
	list := revisionsOf(s, f.waits.Load())
	for i := range list {
		if r := &list[i]; r.state == control.RevisionConfirmed && !bytes.Equal(r.Text, text) {
			r.state = control.RevisionPrevious
			return append(list[:i:i], append([]revision{found}, list[i:]...)...), nil
		}
	}
	if slices.ContainsFunc(list, func(r revision) bool { return r.state == control.RevisionConfirmed }) {
		return list, nil
	}
	// The slot is damaged, or somebody has removed it: the file is there all the same.
	list = slices.DeleteFunc(list, func(r revision) bool { return r.state == control.RevisionCandidate && bytes.Equal(r.Text, text) })
	at := slices.IndexFunc(list, func(r revision) bool { return r.numbered() })
	if at < 0 {
		at = len(list)
	}
	return slices.Insert(list, at, found), nil
}
