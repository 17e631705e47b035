package wire

import (
	"net/netip"
	"slices"
	"strings"

	"spigate/alg/ipsec"
	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack/drop"
	"spigate/netstack/lsn"
)

// elsewhere are the counters that belong to the ALG and are kept where it never
// sees the packet, for all profiles together.
type elsewhere struct{ ah, fragments, icmp uint64 }

func (v *views) elsewhere() (n elsewhere) {
	drops := v.chassis.Drops()
	n.ah, n.fragments = drops.Get(drop.AH), fragments(drops)
	for _, r := range v.chassis.Routers() {
		n.icmp += r.ICMPTranslated()
	}
	return n
}

// IPsecStat implements control.Backend.
func (v *views) IPsecStat(profile string) (control.IPsecStat, error) {
	return v.ipsecStat(profile, func(a *ipsec.ALG) (ipsec.Counters, bool) {
		if profile == "" {
			return a.Counters(), true
		}
		return a.CountersOf(profile)
	})
}

// ClearIPsecStat implements control.Operator. "show drops" has the counters that
// are kept elsewhere too, so those are not touched: what they were is taken off.
func (v *views) ClearIPsecStat(profile string, level control.ClearLevel) (control.IPsecStat, error) {
	full := level == control.ClearFull
	was, err := v.ipsecStat(profile, func(a *ipsec.ALG) (ipsec.Counters, bool) {
		return a.ClearCounters(profile, full)
	})
	if err == nil && full && profile == "" {
		v.mu.Lock()
		v.cleared = v.elsewhere()
		v.mu.Unlock()
	}
	return was, err
}

// ipsecStat adds up what read says of each ALG.
func (v *views) ipsecStat(profile string, read func(*ipsec.ALG) (ipsec.Counters, bool)) (control.IPsecStat, error) {
	var all ipsec.Counters
	used := false
	for _, r := range v.chassis.Routers() {
		c, here := read(r.ALG())
		all.Add(&c)
		used = used || here
	}
	out := ipsecStat(all)
	if profile == "" {
		n := v.elsewhere()
		v.mu.Lock()
		n.ah, n.fragments, n.icmp = n.ah-v.cleared.ah, n.fragments-v.cleared.fragments, n.icmp-v.cleared.icmp
		v.mu.Unlock()
		out.AHDropped, out.FragDropped, out.ICMPTranslated = &n.ah, &n.fragments, &n.icmp
		return out, nil
	}
	isProfile := func(p *configs.ALGProfile) bool { return p.Name == profile }
	// One that is gone from the configuration may still have sessions.
	if !used && !slices.ContainsFunc(v.config.Load().ALG, isProfile) {
		return control.IPsecStat{}, control.NotFound("ipsecalg profile", profile)
	}
	out.Profile = &profile
	return out, nil
}

func ipsecStat(c ipsec.Counters) control.IPsecStat {
	return control.IPsecStat{
		Total: c.Total, Dropped: c.Dropped, Active: c.Active, Blocked: c.Blocked,
		RxPackets: c.RxPkts, TxPackets: c.TxPkts,
		ESPNoGateIn: c.ESPNoGateIn, ESPNoGateOut: c.ESPNoGateOut,
		GateTimeout: c.GateTimeout, GateFail: c.GateFail,
		LateBind: c.LateBind, SPICollisionSuspect: c.SPICollisionSuspect,
		StaleSPI: c.StaleSPI, SeqReject: c.SeqReject,
		P2Held: c.P2Held, P2Dropped: c.P2Dropped,
		IKEHalfLimit: c.IKEHalfLimit, MalformedIKE: c.MalformedIKE,
		ESPSessions: c.ESPSessions, IKESessions: c.IKESessions, IKEHalfOpen: c.IKEHalfOpen,
	}
}

// fragments adds up every reason for which a fragment dies.
func fragments(drops *drop.Counters) (n uint64) {
	for r := drop.None; r < drop.NumReasons; r++ {
		if strings.HasPrefix(r.String(), "fragment") {
			n += drops.Get(r)
		}
	}
	return n
}

// FlushIPsec implements control.Operator.
func (v *views) FlushIPsec(f control.Filter) (control.IPsecFlushed, error) {
	var all control.IPsecFlushed
	for _, r := range v.routers(f) {
		n := r.FlushALG(filter(f))
		all.ESPSessions += uint64(n.ESP)
		all.IKESessions += uint64(n.IKE)
		all.HeldMessages += uint64(n.Held)
	}
	return all, nil
}

// FlushLSN implements control.Operator.
func (v *views) FlushLSN(f control.Filter) (control.LSNFlushed, error) {
	var all control.LSNFlushed
	if err := v.checkClient(f); err != nil {
		return all, err
	}
	chosen, some := lsnFilter(f)
	if !some {
		return all, nil
	}
	for _, r := range v.routers(f) {
		n := r.FlushLSN(chosen)
		all.Sessions += uint64(n.Sessions)
		all.Mappings += uint64(n.Mappings)
	}
	return all, nil
}

// lsnFilter is the whole of f but for its traffic domain; some is false where f
// can select nothing: a subscriber is in a network or not.
func lsnFilter(f control.Filter) (out lsn.Filter, some bool) {
	out = lsn.Filter{Network: f.Network, Client: f.Client, NATPort: f.NATPort}
	if f.NATIP.IsValid() {
		out.NAT = addr(f.NATIP)
	}
	if !f.SourceIP.IsValid() {
		return out, true
	}
	out.Network = netip.PrefixFrom(f.SourceIP, f.SourceIP.BitLen())
	return out, !f.Network.IsValid() || f.Network.Contains(f.SourceIP)
}
