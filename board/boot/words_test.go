package boot

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestACommandLineIsCutIntoWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                      nil,
		" \t ":                  nil,
		"show status":           {"show", "status"},
		`show lsn "a b"'c' d`:   {"show", "lsn", "a bc", "d"},
		`x "" y`:                {"x", "", "y"},
		"explain -- $HOME ; ls": {"explain", "--", "$HOME", ";", "ls"},
		`a\ b`:                  {`a\`, "b"},
	} {
		if got, err := Words(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	if _, err := Words(`show "status`); !errors.Is(err, errQuote) {
		t.Error(err)
	}
	if _, err := Words(strings.Repeat("a ", 1000)); err == nil {
		t.Error("a thousand words")
	}
}

func TestKeysBecomeLines(t *testing.T) {
	var k keys
	read := func(s string) ([]Typed, bool) { return k.read([]byte(s)) }
	check := func(name string, got []Typed, broken bool, wantBroken bool, want ...Typed) {
		t.Helper()
		if !slices.Equal(got, want) || broken != wantBroken {
			t.Errorf("%s: %v, %v", name, got, broken)
		}
	}
	got, broken := read("show sta")
	check("half a line", got, broken, false)
	got, broken = read("tus\r\nlist\n")
	check("a line and another", got, broken, false, Typed{Line: "show status"}, Typed{Line: "list"})
	got, broken = read("one\ntwo\x03")
	check("Ctrl-C", got, broken, true)
	got, broken = read("three\x03four\n")
	check("after Ctrl-C", got, broken, true, Typed{Line: "four"})
	read("fi")
	got, broken = read("")
	check("Ctrl-D behind a word", got, broken, false, Typed{Line: "fi"}, Typed{End: true})
	for range 100 {
		got, broken = read(strings.Repeat("x", maxTyped))
		check("a line without end", got, broken, false)
	}
	got, broken = read("\nlog\n")
	check("after a line without end", got, broken, false, Typed{Line: "log"})
}

func TestLinesTypedAheadAreBounded(t *testing.T) {
	a := newAhead()
	for range 1000 {
		a.put([]Typed{{Line: strings.Repeat("x", 4000)}})
	}
	kept, lost := 0, 0
	for {
		_, n, ok := a.take()
		lost += n
		if !ok {
			break
		}
		kept++
	}
	if kept+lost != 1000 || kept*4000 > maxAhead || kept < 50 {
		t.Errorf("%d kept, %d lost", kept, lost)
	}
	a.put([]Typed{{Line: "one"}, {Line: "two"}})
	first, _, _ := a.take()
	a.back(first)
	if got, _, _ := a.take(); got.Line != "one" {
		t.Errorf("%q is first", got.Line)
	}
	a.clear()
	if _, _, ok := a.take(); ok || a.bytes != 0 {
		t.Errorf("something is left: %d bytes", a.bytes)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("show status\nconfig apply -\nversion = 1\n\x03reboot\n"), uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		var k keys
		for part := range slices.Chunk(text, int(step)+1) {
			typed, _ := k.read(part)
			for _, l := range typed {
				words, err := Words(l.Line)
				if strings.ContainsAny(l.Line, "\n\x03") || len(l.Line) > maxTyped || err == nil && len(words) > maxWords {
					t.Errorf("%v", l)
				}
			}
		}
	})
}
