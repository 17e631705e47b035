package wire

import (
	"net/netip"

	"spigate/alg/ipsec"
	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// lsnConfig translates what of [lsn.…] is in a traffic domain.
func lsnConfig(c *configs.Config, domain uint16) lsn.Config {
	out := lsn.Config{MaxSessions: c.Limits.LSNSessions}
	for _, cl := range c.LSN.Clients {
		if cl.Domain != domain {
			continue
		}
		out.Clients = append(out.Clients, lsn.Client{Name: cl.Name, Networks: cl.Networks})
	}
	for _, p := range c.LSN.Pools {
		if p.Domain == domain {
			out.Pools = append(out.Pools, pool(p))
		}
	}
	for _, g := range c.LSN.Groups {
		if g.Client.Domain == domain {
			out.Groups = append(out.Groups, group(g))
		}
	}
	for _, st := range c.LSN.Statics {
		if st.Domain == domain {
			out.Statics = append(out.Statics, static(st))
		}
	}
	return out
}

func pool(p *configs.Pool) lsn.Pool {
	out := lsn.Pool{
		Name: p.Name, Ranges: ranges(p.Ranges), PortBlocks: p.Blocks,
		ReallocTimeout: p.ReallocTimeout, MaxReallocQueue: p.ReallocQueue,
	}
	if p.Type == configs.NATDeterministic {
		out.Type = lsn.Deterministic
	}
	return out
}

func group(g *configs.Group) lsn.Group {
	out := lsn.Group{Name: g.Name, Client: g.Client.Name, BlockSize: g.BlockSize, TrapLimit: g.TrapLimit}
	out.Exempt, out.SilentSYN = g.Exempt, !g.AnswerSYN
	switch g.Refusal {
	case configs.RefusalProhibited:
		out.OnRefusal = lsn.RefuseProhibited
	case configs.RefusalNone:
		out.OnRefusal = lsn.RefuseSilently
	}
	if g.TrapLimit == 0 {
		out.TrapLimit = lsn.NoTraps
	}
	if g.Type == configs.NATDeterministic {
		out.Type = lsn.Deterministic
	}
	if g.Alloc == configs.AllocAddresses {
		out.Alloc = lsn.ByAddresses
	}
	for _, p := range g.Pools {
		out.Pools = append(out.Pools, p.Name)
	}
	for _, a := range g.Apps {
		out.Apps = append(out.Apps, appsProfile(a))
	}
	for _, t := range g.Transports {
		out.Transports = append(out.Transports, transportProfile(t))
	}
	out.RewriteID = g.RewriteID == configs.RewriteDFClear
	out.FTP, out.TFTP = g.FTP, g.TFTP
	if g.ALG != nil {
		out.ALGProfile = g.ALG.Name
		out.PairingHold = g.ALG.IKESessionTimeout // R15
	}
	return out
}

func static(s *configs.Static) lsn.Static {
	out := lsn.Static{Name: s.Name, Inside: endpoint(s.Inside), Outside: endpoint(s.Outside)}
	if s.Protocol != configs.ProtocolAll {
		out.Proto = protocol(s.Protocol)
	}
	if s.Remote.IsValid() {
		out.Remote = addr(s.Remote)
	}
	return out
}

func endpoint(e configs.Endpoint) frame.Endpoint {
	return frame.Endpoint{Addr: addr(e.Addr), Port: e.Port}
}

func ranges(in []configs.AddrRange) (out []lsn.Range) {
	for _, r := range in {
		out = append(out, lsn.Range{First: addr(r.From), Last: addr(r.To)})
	}
	return out
}

func addr(a netip.Addr) frame.Addr { return a.As4() }

func appsProfile(a *configs.AppsProfile) lsn.AppProfile {
	out := lsn.AppProfile{Name: a.Name, Proto: protocol(a.Protocol), Ports: portRanges(a.Ports)}
	for _, at := range a.Attributes {
		out.Attributes = append(out.Attributes, lsn.Attributes{Ports: portRanges(at.Ports), SessionTimeout: at.SessionTimeout})
	}
	out.Exempt = a.Exempt
	if on := a.InboundRefresh; on != nil && *on {
		out.InboundRefresh = lsn.Enabled
	} else if on != nil {
		out.InboundRefresh = lsn.Disabled
	}
	if a.Pooling == configs.PoolingPaired {
		out.Pooling = lsn.Paired
	}
	switch a.Mapping {
	case configs.MappingEIM:
		out.Mapping = lsn.EIM
	case configs.MappingADM:
		out.Mapping = lsn.ADM
	}
	switch a.Filtering {
	case configs.FilteringEIF:
		out.Filtering = lsn.EIF
	case configs.FilteringADF:
		out.Filtering = lsn.ADF
	}
	return out
}

func portRanges(in []configs.PortRange) (out []lsn.PortRange) {
	for _, p := range in {
		out = append(out, lsn.PortRange{First: p.First, Last: p.Last})
	}
	return out
}

func transportProfile(t *configs.TransportProfile) lsn.TransportProfile {
	out := lsn.TransportProfile{
		Name: t.Name, Proto: protocol(t.Protocol),
		SessionTimeout: t.SessionTimeout, FinRstTimeout: t.FinRstTimeout, SynIdleTimeout: t.SynIdleTimeout,
		SynCheck:  lsn.Disabled,
		PortQuota: t.PortQuota, SessionQuota: t.SessionQuota, GroupSessionLimit: t.GroupSessionLimit,
		PreserveParity: t.PreserveParity, PreserveRange: t.PreserveRange,
	}
	if t.Protocol == configs.ProtocolUDP {
		out.StunTimeout = t.StunTimeout
	}
	if t.SynCheck {
		out.SynCheck = lsn.Enabled
	}
	return out
}

func protocol(p configs.Protocol) uint8 {
	switch p {
	case configs.ProtocolTCP:
		return frame.ProtoTCP
	case configs.ProtocolUDP:
		return frame.ProtoUDP
	}
	return frame.ProtoICMP
}

// algProfiles translates [ipsecalg.profile.…].
func algProfiles(c *configs.Config) map[string]ipsec.Profile {
	out := map[string]ipsec.Profile{}
	for _, p := range c.ALG {
		profile := ipsec.DefaultProfile()
		profile.Name = p.Name
		profile.IKESessionTimeout = p.IKESessionTimeout
		profile.ESPSessionTimeout = p.ESPSessionTimeout
		profile.ESPGateTimeout = p.ESPGateTimeout
		profile.IKEHalfOpenTimeout = p.IKEHalfOpenTimeout
		profile.ConnFailover = p.ConnFailover
		profile.LateBindingOut, profile.LateBindingIn = p.LateBindingOut, p.LateBindingIn
		profile.IKEKeepWithESP = p.IKEKeepWithESP
		profile.SameClientParallel = p.SameClientParallel
		profile.IKEPortPreserve, profile.IKECookieDemux = p.IKEPortPreserve, p.IKECookieDemux
		profile.GateSeqMax = p.GateSeqMax
		if p.BlockMode == configs.BlockDrop {
			profile.BlockMode = ipsec.BlockDrop
		}
		out[p.Name] = profile
	}
	return out
}
