package wire

import (
	"fmt"
	"slices"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack/lsn"
)

// groupsWith names the groups for which uses is true.
func groupsWith(c *configs.Config, uses func(*configs.Group) bool) (out control.Words) {
	for _, g := range c.LSN.Groups {
		if uses(g) {
			out = append(out, g.Name)
		}
	}
	return out
}

// texts prints the elements of a list.
func texts[T fmt.Stringer](list []T) (out control.Words) {
	for _, one := range list {
		out = append(out, one.String())
	}
	return out
}

// IPsecProfiles implements control.Settings.
func (v *views) IPsecProfiles() (out []control.IPsecProfile) {
	c := v.config.Load()
	seconds := func(d time.Duration) control.Seconds { return control.Seconds(d.Seconds()) }
	for _, p := range c.ALG {
		out = append(out, control.IPsecProfile{
			Name: p.Name, ConnFailover: p.ConnFailover, BlockMode: p.BlockMode.String(),
			IKESessionTimeout: seconds(p.IKESessionTimeout), ESPSessionTimeout: seconds(p.ESPSessionTimeout),
			ESPGateTimeout: seconds(p.ESPGateTimeout), IKEHalfOpenTimeout: seconds(p.IKEHalfOpenTimeout),
			LateBindingOut: p.LateBindingOut, LateBindingIn: p.LateBindingIn,
			IKEKeepWithESP: p.IKEKeepWithESP, SameClientParallel: p.SameClientParallel,
			IKEPortPreserve: p.IKEPortPreserve, IKECookieDemux: p.IKECookieDemux, GateSeqMax: p.GateSeqMax,
			Groups: groupsWith(c, func(g *configs.Group) bool { return g.ALG == p }),
		})
	}
	return out
}

// LSNClients implements control.Settings.
func (v *views) LSNClients() (out []control.LSNClient) {
	c := v.config.Load()
	for _, client := range c.LSN.Clients {
		out = append(out, control.LSNClient{
			Name: client.Name, TD: client.Domain, Networks: texts(client.Networks),
			Groups: groupsWith(c, func(g *configs.Group) bool { return g.Client == client }),
		})
	}
	return out
}

// LSNPools implements control.Settings.
func (v *views) LSNPools() (out []control.LSNPool) {
	c := v.config.Load()
	var use []lsn.PoolStats
	for _, r := range v.chassis.Routers() {
		use = append(use, r.LSN().Stats().Pools...)
	}
	for _, p := range c.LSN.Pools {
		row := control.LSNPool{
			Name: p.Name, TD: p.Domain, Addresses: texts(p.Ranges),
			Groups: groupsWith(c, func(g *configs.Group) bool { return slices.Contains(g.Pools, p) }),
		}
		for _, u := range use {
			if u.Name == p.Name {
				row.AddressCount, row.Ports = uint64(u.Addresses), uint64(u.Ports)
				row.UsedTCP, row.UsedUDP, row.UsedICMP = uint64(u.Used[0]), uint64(u.Used[1]), uint64(u.Used[2])
				row.Held = uint64(u.Held[0] + u.Held[1] + u.Held[2])
				row.Blocks, row.UsedBlocks = uint64(u.Blocks), uint64(u.BlocksUsed)
			}
		}
		out = append(out, row)
	}
	return out
}

// LSNGroups implements control.Settings.
func (v *views) LSNGroups() (out []control.LSNGroup) {
	for _, g := range v.config.Load().LSN.Groups {
		row := control.LSNGroup{Name: g.Name, TD: g.Client.Domain, Client: g.Client.Name}
		for _, p := range g.Pools {
			row.Pools = append(row.Pools, p.Name)
		}
		for _, p := range g.Apps {
			row.AppsProfiles = append(row.AppsProfiles, p.Name)
		}
		for _, p := range g.Transports {
			row.TransportProfiles = append(row.TransportProfiles, p.Name)
		}
		if g.ALG != nil {
			row.IPsecALGProfile = &g.ALG.Name
		}
		out = append(out, row)
	}
	return out
}

// LSNAppsProfiles implements control.Settings.
func (v *views) LSNAppsProfiles() (out []control.LSNAppsProfile) {
	c := v.config.Load()
	for _, p := range c.LSN.Apps {
		called := func(bound *configs.AppsProfile) bool { return bound.Name == p.Name } // a preset has made copies
		var td *uint16
		if p.Domain != configs.KeepDomain {
			td = &p.Domain
		}
		out = append(out, control.LSNAppsProfile{
			TD:   td,
			Name: p.Name, Protocol: p.Protocol.String(), IPPooling: p.Pooling.String(),
			Mapping: p.Mapping.String(), Filtering: p.Filtering.String(), Ports: texts(p.Ports),
			Groups: groupsWith(c, func(g *configs.Group) bool { return slices.ContainsFunc(g.Apps, called) }),
		})
	}
	return out
}
