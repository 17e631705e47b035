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

func TestWhoIsToldOfAFloodCostsNoMemory(t *testing.T) {
	var c Counters
	var got []Dropped
	c.SetWatch(func(d Dropped) {
		d.Packet = append([]byte(nil), d.Packet...)
		got = append(got, d)
	})
	c.CountOf(Dropped{Reason: NoMapping, Packet: []byte{1, 2, 3}, At: 4, In: 5, Mark: 6})
	c.CountOf(Dropped{Reason: NoMapping, Packet: []byte{7}, At: 8})
	if len(got) != 2 || string(got[0].Packet) != "\x01\x02\x03" || got[0].In != 5 || got[0].Mark != 6 || string(got[1].Packet) != "\x07" {
		t.Errorf("%+v", got)
	}
	told := 0
	c.SetWatch(func(d Dropped) { told += len(d.Packet) })
	packet := make([]byte, 1500)
	c.Count(NoMapping, packet, sampleEvery+8)
	if n := testing.AllocsPerRun(100, func() { c.Count(NoMapping, packet, sampleEvery+9) }); n != 0 || told == 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}
