package wire

import (
	"net/netip"

	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// tunnelNumbers is the interface of each tunnel: behind those of the VLANs, in
// the order of the file.
func tunnelNumbers(c *configs.Config) map[*configs.Tunnel]frame.Interface {
	out := map[*configs.Tunnel]frame.Interface{}
	for n, t := range c.Tunnels {
		out[t] = frame.Interface(len(c.VLANs) + n + 1)
	}
	return out
}

// tunnelInterfaces are the interfaces of the tunnels of a traffic domain.
func tunnelInterfaces(c *configs.Config, domain uint16) (out []netstack.Tunnel) {
	numbers := tunnelNumbers(c)
	for _, t := range c.Tunnels {
		if t.Domain == domain {
			out = append(out, netstack.Tunnel{ID: numbers[t], Name: t.Name, Addresses: t.Addresses, MTU: t.MTU})
		}
	}
	return out
}

// routes are those of a traffic domain.
func routes(c *configs.Config, domain uint16) (out []netstack.Route) {
	numbers := tunnelNumbers(c)
	for _, r := range c.Routes {
		if r.Domain() == domain {
			out = append(out, netstack.Route{To: r.Prefix, Via: r.Via, Tunnel: numbers[r.Tunnel]})
		}
	}
	return out
}

// ipsecConfig translates what of [net.…] is in a traffic domain, but for the
// peers: those are keyingConfig's.
func ipsecConfig(c *configs.Config, domain uint16) tunnels.Config {
	var out tunnels.Config
	for _, q := range c.IPsec.Policies {
		if q.Domain == domain {
			out.Policies = append(out.Policies, tunnels.Policy{Name: q.Name, Mode: tunnels.Mode(q.Mode), Local: q.Local, Remote: q.Remote})
		}
	}
	for _, s := range c.IPsec.Selectors {
		if s.Domain == domain {
			out.Selectors = append(out.Selectors, trafficSelector(s))
		}
	}
	numbers := tunnelNumbers(c)
	for _, t := range c.Tunnels {
		if t.Domain == domain {
			out.Tunnels = append(out.Tunnels, tunnels.TunnelInterface{Name: t.Name, ID: numbers[t], Policy: t.Policy.Name})
		}
	}
	for _, m := range c.IPsec.Manual {
		if m.Policy.Domain == domain {
			out.Manual = append(out.Manual, manualSA(m))
		}
	}
	return out
}

func trafficSelector(s *configs.TrafficSelector) tunnels.TrafficSelector {
	out := tunnels.TrafficSelector{
		Name: s.Name, Source: s.Source, Destination: s.Destination, SourcePort: s.SourcePort, DestinationPort: s.DestinationPort,
		Protocol: uint8(s.Protocol), Direction: tunnels.Direction(s.Direction), Action: tunnels.Action(s.Action), Order: s.Order,
	}
	if s.Policy != nil {
		out.Policy = s.Policy.Name
	}
	return out
}

func manualSA(m *configs.ManualSA) tunnels.ManualSA {
	out := tunnels.ManualSA{
		Name: m.Name, Policy: m.Policy.Name, Source: m.Source, Destination: m.Destination, Outbound: m.Outbound, SPI: m.SPI,
		Suite: tunnels.Suite{Cipher: tunnels.Null, Auth: tunnels.Auth(m.Auth)},
		Keys:  tunnels.Keys{Encrypt: m.EncryptKey.Octets(), Auth: m.AuthKey.Octets()},
	}
	if m.Encrypt != configs.CipherNull {
		out.Suite.Cipher, out.Suite.Bits = tunnels.AESCBC, 8*len(out.Keys.Encrypt)
	}
	return out
}

// everywhere is what a tunnel without selectors carries (VR30).
func everywhere() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }
