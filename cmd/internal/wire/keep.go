package wire

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
	"spigate/configs"
)

// Keeper is where the configuration of a daemon is kept, so that its next start
// finds it.
type Keeper interface {
	// Boot loads the configuration to start with, and logs which that is and why
	// not another.
	Boot(now time.Time, log *slog.Logger) (*configs.Config, []configs.Warning, error)
	// Again loads what SIGHUP is about.
	Again(now time.Time) (*configs.Config, []configs.Warning, error)
	// Started is told when the router runs what Boot loaded.
	Started(log *slog.Logger)
	// Path is the file that the next start reads: what a configuration names is
	// relative to its directory.
	Path() string
	// Commit keeps a text that has been checked; live applies it meanwhile. An
	// error means that nothing has changed, or says what has.
	Commit(text []byte, note flash.Note, live flash.Live) (Kept, error)
	// Show returns the text of a slot; "" is the running one.
	Show(slot string) (Shown, error)
}

// Kept is what Commit did.
type Kept struct {
	Written  bool   // false: the text was there already
	Sequence uint64 // of the slots; 0: there are none, or none was written
}

// Shown is a text that is kept.
type Shown struct {
	Slot string // "" without slots
	Path string
	flash.Image
}

// file keeps a configuration in a file of its own.
type file struct{ path string }

// KeepFile keeps the configuration in a file, which the operator may also edit.
func KeepFile(path string) Keeper { return file{path} }

// Boot implements Keeper.
func (f file) Boot(now time.Time, _ *slog.Logger) (*configs.Config, []configs.Warning, error) {
	return Load(f.path, now)
}

// Again implements Keeper.
func (f file) Again(now time.Time) (*configs.Config, []configs.Warning, error) {
	return Load(f.path, now)
}

// Started implements Keeper.
func (file) Started(*slog.Logger) {}

// Path implements Keeper.
func (f file) Path() string { return f.path }

// Commit implements Keeper. The file keeps its mode, and a link stays one.
func (f file) Commit(text []byte, _ flash.Note, live flash.Live) (Kept, error) {
	path, err := flash.OS{}.Resolve(f.path)
	if err != nil {
		return Kept{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Kept{}, err
	}
	changed, err := flash.Replace(flash.OS{}, path, text, info.Mode().Perm(), live)
	return Kept{Written: changed}, err
}

// Show implements Keeper.
func (f file) Show(slot string) (Shown, error) {
	if slot != "" {
		return Shown{}, &control.Error{Message: fmt.Sprintf("there is no slot %s: the router runs on the file %s", slot, f.path), Code: control.CodeNotFound}
	}
	text, err := os.ReadFile(f.path)
	return Shown{Path: f.path, Image: flash.Image{Text: text}}, err
}
