package netstack

import (
	"maps"
	"slices"

	"spigate/alg/ipsec"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// bindings says which IPsec ALG profile each LSN group has. It is replaced as
// a whole, so that a packet sees one state of it.
type bindings map[string]*ipsec.Profile // by the group's name

// newBindings resolves the names in the groups. A group without a profile, or
// with the name of one that does not exist, has no ALG (R35).
func newBindings(groups []lsn.Group, profiles map[string]ipsec.Profile) bindings {
	b := bindings{}
	for _, g := range groups {
		if p, ok := profiles[g.ALGProfile]; ok {
			b[g.Name] = &p
		}
	}
	return b
}

// cookieDemux reports whether any group wants N40.
func (b bindings) cookieDemux() bool {
	for _, p := range b {
		if p.IKECookieDemux {
			return true
		}
	}
	return false
}

// profile returns the ALG profile of a group, or nil if it has none. g may be
// nil.
func (r *Router) profile(g *lsn.Group) *ipsec.Profile {
	if g == nil {
		return nil
	}
	return (*r.bindings.Load())[g.Name]
}

// SetProfiles changes the ALG profiles while the router runs; of the groups
// only Name, ALGProfile and PairingHold (R15) are looked at. A changed timeout
// counts from when a session was last seen, at once (R10). A group that loses
// its profile opens no new gate, and the gates that it has close; its ESP
// sessions live until they are idle or flushed (R11).
func (r *Router) SetProfiles(groups []lsn.Group, profiles map[string]ipsec.Profile) {
	r.fire(func(now int64) {
		for _, g := range groups {
			r.lsn.SetPairingHold(g.Name, g.PairingHold)
		}
		r.setProfiles(groups, profiles, now)
	})
}

func (r *Router) setProfiles(groups []lsn.Group, profiles map[string]ipsec.Profile, now int64) {
	next := newBindings(groups, profiles)
	r.bindings.Store(&next)
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		r.actAtOnce(r.alg.SetProfile(name, profiles[name], now))
	}
	r.alg.Unbind(func(inside frame.Addr) bool {
		group, _ := r.lsn.Client(inside)
		return r.profile(group) == nil
	}, now, r.actAtOnce)
	r.armDeadline()
}
