package flash_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"spigate/board/flash"
	"spigate/board/flash/flashtest"
)

const dir = "/overlay/spigate"

// Texts that take several sectors, so that they can be torn.
var (
	oldText = "old = true\n" + strings.Repeat("# old\n", 300)
	newText = "new = true\n" + strings.Repeat("# the new one\n", 200)
)

func open(t testing.TB, fsys flash.FS) *flash.Store {
	t.Helper()
	s, err := flash.Open(dir, fsys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// having returns a disk whose slots have texts; "" is an empty slot.
func having(t testing.TB, candidate, running, confirmed string) *flashtest.Disk {
	t.Helper()
	d := flashtest.New(dir)
	s := open(t, d)
	for slot, text := range map[flash.Slot]string{flash.Candidate: candidate, flash.Running: running, flash.Confirmed: confirmed} {
		if text == "" {
			continue
		}
		if _, err := s.Write(slot, []byte(text), flash.Note{}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// starts are the disks that a new configuration can meet.
func starts(t testing.TB) map[string]*flashtest.Disk {
	other := oldText + "# tried and left\n"
	out := map[string]*flashtest.Disk{
		"an empty one":             having(t, "", "", ""),
		"a settled one":            having(t, oldText, oldText, oldText),
		"one with a candidate":     having(t, other, oldText, oldText),
		"confirmed alone":          having(t, "", "", oldText),
		"running alone":            having(t, "", oldText, ""),
		"candidate alone":          having(t, oldText, "", ""),
		"one that has it already":  having(t, newText, newText, newText),
		"one that has half of it":  having(t, newText, newText, oldText),
		"one with a broken slot":   having(t, oldText, oldText, oldText),
		"one with leftovers on it": having(t, oldText, oldText, oldText),
	}
	out["one with a broken slot"].Put(dir+"/confirmed.toml", make([]byte, 700))
	out["one with leftovers on it"].Put(dir+"/running.toml.spigate-new", []byte(newText[:900]))
	return out
}

func commit(fsys flash.FS) error {
	s, err := flash.Open(dir, fsys)
	if err != nil {
		return err
	}
	_, err = s.Commit([]byte(newText), flash.Note{Comment: "new"}, func() (func() error, error) { return nil, nil })
	return err
}

// booted is the text that a disk boots: "" if there is none. With it come the
// faults of all slots, also of those that the boot did not get to.
func booted(fsys flash.FS) (text string, b flash.Boot, err error) {
	s, err := flash.Open(dir, fsys)
	if err != nil {
		return "", b, err
	}
	b, err = s.Boot(nil)
	if errors.Is(err, flash.ErrEmpty) {
		err = nil
	}
	b.Damaged = nil
	for _, slot := range flash.Slots() {
		var fault flash.Fault
		if _, err := s.Read(slot); errors.As(err, &fault) {
			b.Damaged = append(b.Damaged, fault)
		}
	}
	return string(b.Text), b, err
}

// whole says what is wrong with what a disk boots, when before is what it booted
// before and done tells that the new configuration was said to be there.
func whole(after flash.FS, before string, done bool, broken int) error {
	text, b, err := booted(after)
	switch {
	case err != nil:
		return err
	case len(b.Damaged) > broken:
		return fmt.Errorf("a slot is damaged: %v", b.Damaged)
	case done && text != newText:
		return fmt.Errorf("it was done, and %.20q is booted", text)
	case text != newText && text != before:
		return fmt.Errorf("%.20q is booted", text)
	}
	return nil
}

// prove cuts the power everywhere and returns what is wrong the first time.
func prove(start *flashtest.Disk, do func(flash.FS) error, broken int) (points, outcomes int, fault error) {
	before, _, err := booted(start)
	if err != nil {
		return 0, 0, err
	}
	points, outcomes = flashtest.Crashes(start, do, func(after *flashtest.Disk, at flashtest.Point) bool {
		if at.Done && at.Err != nil {
			fault = fmt.Errorf("%v: %w", at, at.Err)
		} else if wrong := whole(after, before, at.Done, broken); wrong != nil {
			fault = fmt.Errorf("%v: %w", at, wrong)
		}
		return fault == nil
	})
	return points, outcomes, fault
}

func TestAPowerCutAtAnyMomentOfACommitLeavesTheOldOrTheNewConfiguration(t *testing.T) {
	for name, start := range starts(t) {
		t.Run(name, func(t *testing.T) {
			broken := strings.Count(name, "broken")
			points, outcomes, fault := prove(start, commit, broken)
			if fault != nil {
				t.Error(fault)
			}
			t.Logf("%d points, %d outcomes", points, outcomes)
		})
	}
}

func TestAPowerCutAtAnyMomentOfAWriteLeavesTheOldOrTheNewSlot(t *testing.T) {
	for _, slot := range flash.Slots() {
		texts := map[flash.Slot]string{slot: oldText}
		for name, start := range map[string]*flashtest.Disk{
			"its first": having(t, "", "", ""),
			"another":   having(t, texts[flash.Candidate], texts[flash.Running], texts[flash.Confirmed]),
		} {
			points, outcomes, fault := prove(start, writeTo(slot), 0)
			if fault != nil || points < 6 || outcomes < 10 {
				t.Errorf("%s %s: %d points, %d outcomes: %v", slot, name, points, outcomes, fault)
			}
		}
	}
}

func writeTo(slot flash.Slot) func(flash.FS) error {
	return func(fsys flash.FS) error {
		s, err := flash.Open(dir, fsys)
		if err != nil {
			return err
		}
		_, err = s.Write(slot, []byte(newText), flash.Note{})
		return err
	}
}

// File systems that are used in the wrong order: each is what a careless store
// would do.
type (
	noFileSync struct{ *flashtest.Disk }
	noDirSync  struct{ *flashtest.Disk }
	inPlace    struct{ *flashtest.Disk }
	lateSync   struct{ *flashtest.Disk } // syncs the directory, then the file
	unsynced   struct{ flash.File }
)

func (unsynced) Sync() error { return nil }

func (f noFileSync) Create(path string, mode fs.FileMode) (flash.File, error) {
	file, err := f.Disk.Create(path, mode)
	return unsynced{file}, err
}

func (noDirSync) SyncDir(string) error { return nil }

func (f inPlace) Create(path string, _ fs.FileMode) (flash.File, error) {
	return f.Overwrite(strings.TrimSuffix(path, ".spigate-new"))
}

func (inPlace) Rename(string, string) error { return nil }

func (f lateSync) Create(path string, mode fs.FileMode) (flash.File, error) {
	return noFileSync(f).Create(path, mode)
}

func (f lateSync) SyncDir(dir string) error {
	if err := f.Disk.SyncDir(dir); err != nil {
		return err
	}
	// As sync(1) at last; nothing is lost any more, but much was before.
	for _, path := range f.Files() {
		content, err := f.Read(path, 1<<20)
		if err != nil {
			return err
		}
		f.Put(path, content)
	}
	return nil
}

func TestTheProofCatchesAStoreThatDoesItInTheWrongOrder(t *testing.T) {
	for name, wrong := range map[string]func(*flashtest.Disk) flash.FS{
		"no sync of files":               func(d *flashtest.Disk) flash.FS { return noFileSync{d} },
		"no sync of the directory":       func(d *flashtest.Disk) flash.FS { return noDirSync{d} },
		"in place":                       func(d *flashtest.Disk) flash.FS { return inPlace{d} },
		"the directory before the files": func(d *flashtest.Disk) flash.FS { return lateSync{d} },
	} {
		for what, do := range map[string]func(flash.FS) error{"commit": commit, "write": writeTo(flash.Confirmed)} {
			start := having(t, oldText, oldText, oldText)
			careless := func(fsys flash.FS) error { return do(wrong(fsys.(*flashtest.Disk))) }
			_, _, fault := prove(start, careless, 0)
			if fault == nil {
				t.Errorf("%s, %s: nothing was found", name, what)
				continue
			}
			t.Logf("%s, %s: %v", name, what, fault)
		}
	}
}

// With one slot there is nothing to fall back to: the same mistakes lose all.
func TestTheProofSeesAnEmptyBoot(t *testing.T) {
	start := having(t, "", "", oldText)
	empty := 0
	flashtest.Crashes(start, func(fsys flash.FS) error { return writeTo(flash.Confirmed)(inPlace{fsys.(*flashtest.Disk)}) },
		func(after *flashtest.Disk, _ flashtest.Point) bool {
			if text, _, err := booted(after); err == nil && text == "" {
				empty++
			}
			return true
		})
	if empty == 0 {
		t.Error("writing in place never lost the configuration")
	}
}

func TestAFailureOfAnyCallOfACommitChangesNothing(t *testing.T) {
	for name, start := range starts(t) {
		for _, kind := range []struct {
			err     error
			lasting bool
		}{
			{syscall.ENOSPC, false}, {syscall.ENOSPC, true}, {syscall.EROFS, true}, {syscall.EIO, false}, {syscall.EIO, true}, {flashtest.ErrShort(), false},
		} {
			before, _, _ := booted(start)
			flashtest.Failures(start, kind.err, kind.lasting, commit, func(after *flashtest.Disk, call int, err error) bool {
				if wrong := afterFailure(after, before, err, strings.Count(name, "broken")); wrong != nil {
					t.Errorf("%s: call %d fails with %v (lasting %t): %v: %v", name, call, kind.err, kind.lasting, err, wrong)
				}
				return true
			})
		}
	}
}

// afterFailure says what is wrong with a disk on which a call failed: a commit
// that says that it failed must have changed nothing, unless it says so.
func afterFailure(after *flashtest.Disk, before string, err error, broken int) error {
	text, b, bad := booted(after)
	unsure := err != nil && strings.Contains(err.Error(), "the next start may boot")
	switch {
	case bad != nil:
		return bad
	case len(b.Damaged) > broken:
		return fmt.Errorf("damaged: %v", b.Damaged)
	case err == nil && text != newText:
		return errors.New("no error, and the old one is booted")
	case err != nil && !unsure && before != newText && text != before:
		return fmt.Errorf("an error, and %.20q is booted", text)
	case text != before && text != newText:
		return fmt.Errorf("%.20q is booted", text)
	}
	return nil
}

func TestAPowerCutAfterAFailureLeavesTheOldOrTheNewConfiguration(t *testing.T) {
	for name, start := range starts(t) {
		before, _, _ := booted(start)
		for bad := 1; bad < 30; bad++ {
			flashtest.Crashes(start, failingAt(bad), func(after *flashtest.Disk, at flashtest.Point) bool {
				wrong := whole(after, before, at.Done && at.Err == nil, strings.Count(name, "broken"))
				if wrong != nil {
					t.Errorf("%s: call %d failed, then %v: %v", name, bad, at, wrong)
				}
				return wrong == nil
			})
		}
	}
}

// failingAt is a commit on a disk whose n-th call fails.
func failingAt(n int) func(flash.FS) error {
	return func(fsys flash.FS) error {
		fsys.(*flashtest.Disk).Fail = func(call int, _ string) error {
			if call == n {
				return syscall.EIO
			}
			return nil
		}
		return commit(fsys)
	}
}

func TestAFlashThatTakesNothingIsToldWithoutDoubt(t *testing.T) {
	for name, start := range starts(t) {
		for _, number := range []syscall.Errno{syscall.EROFS, syscall.ENOSPC} {
			d := start.Copy()
			d.Fail = func(int, string) error { return number }
			if err := commit(d); err != nil && (!errors.Is(err, number) || strings.Contains(err.Error(), "may boot") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%s: %v", name, err)
			} else if err == nil && !strings.Contains(name, "already") {
				t.Errorf("%s: no error", name)
			}
		}
	}
}

func TestWhatAFailedCommitHadAppliedIsUndone(t *testing.T) {
	for _, start := range []*flashtest.Disk{having(t, oldText, oldText, oldText), having(t, "", "", "")} {
		undone := 0
		flashtest.Failures(start, syscall.EIO, false, func(fsys flash.FS) error {
			live := oldText
			s := open(t, fsys)
			_, err := s.Commit([]byte(newText), flash.Note{}, func() (func() error, error) {
				live = newText
				return func() error { live, undone = oldText, undone+1; return nil }, nil
			})
			if (err == nil) != (live == newText) {
				t.Errorf("error %v, and the router has %.20q", err, live)
			}
			return err
		}, func(*flashtest.Disk, int, error) bool { return true })
		if undone == 0 {
			t.Error("no failure came after it was applied")
		}
	}
}

func TestAConfigurationThatCannotBeAppliedIsNotBooted(t *testing.T) {
	refused := errors.New("the router does not take it")
	for before, start := range map[string]*flashtest.Disk{oldText: having(t, "", "", oldText), "": having(t, "", "", "")} {
		_, err := open(t, start).Commit([]byte(newText), flash.Note{}, func() (func() error, error) { return nil, refused })
		if text, _, _ := booted(start); !errors.Is(err, refused) || text != before {
			t.Errorf("%v, and %.20q is booted", err, text)
		}
		for _, path := range start.Files() {
			if strings.HasSuffix(path, "-new") {
				t.Errorf("%s is left", path)
			}
		}
	}
}

func TestAFullFlashIsToldBeforeAnythingIsApplied(t *testing.T) {
	for _, room := range []int{0, 500, len(newText), 2*len(newText) + 400, 3 * len(newText)} {
		start := having(t, oldText, oldText, oldText)
		used := 0
		for _, path := range start.Files() {
			content, _ := start.Read(path, 1<<20)
			used += len(content)
		}
		start.Capacity = used + room
		applied := false
		_, err := open(t, start).Commit([]byte(newText), flash.Note{}, func() (func() error, error) { applied = true; return nil, nil })
		if applied || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") {
			t.Errorf("room for %d bytes: applied %t, %v", room, applied, err)
		}
		if text, b, _ := booted(start); text != oldText || len(b.Damaged) > 0 || len(start.Files()) != 3 {
			t.Errorf("room for %d bytes: %.20q is booted, %v", room, text, start.Files())
		}
	}
}
