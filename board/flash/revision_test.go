package flash_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spigate/board/flash"
	"spigate/board/flash/flashtest"
)

func nothing() (func() error, error) { return nil, nil }

// must commits a text, or tries it.
func must(t testing.TB, do func(text []byte, note flash.Note, live flash.Live) (flash.Committed, error), text string, note flash.Note) flash.Committed {
	t.Helper()
	done, err := do([]byte(text), note, nothing)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// told is a history in words.
func told(s *flash.Store) (out []string) {
	for _, r := range s.History() {
		if r.Fault != nil {
			out = append(out, fmt.Sprintf("%d damaged", r.Sequence))
			continue
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%d %s %s %s", r.Sequence, strings.TrimSpace(string(r.Text)), r.Note.By, r.Note.Fate)))
	}
	return out
}

func TestTheLastTenConfigurationsAreKept(t *testing.T) {
	d := flashtest.New(dir)
	s := open(t, d)
	for n := range 15 {
		must(t, s.Commit, fmt.Sprintf("n = %d\n", n), flash.Note{By: "root", Time: time.Unix(int64(n)*86400, 0)})
	}
	got := told(s)
	if len(got) != flash.Revisions || got[0] != "14 n = 13 root" || got[9] != "5 n = 4 root" {
		t.Errorf("%q", got)
	}
	// The same again is no other one.
	must(t, s.Commit, "n = 14\n", flash.Note{})
	if diff := cmp.Diff(got, told(s)); diff != "" {
		t.Error(diff)
	}
	if n := len(d.Files()); n != 3+flash.Revisions {
		t.Errorf("files %v", d.Files())
	}
}

func TestWhatIsTriedIsConfirmedOrGivenUp(t *testing.T) {
	window := flash.Note{Confirm: 5 * time.Minute, By: "anna"}
	d := having(t, "", "", "")
	s := open(t, d)
	must(t, s.Commit, "n = 1\n", flash.Note{By: "root"})
	if done := must(t, s.Try, "n = 2\n", window); !done.Pending || len(done.Written) != 2 {
		t.Errorf("%+v", done)
	}
	if text, _, _ := booted(d); text != "n = 1\n" {
		t.Errorf("%q would be booted", text)
	}
	if i, is := s.Pending(); !is || string(i.Text) != "n = 2\n" || i.Note != window {
		t.Errorf("%+v, %t", i, is)
	}
	if i, err := s.Confirm(); err != nil || string(i.Text) != "n = 2\n" {
		t.Errorf("%+v, %v", i, err)
	}
	if text, _, _ := booted(d); text != "n = 2\n" {
		t.Errorf("%q would be booted", text)
	}
	_, again := s.Confirm()
	_, undone := s.Undo(flash.FateRolledBack)
	if !errors.Is(again, flash.ErrNotPending) || !errors.Is(undone, flash.ErrNotPending) {
		t.Errorf("%v, %v", again, undone)
	}
	must(t, s.Try, "n = 3\n", window)
	must(t, s.Try, "n = 4\n", window) // n = 3 was never confirmed
	if _, err := s.Undo(flash.FateNotConfirmed); err != nil {
		t.Error(err)
	}
	if i, err := s.Read(flash.Running); err != nil || string(i.Text) != "n = 2\n" {
		t.Errorf("%+v, %v", i, err)
	}
	want := []string{"4 n = 4 anna not_confirmed", "3 n = 3 anna replaced", "1 n = 1 root"}
	if diff := cmp.Diff(want, told(s)); diff != "" {
		t.Error(diff)
	}
	// What is confirmed already has not to be confirmed, and a commit ends it.
	if done := must(t, s.Try, "n = 2\n", window); done.Pending {
		t.Errorf("%+v", done)
	}
	must(t, s.Try, "n = 5\n", window)
	if must(t, s.Commit, "n = 5\n", flash.Note{}); len(told(s)) != 4 {
		t.Errorf("%q", told(s))
	}
	if _, is := s.Pending(); is {
		t.Error("it still waits")
	}
}

func TestARevisionThatIsDamagedIsToldAndTheOthersAreThere(t *testing.T) {
	d := flashtest.New(dir)
	s := open(t, d)
	for n := range 6 {
		must(t, s.Commit, fmt.Sprintf("n = %d\n", n), flash.Note{})
	}
	file := func(n int) string { return filepath.Join(dir, fmt.Sprintf("revision-%06d.toml.gz", n)) }
	content, err := d.Read(file(2), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 40 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	d.Put(file(1), nil)
	d.Put(file(3), content) // another's
	d.Put(file(4), bomb.Bytes())
	d.Put(file(5), content[:len(content)-4])
	for _, name := range []string{"revision-2.toml.gz", "revision-.toml.gz", "revision--00001.toml.gz", "revision-9999999999999999999999.toml.gz", "revision-000002.toml"} {
		d.Put(filepath.Join(dir, name), content)
	}
	want := []string{"5 damaged", "4 damaged", "3 damaged", "2 n = 1", "1 damaged"}
	if diff := cmp.Diff(want, told(s)); diff != "" {
		t.Error(diff)
	}
	for _, r := range s.History() {
		t.Log(r.Path, r.Fault)
	}
	if done := must(t, s.Commit, "n = 6\n", flash.Note{}); done.Sequence != 7 {
		t.Errorf("%+v", done)
	}
}

func TestOldRevisionsGiveWayToANewConfiguration(t *testing.T) {
	d := flashtest.New(dir)
	s := open(t, d)
	for n := range 11 {
		must(t, s.Commit, random(n), flash.Note{})
	}
	used := 0
	for _, path := range d.Files() {
		content, _ := d.Read(path, 1<<20)
		used += len(content)
	}
	d.Capacity = used + 3000
	must(t, s.Commit, random(11), flash.Note{})
	if got := len(s.History()); got == 0 || got == flash.Revisions {
		t.Errorf("%d are left", got)
	}
	if text, _, _ := booted(d); text != random(11) {
		t.Errorf("%.20q is booted", text)
	}
	// Of what is left without room the last one stays.
	d.Capacity = 1
	if _, err := s.Commit([]byte(random(12)), flash.Note{}, nothing); !errors.Is(err, syscall.ENOSPC) || len(s.History()) != 1 {
		t.Errorf("%v, %d are left", err, len(s.History()))
	}
}

// random is a text that hardly gets smaller.
func random(n int) string {
	var b strings.Builder
	x := uint32(n)*2654435761 + 1
	for range 500 {
		x = x*1664525 + 1013904223
		fmt.Fprintf(&b, "%x", x)
	}
	return "# " + b.String() + "\n"
}

// lives are the changes of a configuration's life beside a commit, each with the
// disk that it meets.
func lives(t testing.TB) map[string]life {
	window := flash.Note{Confirm: time.Minute, Time: time.Unix(1<<31, 0)}
	settled := having(t, "", "", "")
	must(t, open(t, settled).Commit, "first = 1\n", flash.Note{})
	must(t, open(t, settled).Commit, oldText, flash.Note{})
	tried := settled.Copy()
	must(t, open(t, tried).Try, oldText+"# tried\n", window)
	waits := settled.Copy()
	must(t, open(t, waits).Try, newText, window)
	full := settled.Copy()
	for n := range 12 {
		must(t, open(t, full).Commit, fmt.Sprintf("n = %d\n", n), flash.Note{})
	}
	must(t, open(t, full).Commit, oldText, flash.Note{})
	try := func(s *flash.Store) error { _, err := s.Try([]byte(newText), window, nothing); return err }
	return map[string]life{
		"try":            {settled, try, false},
		"try another":    {tried, try, false},
		"confirm":        {waits, func(s *flash.Store) error { _, err := s.Confirm(); return err }, true},
		"undo":           {waits, func(s *flash.Store) error { _, err := s.Undo(flash.FateNotConfirmed); return err }, false},
		"commit it":      {waits, func(s *flash.Store) error { _, err := s.Commit([]byte(newText), flash.Note{}, nothing); return err }, true},
		"commit another": {tried, func(s *flash.Store) error { _, err := s.Commit([]byte(newText), flash.Note{}, nothing); return err }, true},
		"a full history": {full, func(s *flash.Store) error { _, err := s.Commit([]byte(newText), flash.Note{}, nothing); return err }, true},
		"commit over": {tried, func(s *flash.Store) error {
			_, err := s.CommitOver(flash.Image{Text: []byte("edited = 1\n")}, []byte(newText), flash.Note{}, nothing)
			return err
		}, true},
		"try over": {tried, func(s *flash.Store) error { // what was found is what is booted
			_, err := s.TryOver(flash.Image{Text: []byte(newText)}, []byte("tried = 1\n"), window, nothing)
			return err
		}, true},
		"undo after that": {tried, func(s *flash.Store) error { _, err := s.Undo(flash.FateRestarted); return err }, false},
	}
}

type life struct {
	start *flashtest.Disk
	do    func(s *flash.Store) error
	boots bool // the new text, when it is done
}

func (l life) on(fsys flash.FS) error {
	s, err := flash.Open(dir, fsys)
	if err != nil {
		return err
	}
	return l.do(s)
}

// What waits for its confirmation is never booted, what is confirmed always is,
// and no revision is ever damaged.
func TestAPowerCutAtAnyMomentOfALifeBootsWhatIsConfirmed(t *testing.T) {
	for name, l := range lives(t) {
		before := len(told(open(t, l.start)))
		points, outcomes := flashtest.Crashes(l.start, l.on, func(after *flashtest.Disk, at flashtest.Point) bool {
			wrong := l.wrong(after, at.Done, at.Err)
			if got := len(told(open(t, after))); wrong == nil && got < before {
				wrong = fmt.Errorf("%d revisions of %d are left", got, before)
			}
			if wrong != nil {
				t.Errorf("%s: %v: %v", name, at, wrong)
			}
			return wrong == nil
		})
		if points < 5 || outcomes < 10 {
			t.Errorf("%s: %d points, %d outcomes", name, points, outcomes)
		}
		t.Logf("%s: %d points, %d outcomes", name, points, outcomes)
	}
}

// wrong says what is about a disk that this left.
func (l life) wrong(after *flashtest.Disk, done bool, failed error) error {
	text, b, err := booted(after)
	s, bad := flash.Open(dir, after)
	switch {
	case err != nil || bad != nil:
		return errors.Join(err, bad)
	case len(b.Damaged) > 0:
		return fmt.Errorf("damaged: %v", b.Damaged)
	case done && failed != nil:
		return failed
	case !l.boots && text != oldText || l.boots && done && text != newText || text != oldText && text != newText:
		return fmt.Errorf("%.20q is booted", text)
	}
	for _, r := range s.History() {
		if r.Fault != nil {
			return fmt.Errorf("%s: %w", r.Path, r.Fault)
		}
	}
	return nil
}

func TestAFailureOfAnyCallOfALifeIsToldAndBootsWhatWasConfirmed(t *testing.T) {
	for name, l := range lives(t) {
		for _, lasting := range []bool{false, true} {
			flashtest.Failures(l.start, syscall.EIO, lasting, l.on, func(after *flashtest.Disk, call int, err error) bool {
				text, b, bad := booted(after)
				unsure := err != nil && strings.Contains(err.Error(), "the next start may boot")
				switch {
				case bad != nil || len(b.Damaged) > 0:
					t.Errorf("%s: call %d: %v, %v", name, call, bad, b.Damaged)
				case err != nil && !unsure && text != oldText, err == nil && l.boots && text != newText:
					t.Errorf("%s: call %d fails, lasting %t: %v, and %.20q is booted", name, call, lasting, err, text)
				}
				return true
			})
		}
	}
}
