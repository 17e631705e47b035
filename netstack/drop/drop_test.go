package drop

import (
	"regexp"
	"testing"
)

func TestEveryReasonHasAWordAMeaningAndAnAdvice(t *testing.T) {
	word := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	seen := map[string]Reason{}
	for r := None + 1; r < NumReasons; r++ {
		in := r.Info()
		if !word.MatchString(in.Word) {
			t.Errorf("reason %d: word %q is not snake_case", r, in.Word)
		}
		if in.Means == "" || in.Do == "" {
			t.Errorf("%s: no meaning or no advice", in.Word)
		}
		if other, twice := seen[in.Word]; twice {
			t.Errorf("%s names both %d and %d", in.Word, other, r)
		}
		seen[in.Word] = r
	}
	if got := Reason(250).String(); got != "unknown" {
		t.Errorf("a reason outside the table prints %q", got)
	}
}

func TestAFloodOfOneReasonKeepsOneSampleASecond(t *testing.T) {
	var c Counters
	c.Count(NoMapping, []byte{1}, 0)
	if n := testing.AllocsPerRun(100, func() { c.Count(NoMapping, []byte{2}, 5) }); n != 0 {
		t.Errorf("counting inside the second allocates %v times", n)
	}
	if got := c.Last(NoMapping).Hex(); got != "01" {
		t.Errorf("sample %q, want the first of the second", got)
	}
	c.Count(NoMapping, []byte{3}, sampleEvery)
	if got := c.Last(NoMapping).Hex(); got != "03" {
		t.Errorf("sample %q, want the one of the next second", got)
	}
	if c.Get(NoMapping) != 103 {
		t.Errorf("count %d, want 103", c.Get(NoMapping))
	}
}
