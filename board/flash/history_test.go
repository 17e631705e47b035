package flash_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spigate/board/flash"
	"spigate/board/flash/flashtest"
)

// history is a Store and what it must boot, through any sequence of writes,
// commits, failures and power cuts.
type history struct {
	disk  *flashtest.Disk
	slots map[flash.Slot][]string // what each may have: one, or after a cut several
}

func TestWhateverHappensToAStoreItBootsAWholeConfiguration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{flashtest.New(dir), map[flash.Slot][]string{}}
		text := rapid.Map(rapid.IntRange(0, 9), func(n int) string { return strings.Repeat(string(rune('0'+n))+" = 1\n", 1+200*n) })
		slot := rapid.SampledFrom(flash.Slots())
		t.Repeat(map[string]func(*rapid.T){
			"write":   func(t *rapid.T) { h.write(t, slot.Draw(t, "slot"), text.Draw(t, "text")) },
			"promote": func(t *rapid.T) { h.promote(t, slot.Draw(t, "from"), slot.Draw(t, "to")) },
			"commit":  func(t *rapid.T) { h.commit(t, text.Draw(t, "text")) },
			"cut":     func(t *rapid.T) { h.cut(t, slot.Draw(t, "slot"), text.Draw(t, "text")) },
			"":        h.check,
		})
	})
}

func (h *history) open(t *rapid.T) *flash.Store {
	s, err := flash.Open(dir, h.disk)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *history) write(t *rapid.T, slot flash.Slot, text string) {
	if _, err := h.open(t).Write(slot, []byte(text), flash.Note{}); err != nil {
		t.Fatal(err)
	}
	h.slots[slot] = []string{text}
}

func (h *history) promote(t *rapid.T, from, to flash.Slot) {
	s := h.open(t)
	was, err := s.Read(from)
	if _, failed := s.Promote(from, to); (failed == nil) != (err == nil) {
		t.Fatal(err, failed)
	}
	if err == nil {
		h.slots[to], h.slots[from] = []string{string(was.Text)}, []string{string(was.Text)}
	}
}

func (h *history) commit(t *rapid.T, text string) {
	before := h.files()
	refuse := rapid.Bool().Draw(t, "refuse")
	_, err := h.open(t).Commit([]byte(text), flash.Note{}, func() (func() error, error) {
		if refuse {
			return nil, errors.New("refused")
		}
		return nil, nil
	})
	if (err != nil) != refuse {
		t.Fatal(err)
	}
	if !refuse {
		h.slots = map[flash.Slot][]string{flash.Candidate: {text}, flash.Running: {text}, flash.Confirmed: {text}}
		return
	}
	after := h.files()
	delete(before, dir+"/candidate.toml")
	delete(after, dir+"/candidate.toml")
	if !maps.Equal(before, after) {
		t.Fatal("a refused commit changed a slot")
	}
	if i, err := h.open(t).Read(flash.Candidate); err == nil {
		h.slots[flash.Candidate] = []string{string(i.Text)}
	} else {
		delete(h.slots, flash.Candidate)
	}
}

// cut cuts the power somewhere in a write of a slot.
func (h *history) cut(t *rapid.T, slot flash.Slot, text string) {
	stop := rapid.IntRange(0, 8).Draw(t, "call")
	h.disk.Fail = func(call int, _ string) error {
		if stop--; stop < 0 {
			return flashtest.ErrCut
		}
		return nil
	}
	_, err := h.open(t).Write(slot, []byte(text), flash.Note{})
	h.disk = h.disk.Cut(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "outcome") })
	if err == nil {
		h.slots[slot] = []string{text}
	} else {
		h.slots[slot] = append(slices.Clone(h.slots[slot]), text)
		if len(h.slots[slot]) == 1 {
			h.slots[slot] = append(h.slots[slot], "")
		}
	}
}

func (h *history) files() map[string]string {
	out := map[string]string{}
	for _, path := range h.disk.Files() {
		content, _ := h.disk.Read(path, 1<<22)
		out[path] = string(content)
	}
	return out
}

func (h *history) check(t *rapid.T) {
	s := h.open(t)
	b, err := s.Boot(nil)
	if b.Damaged != nil || err != nil && !errors.Is(err, flash.ErrEmpty) {
		t.Fatal(b.Damaged, err)
	}
	first := true
	for _, slot := range flash.Slots() {
		i, err := s.Read(slot)
		may := h.slots[slot]
		switch {
		case err != nil && len(may) > 0 && !slices.Contains(may, ""), err == nil && !slices.Contains(may, string(i.Text)):
			t.Fatalf("slot %s has %.20q (%v), which is none of %.20q", slot, i.Text, err, may)
		case err == nil && first && b.Slot != slot:
			t.Fatalf("slot %s is booted, not %s", b.Slot, slot)
		}
		first = first && err != nil
	}
}
