package boot

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheLogIsBounded(t *testing.T) {
	var r Ring
	for i := range 100_000 {
		r.Add(fmt.Sprintf("line %d", i), int64(i)*1e6)
	}
	text := r.Text()
	if len(text) > ringSize || !strings.HasSuffix(text, "[   99.999000] line 99999\n") || strings.Contains(text, "line 1\n") {
		t.Errorf("%d bytes, ending %q", len(text), text[max(0, len(text)-60):])
	}
	line, next, lost, ok := r.Line(7)
	if !ok || lost == 0 || next != r.first+1 || !strings.Contains(line, fmt.Sprintf("line %d", r.first)) {
		t.Errorf("%q, %d, %d lost, %v", line, next, lost, ok)
	}
	if _, next, _, ok := r.Line(r.Next()); ok || next != 100_000 {
		t.Error("there is a line that was not yet written")
	}
}

func TestALineIsShownAndNotObeyed(t *testing.T) {
	var r Ring
	r.Add("a\x1b[2Jb\x00\u009bc\xff\td", 1_234_567_891)
	if got, want := r.Text(), "[    1.234567] a?[2Jb??c?\td\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.Add(strings.Repeat("x", 1<<20), 0)
	if n := len(r.Text()); n > 2*maxLine {
		t.Errorf("a line of a megabyte takes %d bytes", n)
	}
}

func TestAStreamIsCutIntoLines(t *testing.T) {
	var got []string
	l := lines{emit: func(s string) { got = append(got, s) }}
	for _, p := range []string{"one\ntw", "o\r\n\nth", strings.Repeat("r", 1<<20), "ee\nend\n"} {
		if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(got) != 5 || got[1] != "two" || got[2] != "" || len(got[3]) != maxLine || got[4] != "end" {
		t.Errorf("%.40q", got)
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte("time=1 level=INFO msg=ready\n\x1b[31m\xff\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r Ring
		l := lines{emit: func(s string) { r.Add(s, 0) }}
		l.Write(text)
		for n := uint64(0); ; {
			line, next, _, ok := r.Line(n)
			if !ok {
				break
			}
			n = next
			if !utf8.ValidString(line) || len(line) > maxLine*3+20 || strings.ContainsAny(line, "\n\r\x1b\x00") {
				t.Errorf("%q", line)
			}
		}
	})
}
