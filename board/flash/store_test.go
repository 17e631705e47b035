package flash_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/board/flash"
	"spigate/board/flash/flashtest"
)

func TestASlotIsReadableOnAConsole(t *testing.T) {
	state := filepath.Join(t.TempDir(), "overlay", "spigate")
	s, err := flash.Open(state, flash.OS{})
	if err != nil {
		t.Fatal(err)
	}
	note := flash.Note{Time: time.Date(2026, 3, 1, 14, 5, 6, 7, time.FixedZone("", 3600)), Comment: "wär's\n# spigate"}
	if changed, err := s.Write(flash.Running, []byte("version = 1\n[system]"), note); !changed || err != nil {
		t.Fatal(changed, err)
	}
	file, err := os.ReadFile(s.Path(flash.Running))
	want := "version = 1\n[system]\n" +
		`# spigate slot 1 length=20 sequence=1 time=2026-03-01T13:05:06Z comment="w\u00e4r's\n# spigate" sha256=`
	if !strings.HasPrefix(string(file), want) || bytes.Count(file, []byte("\n")) != 3 {
		t.Errorf("%v:\n%s", err, file)
	}
	got, err := s.Read(flash.Running)
	note.Time = time.Date(2026, 3, 1, 13, 5, 6, 0, time.UTC)
	if diff := cmp.Diff(flash.Image{Text: []byte("version = 1\n[system]"), Sequence: 1, Note: note}, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for path, want := range map[string]fs.FileMode{s.Path(flash.Running): 0o600, state: 0o700 | fs.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestBootTellsWhySlotsAreNotUsed(t *testing.T) {
	good, _ := having(t, "", "", oldText).Read(dir+"/confirmed.toml", 1<<20)
	flipped := bytes.Replace(good, []byte("# old"), []byte("# olb"), 1)
	later := bytes.Replace(good, []byte("sequence=1"), []byte("sequence=9"), 1)
	for reason, broken := range map[string][]byte{
		"is empty":                       {},
		"all zeros":                      make([]byte, 4096),
		"does not end with a seal":       good[:len(good)/2],
		"does not end with a seal: it":   good[:len(good)-1],
		"does not end with a seal: it i": append(slices.Clone(good), make([]byte, 512)...),
		"checksum is wrong":              flipped,
		"checksum is wrong: the":         later,
		"checksum is wrong: the file":    append([]byte("# by hand\n"), good...),
		"more than":                      bytes.Repeat([]byte("# long\n"), 1<<18),
	} {
		d := having(t, "", newText, oldText)
		d.Put(dir+"/confirmed.toml", broken)
		b, err := open(t, d).Boot(nil)
		if err != nil || b.Slot != flash.Running || string(b.Text) != newText || len(b.Damaged) != 1 {
			t.Errorf("%s: %s, %v, %v", reason, b.Slot, b.Damaged, err)
			continue
		}
		text := b.Damaged[0].Error()
		if !strings.HasPrefix(text, "slot confirmed ("+dir+"/confirmed.toml): ") || !strings.Contains(text, reason) {
			t.Errorf("%s: %s", reason, text)
		}
	}
}

// Whatever single bit of a slot is wrong, it is not used.
func TestEveryFlippedBitIsSeen(t *testing.T) {
	d := having(t, "", newText, "old = true\n")
	path := dir + "/confirmed.toml"
	good, _ := d.Read(path, 1<<20)
	s := open(t, d)
	for bit := range len(good) * 8 {
		bad := slices.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		d.Put(path, bad)
		if b, err := s.Boot(nil); err != nil || b.Slot != flash.Running {
			t.Errorf("bit %d: %s is booted, %v", bit, b.Slot, err)
		}
	}
}

func TestASlotThatIsRefusedFallsBackToTheNext(t *testing.T) {
	d := having(t, "third = 1\n", "second = 1\n", "first = 1\n")
	unknown := errors.New("an unknown key")
	b, err := open(t, d).Boot(func(_ flash.Slot, text []byte) error {
		if strings.HasPrefix(string(text), "third") {
			return nil
		}
		return unknown
	})
	if err != nil || b.Slot != flash.Candidate || len(b.Damaged) != 2 || !errors.Is(b.Damaged[1], unknown) || b.Damaged[1].Slot != flash.Running {
		t.Errorf("%s: %v, %v", b.Slot, b.Damaged, err)
	}
	b, err = open(t, d).Boot(func(flash.Slot, []byte) error { return unknown })
	if !errors.Is(err, flash.ErrEmpty) || len(b.Damaged) != 3 || b.Text != nil {
		t.Errorf("%v, %v", b.Damaged, err)
	}
}

func TestAnEmptyDirectoryIsNoFault(t *testing.T) {
	b, err := open(t, flashtest.New("/elsewhere")).Boot(nil)
	if !errors.Is(err, flash.ErrEmpty) || b.Damaged != nil {
		t.Errorf("%v, %v", b.Damaged, err)
	}
	if _, err := flash.Open("overlay/spigate", flash.OS{}); err == nil {
		t.Error("a relative path is taken")
	}
}

func TestWhatIsThereAlreadyIsNotWrittenAgain(t *testing.T) {
	d := having(t, oldText, oldText, oldText)
	s := open(t, d)
	calls, bytes := d.Calls, d.Writes
	for _, slot := range flash.Slots() {
		if changed, err := s.Write(slot, []byte(oldText), flash.Note{Comment: "again"}); changed || err != nil {
			t.Errorf("%s: %t, %v", slot, changed, err)
		}
	}
	applied := 0
	done, err := s.Commit([]byte(oldText), flash.Note{}, func() (func() error, error) { applied++; return nil, nil })
	if err != nil || applied != 1 || done.Written != nil || done.Sequence != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := s.Promote(flash.Confirmed, flash.Running); err != nil {
		t.Error(err)
	}
	if d.Calls != calls || d.Writes != bytes {
		t.Errorf("%d calls, %d bytes were written", d.Calls-calls, d.Writes-bytes)
	}
	done, err = s.Commit([]byte(newText), flash.Note{}, func() (func() error, error) { return nil, nil })
	if err != nil || len(done.Written) != 3 || done.Sequence == 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if n := d.Writes - bytes; n > 3*len(newText)+3*200 {
		t.Errorf("%d bytes were written for three slots of %d", n, len(newText))
	}
}

func TestAStoreRefusesWhatItCouldNotRead(t *testing.T) {
	d := having(t, "", oldText, oldText)
	s := open(t, d)
	calls := d.Calls
	for want, c := range map[string]struct {
		text, comment string
	}{
		"is empty": {"", ""}, "has 1048577 bytes": {strings.Repeat("#", 1<<20+1), ""}, "comment has 201": {"a=1", strings.Repeat("c", 201)},
	} {
		_, err := s.Write(flash.Running, []byte(c.text), flash.Note{Comment: c.comment})
		_, err2 := s.Commit([]byte(c.text), flash.Note{Comment: c.comment}, func() (func() error, error) { t.Error("applied"); return nil, nil })
		if err == nil || err2 == nil || !strings.Contains(err.Error()+err2.Error(), want) {
			t.Errorf("%s: %v, %v", want, err, err2)
		}
	}
	if d.Calls != calls {
		t.Errorf("%d calls", d.Calls-calls)
	}
	largest := strings.Repeat("\x00", 1<<20)
	if _, err := s.Write(flash.Running, []byte(largest), flash.Note{Comment: strings.Repeat("\x00", 200), Time: time.Unix(1, 0)}); err != nil {
		t.Error(err)
	}
	if i, err := s.Read(flash.Running); err != nil || string(i.Text) != largest || len(i.Note.Comment) != 200 {
		t.Errorf("the largest: %v", err)
	}
}

func TestErrorsOfTheFlashSayWhatToDo(t *testing.T) {
	for number, advice := range map[syscall.Errno]string{
		syscall.ENOSPC: "df", syscall.EDQUOT: "make room", syscall.EROFS: "remount", syscall.EIO: "dmesg", syscall.EACCES: "user", syscall.EBUSY: "mount its directory",
	} {
		d := having(t, "", "", oldText)
		s := open(t, d)
		d.Fail = func(int, string) error { return number }
		_, err := s.Write(flash.Confirmed, []byte(newText), flash.Note{})
		if !errors.Is(err, number) || !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), "slot confirmed: ") {
			t.Errorf("%v", err)
		}
		if err := s.Health(); !errors.Is(err, number) || !strings.Contains(err.Error(), advice) {
			t.Errorf("health: %v", err)
		}
		d.Fail = nil
		if err := s.Health(); err != nil {
			t.Errorf("well again: %v", err)
		}
		d.Put(dir+"/running.toml.spigate-new", []byte("half"))
		d.Fail = func(int, string) error { return number }
		if s, err = flash.Open(dir, d); err != nil {
			t.Error(err)
		}
		if b, err := s.Boot(nil); err != nil || string(b.Text) != oldText {
			t.Errorf("it does not boot: %v", err)
		}
		if err := s.Health(); !errors.Is(err, number) {
			t.Errorf("leftovers that cannot be removed: %v", err)
		}
	}
}

func TestLeftoversOfACrashAreRemovedWhenTheStoreIsOpened(t *testing.T) {
	d := having(t, "", "", oldText)
	d.Put(dir+"/confirmed.toml.spigate-new", []byte("half"))
	d.Put(dir+"/gw2.psk", []byte("of somebody else"))
	open(t, d)
	if diff := cmp.Diff([]string{dir + "/confirmed.toml", dir + "/gw2.psk"}, d.Files()); diff != "" {
		t.Error(diff)
	}
}

func TestStrangeFilesInASlotsPlaceAreFaultsAndNothingMore(t *testing.T) {
	s, err := flash.Open(t.TempDir(), flash.OS{})
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	huge, err := os.Create(s.Path(flash.Running))
	if err := errors.Join(err, os.WriteFile(secret, nil, 0o600), os.Symlink(secret, s.Path(flash.Confirmed)),
		huge.Truncate(100<<20), huge.Close(), syscall.Mkfifo(s.Path(flash.Candidate), 0o600)); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := s.Boot(nil)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, flash.ErrEmpty) || len(b.Damaged) != 3 {
		t.Fatal(b.Damaged, err)
	}
	for i, want := range []string{"symbolic link", "more than", "not a regular file"} {
		if !strings.Contains(b.Damaged[i].Error(), want) {
			t.Errorf("%v, want %s", b.Damaged[i], want)
		}
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	// A link is replaced; where it points to stays as it is.
	if _, err := s.Commit([]byte(newText), flash.Note{}, func() (func() error, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Boot(nil); err != nil || b.Slot != flash.Confirmed || b.Damaged != nil {
		t.Error(b.Damaged, err)
	}
	if content, err := os.ReadFile(secret); err != nil || len(content) > 0 {
		t.Errorf("%q, %v", content, err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir(), "*-new")); left != nil {
		t.Error(left)
	}
}

func TestReplacingAFileIsAtomicToo(t *testing.T) {
	const path = dir + "/router.toml"
	start := flashtest.New(dir)
	start.Put(path, []byte(oldText))
	replace := func(fsys flash.FS) error {
		_, err := flash.Replace(fsys, path, []byte(newText), 0o640, nil)
		return err
	}
	flashtest.Crashes(start, replace, func(after *flashtest.Disk, at flashtest.Point) bool {
		text, err := after.Read(path, 1<<20)
		if is := string(text); err != nil || is != newText && (is != oldText || at.Done) {
			t.Errorf("%v: %.20q, %v", at, text, err)
		}
		return true
	})
	for _, lasting := range []bool{false, true} {
		flashtest.Failures(start, syscall.EIO, lasting, replace, func(after *flashtest.Disk, call int, err error) bool {
			text, _ := after.Read(path, 1<<20)
			unsure := err != nil && strings.Contains(err.Error(), "the next start may read")
			if is := string(text); err == nil && is != newText || err != nil && is != oldText && !unsure || is != oldText && is != newText {
				t.Errorf("call %d: %.20q, %v", call, text, err)
			}
			return true
		})
	}
	if changed, err := flash.Replace(start, path, []byte(oldText), 0o600, nil); changed || err != nil || start.Calls != 0 {
		t.Errorf("the same again: %t, %d calls, %v", changed, start.Calls, err)
	}
}
