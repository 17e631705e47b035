package netstack

import (
	"errors"
	"maps"
	"slices"

	"spigate/alg/ipsec"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/keying"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// Settings is what of a Router may change while it runs.
type Settings struct {
	LSN      lsn.Config // Clients, Pools, Groups and Statics; the rest is not looked at
	Profiles map[string]ipsec.Profile
	Logged   map[string]LoggedGroup // NATLog.Groups

	Listeners  vserver.Config // as RouterConfig's
	KeepSilent bool

	IPsec  tunnels.Config // as RouterConfig's
	Keying keying.Config
}

// CheckReload returns all that keeps Reload from taking s.
func (r *Router) CheckReload(s Settings) error {
	_, _, faults := r.listeners(s.asConfig())
	_, badTunnels := r.checkTunnels(s.IPsec, s.Keying)
	err := errors.Join(lsn.Check(s.LSN), faults, badTunnels)
	if r.NeedsStart(s) {
		err = errors.Join(err, errors.New("rewrite_ip_id = \"df-clear\" takes effect at the next start only, because no group had it at this one"))
	}
	return err
}

// NeedsStart reports whether s is right, but has in its LSN what only a Router
// that starts with it can do: the ids are divided between pieces and whole
// packets once (R29).
func (r *Router) NeedsStart(s Settings) bool {
	return !r.wholeIDs && slices.ContainsFunc(s.LSN.Groups, func(g lsn.Group) bool { return g.RewriteID })
}

// Reload makes s what the Router goes by, while packets pass (R10, R11, N28).
// What it cannot take changes nothing, and the error has all the faults.
//
// Sessions that s has no place for end with it, with their flows and the IKE
// sessions on them, and are told to the log and counted; see lsn.Table.Reload. ESP sessions
// and held messages of NAT addresses that are gone end too. ARP is answered for
// the addresses there are now, and those that are new are announced.
//
// Connections that s has no listener for end with it, TCP by RSTs to both sides
// (VR11). It does nothing once the Router has ended.
func (r *Router) Reload(s Settings) (n Reloaded, err error) {
	if err := r.CheckReload(s); err != nil {
		return n, err
	}
	r.fire(func(now int64) { err = r.reload(s, now, &n) })
	return n, err
}

// asConfig is what of a RouterConfig has to do with listeners.
func (s *Settings) asConfig() RouterConfig {
	return RouterConfig{LSN: s.LSN, Listeners: s.Listeners, KeepSilent: s.KeepSilent}
}

func (r *Router) reload(s Settings, now int64, n *Reloaded) error {
	made, listening, err := r.listeners(s.asConfig())
	if err != nil {
		return err
	}
	policies, err := r.checkTunnels(s.IPsec, s.Keying)
	if err != nil {
		return err
	}
	r.expect(policies)
	defer r.settleEnds()
	alg, sas := r.algSessions(), r.esp.List(now)
	before := append(r.lsn.Addresses(), r.translatedAddresses()...)
	log := *r.natlog.Load()
	// What ends is told as it began, and what begins is told already.
	both := log
	both.Groups = maps.Clone(log.Groups)
	if both.Groups == nil {
		both.Groups = map[string]LoggedGroup{}
	}
	for name, g := range s.Logged {
		if _, was := both.Groups[name]; !was {
			both.Groups[name] = g
		}
	}
	r.natlog.Store(&both)
	sessions, err := r.lsn.Reload(s.LSN, now)
	if err == nil {
		log.Groups = s.Logged
	}
	r.natlog.Store(&log)
	if err != nil {
		return err
	}
	r.flows.RemoveOwner(r.owner(flow.OwnerStatic, 0), now)
	r.events.statics(r.lsn.WalkStatic)
	n.Sessions, n.Connections = Survival(sessions), Survival(r.setListeners(made, listening, now))
	if c := n.Connections; c != (Survival{}) {
		r.log.Info("listeners exchanged", "connections_kept", c.Kept, "connections_ended", c.Cleared+c.Refused)
	}
	r.proxy()
	r.setProfiles(s.LSN.Groups, s.Profiles, now)
	r.announceNAT(without(append(r.lsn.Addresses(), r.translatedAddresses()...), before))
	for _, gone := range without(before, r.lsn.Addresses()) {
		r.alg.Flush(ipsec.Filter{NAT: gone}, now, r.actAtOnce)
	}
	r.armDeadline()
	// Those that come meanwhile are as good as those that were there.
	n.ALG.Kept = min(alg, r.algSessions())
	n.ALG.Cleared = alg - n.ALG.Kept
	err = r.setTunnels(policies, s.Keying, now)
	n.SAs = r.survivors(sas, now)
	return err
}

// without returns what of list is not in other.
func without(list, other []frame.Addr) (out []frame.Addr) {
	have := map[frame.Addr]bool{}
	for _, a := range other {
		have[a] = true
	}
	for _, a := range list {
		if !have[a] {
			out = append(out, a)
		}
	}
	return out
}
