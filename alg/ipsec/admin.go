package ipsec

import (
	"slices"

	"spigate/netstack/frame"
)

// Filter selects sessions and gates; a zero address stands for any.
type Filter struct{ Inside, NAT, Server frame.Addr }

func (f Filter) pair(k pairKey) bool {
	return (f.NAT.IsZero() || f.NAT == k.NAT) && (f.Server.IsZero() || f.Server == k.Server)
}

func (f Filter) inside(a frame.Addr) bool { return f.Inside.IsZero() || f.Inside == a }

// MappingGone tells the ALG that a UDP mapping no longer exists, for whatever
// reason: its IKE sessions go with it. It is cheap for mappings that carry no
// IKE. ESP sessions stay (R47).
func (a *ALG) MappingGone(mapping uint64, now int64) []Action {
	inside, pairs := a.mapsOf(mapping).forget(mapping)
	var actions []Action
	for _, k := range pairs {
		actions = append(actions, a.mappingGone(k, inside, mapping, now)...)
	}
	return actions
}

func (a *ALG) mappingGone(k pairKey, inside frame.Addr, mapping uint64, now int64) []Action {
	sh := a.shardOf(k.NAT, k.Server)
	sh.mu.Lock()
	defer sh.done()
	st := &step{a: a, sh: sh, now: now}
	p := sh.pairs[k]
	c := p.client(inside)
	if c == nil {
		return nil
	}
	for _, s := range slices.Clone(c.sessions) {
		if s.mapping == mapping {
			st.removeIKE(p, s, causeGone, "mapping", mappingKept)
		}
	}
	return st.actions
}

// SetProfile changes a live profile (R10): every session, gate, lock and held
// message that uses it gets the new timeouts at once, counted from when it was
// last seen. Packets that come later must carry the new profile too.
func (a *ALG) SetProfile(name string, profile Profile, now int64) []Action {
	profile.Name = name
	var actions []Action
	for i := range a.shards {
		actions = append(actions, a.setProfile(&a.shards[i], &profile, now)...)
	}
	return actions
}

func (a *ALG) setProfile(sh *shard, profile *Profile, now int64) []Action {
	sh.mu.Lock()
	defer sh.done()
	st := &step{a: a, sh: sh, now: now}
	for _, p := range sh.pairs {
		for _, c := range p.clients {
			st.reprofile(c, profile)
		}
	}
	for _, s := range sh.byID {
		if s.profile.Name == profile.Name {
			s.profile = profile
		}
	}
	sh.ikes.again()
	sh.esps.again()
	sh.busy.again()
	st.run()
	return st.actions
}

func (st *step) reprofile(c *client, profile *Profile) {
	for _, s := range c.sessions {
		if s.profile.Name != profile.Name {
			continue
		}
		s.profile = profile
		if want := st.a.mapsOf(s.mapping).again(s.mapping, s.state, s.mappingIdle()); want != 0 {
			st.setMappingIdle(s.mapping, want)
		}
	}
}
