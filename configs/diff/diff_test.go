package diff

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plain compares two texts as they are.
func plain(old, now string) string {
	t := Texts{Split(old), Split(now), "old", "new"}
	same := func(l string) string { return l }
	return t.Unified(Blocks(t.Old, t.New), same, func(a, b []string) ([]string, []string) { return a, b })
}

func TestADiffIsWrittenAsDiffWritesIt(t *testing.T) {
	many := strings.Repeat("line\n", 3) + "a\n" + strings.Repeat("more\n", 5) + "b\n" + strings.Repeat("end\n", 9) + "c\n"
	for name, c := range map[string][2]string{
		"nothing":        {many, many},
		"one line":       {many, strings.Replace(many, "a\n", "x\n", 1)},
		"near and far":   {many, strings.NewReplacer("a\n", "x\n", "b\n", "", "c\n", "c\nd\n").Replace(many)},
		"all of it":      {many, "other\n"},
		"from nothing":   {"", "a\nb\n"},
		"to nothing":     {"a\nb\n", ""},
		"the first":      {"a\nb\nc\n", "b\nc\n"},
		"the last":       {"a\nb\nc\n", "a\nb\nc\nd\n"},
		"in front of it": {"b\nc\n", "a\nb\nc\n"},
	} {
		if got, want := plain(c[0], c[1]), tool(t, c[0], c[1]); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// tool is what diff -u says.
func tool(t testing.TB, old, now string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"old": old, "new": now} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("diff", "-u", "--label", "old", "--label", "new", filepath.Join(dir, "old"), filepath.Join(dir, "new")).Output()
	if code := 0; err != nil {
		if code = err.(*exec.ExitError).ExitCode(); code != 1 {
			t.Fatal(err)
		}
	}
	return string(out)
}

// Whatever the texts, the blocks make the new one of the old one, and what they
// leave out is the same in both.
func TestTheBlocksMakeTheNewTextOfTheOldOne(t *testing.T) {
	text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 40)
	rapid.Check(t, func(t *rapid.T) {
		old, now := text.Draw(t, "old"), text.Draw(t, "new")
		check(t, old, now)
	})
}

func check(t interface{ Fatalf(string, ...any) }, old, now []string) (edits int) {
	i, j := 0, 0
	for _, b := range Blocks(old, now) {
		if b.OldFrom-i != b.NewFrom-j || i > 0 && b.OldFrom == i || b.OldTo > len(old) || b.NewTo > len(now) {
			t.Fatalf("%v: after %d, %d", b, i, j)
		}
		for ; i < b.OldFrom; i, j = i+1, j+1 {
			if old[i] != now[j] {
				t.Fatalf("line %d is not line %d", i, j)
			}
		}
		edits += b.OldTo - b.OldFrom + b.NewTo - b.NewFrom
		i, j = b.OldTo, b.NewTo
	}
	if strings.Join(old[i:], "\n") != strings.Join(now[j:], "\n") {
		t.Fatalf("the ends are not the same")
	}
	return edits
}

func TestTheWayIsTheShortest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 12)
		old, now := text.Draw(t, "old"), text.Draw(t, "new")
		if got, want := check(t, old, now), len(old)+len(now)-2*common(old, now); got != want {
			t.Fatalf("%d edits, want %d", got, want)
		}
	})
}

// common is the length of the longest common subsequence.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for i := range a {
		last := 0
		for j := range b {
			above := row[j+1]
			if row[j+1] = max(row[j], above); a[i] == b[j] {
				row[j+1] = last + 1
			}
			last = above
		}
	}
	return row[len(b)]
}

// Texts of the largest size that have nothing in common are compared in bounded
// time and memory.
func TestWhatDiffersTooMuchIsToldAsABlock(t *testing.T) {
	var old, now []string
	for i := range 200000 {
		old, now = append(old, fmt.Sprint("a", i%5000)), append(now, fmt.Sprint("a", (i*7)%5000))
	}
	if n := len(Blocks(old, now)); n != 1 {
		t.Errorf("%d blocks", n)
	}
	check(t, old, now)
	allocated := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			Blocks(old, now)
		}
	}).AllocedBytesPerOp()
	if allocated > 32<<20 {
		t.Errorf("%d bytes", allocated)
	}
}
