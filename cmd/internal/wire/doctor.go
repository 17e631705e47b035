package wire

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"spigate/cmd/internal/control"
	"spigate/cmd/internal/doctor"
	"spigate/cmd/internal/metrics"
)

// healthy is a Keeper that can tell whether it could keep a configuration.
type healthy interface{ Health() error }

// Health implements healthy.
func (s *slots) Health() error { return s.store.Health() }

// Health implements healthy: the file is replaced by another one in its folder.
func (f *file) Health() error {
	if err := unix.Access(filepath.Dir(f.path), unix.W_OK); err != nil {
		return fmt.Errorf("%s: %w", filepath.Dir(f.path), err)
	}
	return nil
}

// Doctor implements control.Doctor.
func (v *views) Doctor() []control.Check { return doctor.Examine(v, v.host()) }

// host is what the checks need and no view shows.
func (v *views) host() doctor.Host {
	h := doctor.Host{Now: time.Now(), Synced: clockSynced(), Memory: metrics.ReadProcess().Memory, Keeps: errKeepsNone()}
	h.Built, _ = time.Parse(time.RFC3339, v.Version().RevisionTime) // zero: not known
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		h.MemoryLimit = uint64(limit)
	}
	if v.daemon == nil {
		return h
	}
	h.Alive = v.daemon.Alive()
	h.KeptIn, h.Keeps = v.daemon.keeper.Path(), nil
	if k, ok := v.daemon.keeper.(healthy); ok {
		h.Keeps = k.Health()
	}
	return h
}

// clockSynced asks the kernel whether somebody keeps the wall clock, as
// adjtimex(2) has it; nil if it does not say.
func clockSynced() *bool {
	var t unix.Timex // without modes it is only read
	if _, err := unix.Adjtimex(&t); err != nil {
		return nil
	}
	synced := t.Status&unix.STA_UNSYNC == 0
	return &synced
}
