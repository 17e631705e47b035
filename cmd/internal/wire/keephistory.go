package wire

import (
	"bytes"

	"spigate/board/flash"
	"spigate/cmd/internal/control"
)

// revision is one configuration that is kept.
type revision struct {
	flash.Image        // with sequence number 0 if that is not known
	path        string // of its file
	state       string // one of control's words
	fault       error  // why there is no Image
}

// numbered reports whether "config rollback" can name it.
func (r *revision) numbered() bool {
	return r.state != control.RevisionPending && r.state != control.RevisionCandidate
}

// revisionsOf lists what a Store has, the newest first: what waits for its
// confirmation, what was tried in vain, what is confirmed, what was before.
func revisionsOf(s *flash.Store, waits bool) (out []revision) {
	known := map[uint64]bool{}
	var confirmed []byte
	add := func(slot flash.Slot, state string) {
		i, err := s.Read(slot)
		if err != nil || known[i.Sequence] || bytes.Equal(i.Text, confirmed) {
			return
		}
		if slot == flash.Confirmed {
			confirmed = i.Text
		}
		known[i.Sequence] = true
		out = append(out, revision{Image: i, path: s.Path(slot), state: state})
	}
	if waits {
		add(flash.Running, control.RevisionPending)
	}
	add(flash.Confirmed, control.RevisionConfirmed)
	earlier := s.History()
	for _, r := range earlier {
		known[r.Sequence] = true
	}
	before := len(out)
	add(flash.Candidate, control.RevisionCandidate)
	if len(out) > before { // it was tried last
		out = append([]revision{out[before]}, out[:before]...)
	}
	for _, r := range earlier {
		out = append(out, revision{Image: r.Image, path: r.Path, state: stateOf(r), fault: r.Fault})
		out[len(out)-1].Sequence = r.Sequence
	}
	return out
}

// stateOf is the state of an earlier configuration.
func stateOf(r flash.Revision) string {
	switch {
	case r.Fault != nil:
		return control.RevisionDamaged
	case r.Note.Fate == "":
		return control.RevisionPrevious
	case r.Note.Fate == flash.FateReplaced:
		return control.RevisionReplaced
	}
	return control.RevisionRolledBack
}
