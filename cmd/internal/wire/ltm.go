package wire

import (
	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// ltmConfig translates what of [ltm.…] and [sys.db] is in a traffic domain. LSN
// groups and own addresses, which listen too, the router adds by itself. Mirrors
// stay here: there is no second unit yet, as the check of the file has said.
func ltmConfig(c *configs.Config, domain uint16) vserver.Config {
	out := vserver.Config{ContinueMatching: c.DB.ContinueMatching}
	numbers := interfaceNumbers{vlanNumbers(c), tunnelNumbers(c)}
	for _, p := range c.LTM.FastL4s {
		out.Profiles = append(out.Profiles, fastL4(p))
	}
	for _, v := range c.LTM.Virtuals {
		if v.Domain == domain {
			out.Servers = append(out.Servers, virtual(v, numbers))
		}
	}
	for _, n := range c.LTM.NATs {
		if n.Domain == domain {
			out.NATs = append(out.NATs, vserver.NAT{
				Name: n.Name, Originating: n.Originating, Translation: n.Translation, ARP: position(n.ARP),
				VLANs: vlans(n.VLANs, numbers), AutoLasthop: autoLasthop(n.AutoLasthop), TrafficGroup: n.TrafficGroup,
				RequireProtection: n.RequireProtection,
			})
		}
	}
	for _, s := range c.LTM.SNATs {
		if s.Domain == domain {
			out.SNATs = append(out.SNATs, vserver.SNAT{
				Name: s.Name, Origins: s.Origins, Translations: s.Addresses(), Automap: s.Automap,
				VLANs: vlans(s.VLANs, numbers), SourcePort: sourcePort(s.SourcePort),
			})
		}
	}
	return out
}

func virtual(v *configs.Virtual, numbers interfaceNumbers) vserver.Server {
	out := vserver.Server{
		Name: v.Name, Destination: v.Destination, Port: v.Port, Source: v.Source, Protocol: uint8(v.Protocol),
		Role: vserver.Forward, Profile: v.Profile.Name, VLANs: vlans(v.VLANs, numbers), Disabled: v.Disabled,
		TranslateAddress: position(v.TranslateAddress), TranslatePort: position(v.TranslatePort),
		ConnectionLimit: v.ConnectionLimit, RateLimit: v.RateLimit,
		AutoLasthop: autoLasthop(v.AutoLasthop), SourcePort: sourcePort(v.SourcePort),
		NoCMP: !v.CMPEnabled, RequireProtection: v.RequireProtection,
	}
	if v.Role == configs.RoleReject {
		out.Role = vserver.Reject
	}
	switch v.SourceTranslation {
	case configs.SourceAutomap:
		out.SourceTranslation = vserver.Automap
	case configs.SourceSNAT:
		out.SourceTranslation, out.Translations = vserver.TranslateSNAT, v.Addresses()
	case configs.SourceLSN:
		out.SourceTranslation, out.Group = vserver.TranslateLSN, v.LSNGroup.Name
	}
	return out
}

func fastL4(p *configs.FastL4) vserver.FastL4 {
	out := vserver.FastL4{
		Name: p.Name, IdleTimeout: p.IdleTimeout, HandshakeTimeout: p.HandshakeTimeout, CloseTimeout: p.CloseTimeout,
		ClientTimeout: p.ClientTimeout, LooseInitialization: p.LooseInitialization, LooseClose: p.LooseClose,
		ResetOnTimeout: position(p.ResetOnTimeout), PreserveTTL: p.TTLMode == configs.TTLPreserve,
		MSSOverride: uint16(p.MSSOverride),
	}
	switch p.IdleTimeout {
	case configs.IdleImmediate:
		out.IdleTimeout = vserver.Immediate
	case configs.IdleIndefinite:
		out.IdleTimeout = vserver.Indefinite
	}
	return out
}

// interfaceNumbers are what a list of VLANs may name.
type interfaceNumbers struct {
	vlans   map[*configs.VLAN]frame.Interface
	tunnels map[*configs.Tunnel]frame.Interface
}

func vlans(v configs.VLANList, numbers interfaceNumbers) vserver.VLANs {
	out := vserver.VLANs{Enabled: v.Enabled}
	for _, one := range v.List {
		out.List = append(out.List, numbers.vlans[one])
	}
	for _, one := range v.Tunnels {
		out.List = append(out.List, numbers.tunnels[one])
	}
	return out
}

// position is the one of a switch whose default the file has resolved.
func position(on bool) vserver.Switch {
	if on {
		return vserver.On
	}
	return vserver.Off
}

func autoLasthop(a configs.AutoLasthop) vserver.Switch {
	if a == configs.AutoLasthopDisabled {
		return vserver.Off
	}
	return vserver.Default
}

func sourcePort(s configs.SourcePort) vserver.SourcePort {
	switch s {
	case configs.SourcePortStrict:
		return vserver.PreserveStrict
	case configs.SourcePortChange:
		return vserver.ChangePort
	}
	return vserver.PreservePort
}
