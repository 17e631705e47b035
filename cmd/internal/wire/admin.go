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

// IPsecStat implements control.Backend. What the ALG never sees is counted
// where it is dropped, for all profiles together.
func (v *views) IPsecStat(profile string) (control.IPsecStat, error) {
	if profile == "" {
		drops := v.router.Drops()
		ah, pieces, icmp := drops.Get(drop.AH), fragments(drops), v.router.ICMPTranslated()
		out := ipsecStat(v.router.ALG().Counters())
		out.AHDropped, out.FragDropped, out.ICMPTranslated = &ah, &pieces, &icmp
		return out, nil
	}
	c, used := v.router.ALG().CountersOf(profile)
	isProfile := func(p *configs.ALGProfile) bool { return p.Name == profile }
	// One that is gone from the configuration may still have sessions.
	if !used && !slices.ContainsFunc(v.config.Load().ALG, isProfile) {
		return control.IPsecStat{}, control.NotFound("ipsecalg profile", profile)
	}
	out := ipsecStat(c)
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
	n := v.router.FlushALG(filter(f))
	return control.IPsecFlushed{ESPSessions: uint64(n.ESP), IKESessions: uint64(n.IKE), HeldMessages: uint64(n.Held)}, nil
}

// FlushLSN implements control.Operator.
func (v *views) FlushLSN(f control.Filter) (control.LSNFlushed, error) {
	if _, err := v.client(f); err != nil {
		return control.LSNFlushed{}, err
	}
	chosen, some := lsnFilter(f)
	if !some {
		return control.LSNFlushed{}, nil
	}
	n := v.router.FlushLSN(chosen)
	return control.LSNFlushed{Sessions: uint64(n.Sessions), Mappings: uint64(n.Mappings)}, nil
}

// lsnFilter is the whole of f; some is false where f can select nothing: there is
// one traffic domain, 0, and a subscriber is in a network or not.
func lsnFilter(f control.Filter) (out lsn.Filter, some bool) {
	if f.TD != nil && *f.TD != 0 {
		return out, false
	}
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
