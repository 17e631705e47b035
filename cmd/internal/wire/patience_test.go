package wire

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"spigate/configs"
	"spigate/hw"
	"spigate/hw/hwtest"
)

// hungChip is a chip whose bus hangs from when it is told to until it is freed.
type hungChip struct {
	*hwtest.Fake
	free chan struct{} // nil: it does not hang
	told chan struct{} // has a value for each that has begun to hang
}

func (h *hungChip) hang() {
	if h.free != nil {
		h.told <- struct{}{}
		<-h.free
	}
}

func (h *hungChip) Prepare() error {
	h.hang()
	return h.Fake.Prepare()
}

func (h *hungChip) Counters() ([]hw.Counters, error) {
	h.hang()
	return h.Fake.Counters()
}

// hungBench is a bench whose chip hangs, and whose switches have little patience.
func hungBench() (*switchBench, *hungChip) {
	h := &hungChip{chip(), make(chan struct{}), make(chan struct{}, 16)}
	b := newSwitchBench(h.Fake)
	b.patience = 20 * time.Millisecond
	b.openChip = func(*configs.Config, *configs.Switch, *slog.Logger) (openedChip, error) {
		return openedChip{chip: h}, nil
	}
	return b, h
}

func TestAChipThatHangsHoldsUpNoStartNoReloadNoViewAndNoEnd(t *testing.T) {
	b, h := hungBench()
	c := withSwitch(t)
	if err := b.open(c); err != nil {
		t.Fatal(err)
	}
	b.apply(withSwitch(t, `untagged  = ["lan2"]`, `untagged  = ["lan1"]`, `untagged  = ["lan1"]`, `untagged  = ["lan2"]`))
	if n := strings.Count(b.log.String(), "the switch has not answered"); n != 2 {
		t.Errorf("told %d times: %s", n, b.log)
	}
	v := newViews(c)
	v.switches = &b.switches
	for range 2 * mostAsking {
		rows := v.Switches()
		if len(rows) != 1 || rows[0].Error == nil || !strings.Contains(*rows[0].Error, "counters") {
			t.Fatalf("shown as %+v", rows)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, one := range b.tasks() {
		if err := one.Run(ctx); err != nil {
			t.Error(err)
		}
	}
	keeper := b.all[0].keeper
	if err := b.close(); !errors.Is(err, hw.ErrSilent) || !strings.Contains(err.Error(), "switch sw0 hangs") {
		t.Errorf("closed: %v", err)
	}
	if waiting := len(h.told); waiting != 1 {
		t.Errorf("%d are at the chip at once", waiting)
	}
	close(h.free)
	_ = keeper.Close(nil) // waits for all others
}

func TestAReloadThatWaitsForAChipIsWhatItGets(t *testing.T) {
	b, h := hungBench()
	if err := b.open(withSwitch(t)); err != nil {
		t.Fatal(err)
	}
	is := withSwitch(t, `untagged  = ["lan2"]`, `untagged  = ["lan1"]`, `untagged  = ["lan1"]`, `untagged  = ["lan2"]`)
	b.apply(is)
	close(h.free)
	b.all[0].keeper.Step(1e9)
	b.all[0].keeper.Step(60e9)
	if table, err := b.chip.Table(); err != nil || table.PVID["lan1"] != 30 || table.PVID["lan2"] != 20 {
		t.Errorf("PVIDs %v, %v", table.PVID, err)
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
}

// SIGHUP may come while the daemon ends.
func TestAReloadThatComesAtTheEndTouchesNoSwitch(t *testing.T) {
	c := load(t, "lan")
	d, err := NewDaemon(c, silent)
	if err != nil {
		t.Fatal(err)
	}
	b := newSwitchBench(chip())
	removed := 0
	b.openChip = func(*configs.Config, *configs.Switch, *slog.Logger) (openedChip, error) {
		return openedChip{chip: b.chip, remove: func() error { removed++; return nil }}, nil
	}
	if err := b.open(withSwitch(t)); err != nil {
		t.Fatal(err)
	}
	d.switches.all = b.all
	ctx, cancel := context.WithCancel(t.Context())
	ended, reloaded := make(chan error), make(chan error)
	go func() { ended <- d.Run(ctx) }()
	<-d.Ready()
	go func() {
		for {
			if err := d.Reload(c); err != nil {
				reloaded <- err
				return
			}
		}
	}()
	cancel()
	if err := <-reloaded; !errors.Is(err, errEnding) {
		t.Errorf("a reload at the end: %v", err)
	}
	if err := <-ended; err != nil || removed != 1 {
		t.Errorf("%v, given back %d times", err, removed)
	}
}

// An answer that is being made when the daemon ends is cut off, but not ended.
func TestAViewMayOutliveTheSwitchesThatItShows(t *testing.T) {
	b := newSwitchBench(chip())
	c := withSwitch(t)
	if err := b.open(c); err != nil {
		t.Fatal(err)
	}
	v := newViews(c)
	v.switches = &b.switches
	shown, closed := make(chan int, 1), make(chan struct{})
	go func() {
		<-closed
		shown <- len(v.Switches())
	}()
	go close(closed)
	if err := b.close(); err != nil {
		t.Error(err)
	}
	if n := <-shown; n != 1 {
		t.Errorf("%d switches shown", n)
	}
}
