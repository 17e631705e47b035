package netns

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestALogLineIsSplitIntoItsKeys(t *testing.T) {
	for line, want := range map[string]LogLine{
		``:                               {},
		`no keys here`:                   {},
		`time=T level=INFO msg=ipsecalg`: {"time": "T", "level": "INFO", "msg": "ipsecalg"},
		`msg="two words" a=1`:            {"msg": "two words", "a": "1"},
		`msg="a \"b\" c" x=`:             {"msg": `a "b" c`, "x": ""},
		`stray words k=v`:                {"k": "v"},
		`k="never closed`:                {"k": `"never`},
	} {
		if d := cmp.Diff(want, ParseLogLine(line)); d != "" {
			t.Errorf("%q: want(-) got(+)\n%s", line, d)
		}
	}
}

func TestTheEventOfAnALGLine(t *testing.T) {
	for line, want := range map[string]string{
		`msg=ipsecalg event=GATE_OPEN src=192.0.2.11`: "GATE_OPEN",
		`msg=ipsecalg event="GATE OPEN"`:              "GATE_OPEN",
		`msg=ready event=GATE_OPEN`:                   "",
	} {
		if got := ParseLogLine(line).ALGEvent(); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func FuzzParseLogLine(f *testing.F) {
	f.Add(`time=2026-01-01T00:00:00Z level=INFO msg=ipsecalg event=GATE_OPEN src=192.0.2.11`)
	f.Add(`a="b\x`)
	f.Add(`= == "`)
	f.Fuzz(func(_ *testing.T, line string) { ParseLogLine(line).ALGEvent() })
}
