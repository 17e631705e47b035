package wire

import (
	"fmt"
	"reflect"
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
		// A preset makes a profile for each protocol, all of its name.
		row.AppsProfiles, row.TransportProfiles = slices.Compact(row.AppsProfiles), slices.Compact(row.TransportProfiles)
		if g.ALG != nil {
			row.IPsecALGProfile = &g.ALG.Name
		}
		out = append(out, row)
	}
	return out
}

// LSNAppsProfiles implements control.Settings. A group with a preset has
// profiles of its own making, and changed copies of those it names: these are
// rows like the others, for they are what its sessions go by.
func (v *views) LSNAppsProfiles() (out []control.LSNAppsProfile) {
	c := v.config.Load()
	file := map[string]bool{} // names
	for _, p := range c.LSN.Apps {
		file[p.Name] = true
		rows := len(out)
		out = boundApps(out, c, func(name string) bool { return name == p.Name })
		if len(out) == rows {
			out = addApps(out, p, "")
		}
	}
	return boundApps(out, c, func(name string) bool { return !file[name] })
}

// boundApps adds the profiles that groups have and whose names are chosen.
func boundApps(rows []control.LSNAppsProfile, c *configs.Config, chosen func(name string) bool) []control.LSNAppsProfile {
	for _, g := range c.LSN.Groups {
		for _, p := range g.Apps {
			if chosen(p.Name) {
				rows = addApps(rows, p, g.Name)
			}
		}
	}
	return rows
}

// addApps puts the group into the row of its profile, and makes the row if
// there is none like it.
func addApps(rows []control.LSNAppsProfile, p *configs.AppsProfile, group string) []control.LSNAppsProfile {
	row := control.LSNAppsProfile{
		Name: p.Name, Protocol: p.Protocol.String(), IPPooling: p.Pooling.String(),
		Mapping: p.Mapping.String(), Filtering: p.Filtering.String(), Ports: texts(p.Ports),
	}
	if p.Domain != configs.KeepDomain {
		row.TD = &p.Domain
	}
	i := slices.IndexFunc(rows, func(have control.LSNAppsProfile) bool {
		have.Groups = nil
		return reflect.DeepEqual(have, row)
	})
	if i < 0 {
		rows, i = append(rows, row), len(rows)
	}
	if group != "" {
		rows[i].Groups = append(rows[i].Groups, group)
	}
	return rows
}
