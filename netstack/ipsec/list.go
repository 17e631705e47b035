package ipsec

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// List looks at all SAs, by SPI.
func (db *Database) List(now int64) []Info {
	db.mu.Lock()
	defer db.mu.Unlock()
	out := make([]Info, 0, len(db.all))
	for sa := range db.all {
		i := sa.Info(now)
		i.Selectors = slices.Clone(sa.selectors)
		out = append(out, i)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		return cmp.Or(cmp.Compare(a.SPI, b.SPI), bytes.Compare(a.Local.Addr[:], b.Local.Addr[:])) < 0
	})
	return out
}

// SelectorInfo is one selector, for listings.
type SelectorInfo struct {
	TrafficSelector
	Outbound []uint32 // SPIs, the first choice first
	NoSA     uint64   // packets that found none
	Holds    bool     // a packet waits for one

	// What Database.Count was told, of packets that no SA saw.
	Bypassed, Discarded uint64
	InClear             uint64 // came in clear and should have been protected (VR32)

	// The rest is Database.Selectors' alone.

	Inbound  []uint32            // SPIs, in their order
	Manual   bool                // its policy has manual SAs; they are all its selectors'
	In, Out  Traffic             // of its SAs, also of those that are gone; manual ones count for the first of their selectors
	Failures [NumVerdicts]uint64 // what they counted but Pass
}

// Info looks at a selector.
func (s *Selector) Info() SelectorInfo {
	t := s.tally
	i := SelectorInfo{
		TrafficSelector: s.TrafficSelector, Bypassed: t.verdicts[Clear].Load(),
		Discarded: t.verdicts[SelectorDiscard].Load(), InClear: t.verdicts[SelectorReject].Load(),
	}
	if s.bundle == nil {
		return i
	}
	if all := s.bundle.out.Load(); all != nil {
		for _, sa := range *all {
			i.Outbound = append(i.Outbound, sa.SPI)
		}
	}
	i.NoSA = s.bundle.misses.Load()
	s.bundle.mu.Lock()
	i.Holds = s.bundle.held != nil
	s.bundle.mu.Unlock()
	return i
}

// Selectors looks at all selectors, in the order in which they are asked (VR29),
// with what their SAs carried.
func (db *Database) Selectors() []SelectorInfo {
	db.mu.Lock()
	defer db.mu.Unlock()
	p := db.policies.Load()
	out := make([]SelectorInfo, 0, len(p.selectors))
	at := map[string]*SelectorInfo{}
	for _, s := range p.selectors {
		i := s.Info()
		i.Manual = s.Protects != nil && p.isManual(s.Policy)
		i.In, i.Out, i.Failures = s.tally.in, s.tally.out, s.tally.failures
		out = append(out, i)
		at[s.Name] = &out[len(out)-1]
	}
	for sa := range db.all {
		if s := db.whose(sa); s != nil {
			at[s.Name].live(sa)
		}
		for _, name := range sa.selectors {
			if i := at[name]; i != nil && !sa.Outbound {
				i.Inbound = append(i.Inbound, sa.SPI)
			}
		}
	}
	for i := range out {
		slices.Sort(out[i].Inbound)
	}
	return out
}

func (i *SelectorInfo) live(sa *SA) {
	if sa.Outbound {
		i.Out.add(sa)
	} else {
		i.In.add(sa)
	}
	failuresOf(sa, &i.Failures)
}
