package control

import (
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *fake) LSNStat(f Filter) LSNStat {
	b.asked = f
	return LSNStat{Subscribers: 2, Protocols: []LSNProtocol{{Protocol: "TCP", Sessions: 3}}}
}

func (b *fake) ClearLSNStat(f Filter) LSNStat {
	b.flushed = append(b.flushed, "lsn stat "+f.Values().Encode())
	return b.LSNStat(f)
}

func (b *fake) LSNGroupStats() []LSNStat {
	one, two, td := "LSN-GROUP-1", "LSN-GROUP-2", [...]uint16{0, 7}
	return []LSNStat{{Group: &one, TD: &td[0]}, {Group: &two, TD: &td[1], Subscribers: 9}}
}

func (b *fake) LSNPoolStats() []LSNPoolStat {
	return []LSNPoolStat{{Name: "LSN-POOL-1", Addresses: 7, Allocated: 2, TCP: 12.5, NonTCP: 0.25}, {Name: "P", TD: 7}}
}

func (b *fake) LSNStatics() []LSNStatic {
	return []LSNStatic{
		{Name: "web", Protocol: "TCP", SubscriberIP: ip("192.0.2.10"), NATIP: ip("203.0.113.3"), Status: StatusActive},
		{Name: "all", Protocol: "ALL", SubscriberIP: ip("192.0.2.11"), NATIP: ip("203.0.113.4"), SubscriberTD: 7, Status: StatusInactive},
	}
}

// all collects rows until an error.
func all[T any](rows iter.Seq2[T, error]) (out []T, err error) {
	for row, err := range rows {
		if err != nil {
			return out, err
		}
		out = append(out, row)
	}
	return out, nil
}

func TestCountersOfTheNATPassTheSocket(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	td := uint16(7)
	want := b.LSNStat(Filter{})
	got, err := c.LSNStat(t.Context(), Filter{TD: &td})
	if diff := cmp.Diff(want, got); diff != "" || err != nil || *b.asked.TD != 7 {
		t.Errorf("%v %s", err, diff)
	}
	if got, err = c.ClearLSNStat(t.Context(), Filter{TD: &td}); err != nil || got.Subscribers != 2 || len(b.flushed) != 1 || b.flushed[0] != "lsn stat td=7" {
		t.Errorf("cleared %+v, %v, %q", got, err, b.flushed)
	}
	groups, err := all(c.LSNGroupStats(t.Context(), Filter{TD: &td}))
	if diff := cmp.Diff(b.LSNGroupStats()[1:], groups); diff != "" || err != nil {
		t.Errorf("groups: %v %s", err, diff)
	}
	pools, err := all(c.LSNPoolStats(t.Context(), Filter{Name: "LSN-POOL-1"}))
	if diff := cmp.Diff(b.LSNPoolStats()[:1], pools); diff != "" || err != nil {
		t.Errorf("pools: %v %s", err, diff)
	}
	if _, err := all(c.LSNPoolStats(t.Context(), Filter{Name: "X"})); !IsNotFound(err) {
		t.Errorf("a pool that there is not: %v", err)
	}
}

func TestStaticMappingsAreFiltered(t *testing.T) {
	c, _ := serve(t, &fake{})
	td := uint16(7)
	for name, f := range map[string]Filter{
		"web": {SourceIP: ip("192.0.2.10")},
		"all": {TD: &td},
	} {
		rows, err := all(c.LSNStatics(t.Context(), f))
		if err != nil || len(rows) != 1 || rows[0].Name != name {
			t.Errorf("%s: %v %v", name, rows, err)
		}
	}
	if rows, err := all(c.LSNStatics(t.Context(), Filter{NATIP: ip("203.0.113.9")})); err != nil || len(rows) != 0 {
		t.Errorf("of another NAT address: %v %v", rows, err)
	}
	if _, err := all(c.LSNStatics(t.Context(), Filter{Name: "X"})); !IsNotFound(err) {
		t.Errorf("one that there is not: %v", err)
	}
}
