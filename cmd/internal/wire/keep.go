package wire

import (
	"log/slog"
	"time"

	"spigate/board/flash"
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
	// error means that nothing has changed, or says what has. With note.Confirm
	// the next start finds what it would have found before, until Confirm; if that
	// is this very text, it finds back, which a rollback would make run again, or
	// it is an error. Without text back is not known.
	Commit(text []byte, note flash.Note, back []byte, live flash.Live) (Kept, error)
	// Confirm makes what waits for it what the next start finds.
	Confirm() (flash.Image, error)
	// Undo gives up what waits for its confirmation. Whatever the error, the next
	// start does not find it, and Again does not return it any more.
	Undo(fate flash.Fate) error
	// Show returns the text of a slot; "" is the running one.
	Show(slot string) (Shown, error)
	// Revisions returns all that is kept, the newest first.
	Revisions() ([]revision, error)
}

// Kept is what Commit did.
type Kept struct {
	Written  bool   // false: the text was there already
	Sequence uint64 // of what was written; 0: nothing was
	Pending  bool   // it waits for its confirmation
	PutBack  bool   // Path had the text already, and has what ran before until Confirm
}

// Shown is a text that is kept.
type Shown struct {
	Slot string // "" without slots
	Path string
	flash.Image
}
