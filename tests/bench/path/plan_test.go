package path

import (
	"testing"

	"spigate/tests/bench/report"
)

// Of two sections with the lines of one goal the later one would silently win.
func TestEachGoalOfThePathIsToldOfByOneSection(t *testing.T) {
	told := map[string]int{}
	for _, s := range Sections() {
		m := Measured{Section: s}
		for _, l := range s.Lines {
			m.Results = append(m.Results, &Result{Line: l, Floods: []Flood{{Arrived: 1, Path: 1, Own: 1}}})
		}
		figures := report.Figures{}
		Figures([]Measured{m}, figures)
		for key := range figures {
			told[key]++
		}
	}
	for _, key := range []string{
		report.RingToForward, report.RingToMasquerade, report.RingToBare, report.XDPToMasquerade, report.XDPToBare, report.XDPToMasqUDP,
		report.RingAt100k, report.XDPAt100k, report.RingAt1M, report.XDPAt1M,
	} {
		if told[key] != 1 {
			t.Errorf("%s: told of by %d sections", key, told[key])
		}
	}
}

func TestNoLineIsMeasuredTwiceInASection(t *testing.T) {
	for _, s := range Sections() {
		seen := map[Line]bool{}
		for _, l := range s.Lines {
			if seen[l] {
				t.Errorf("%s: %+v stands twice", s.Title, l)
			}
			seen[l] = true
		}
	}
}
