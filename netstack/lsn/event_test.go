package lsn

import (
	"slices"
	"testing"
	"time"
)

// A mapping with two sessions is born once and dies once, its sessions first.
func TestEveryBirthAndDeathIsTold(t *testing.T) {
	c := config(nat1, AppProfile{Name: "A", Proto: 17, Mapping: EIM, Filtering: EIF})
	var kinds []EventKind
	c.OnEvent = func(e Event) {
		kinds = append(kinds, e.Kind)
		if e.Group == nil || e.Mapping == 0 || e.Inside != at(subscriber, 5000) || e.Outside.Addr != nat1 {
			t.Errorf("event %+v", e)
		}
	}
	f := build(t, c)
	for _, y := range []uint16{80, 81} {
		plan, _ := f.DecideOut(udp(at(subscriber, 5000), at(serverY, y)), Hints{Bytes: 100}, 0)
		if _, why := f.CommitOut(&plan, 0); why != 0 {
			t.Fatal(why)
		}
	}
	f.Sweep(int64(time.Hour))
	want := []EventKind{MappingCreated, SessionCreated, SessionCreated, SessionDeleted, SessionDeleted, MappingDeleted}
	if !slices.Equal(kinds, want) {
		t.Errorf("told %v, want %v", kinds, want)
	}
}
