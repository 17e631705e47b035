package wire

import (
	"fmt"
	"slices"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// groupsWith names the groups for which uses is true.
func (v *views) groupsWith(uses func(*configs.Group) bool) (out control.Words) {
	for _, g := range v.config.Load().LSN.Groups {
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
	seconds := func(d time.Duration) control.Seconds { return control.Seconds(d.Seconds()) }
	for _, p := range v.config.Load().ALG {
		out = append(out, control.IPsecProfile{
			Name: p.Name, ConnFailover: p.ConnFailover, BlockMode: p.BlockMode.String(),
			IKESessionTimeout: seconds(p.IKESessionTimeout), ESPSessionTimeout: seconds(p.ESPSessionTimeout),
			ESPGateTimeout: seconds(p.ESPGateTimeout), IKEHalfOpenTimeout: seconds(p.IKEHalfOpenTimeout),
			LateBindingOut: p.LateBindingOut, LateBindingIn: p.LateBindingIn,
			IKEKeepWithESP: p.IKEKeepWithESP, SameClientParallel: p.SameClientParallel, GateSeqMax: p.GateSeqMax,
			Groups: v.groupsWith(func(g *configs.Group) bool { return g.ALG == p }),
		})
	}
	return out
}

// LSNClients implements control.Settings.
func (v *views) LSNClients() (out []control.LSNClient) {
	for _, c := range v.config.Load().LSN.Clients {
		out = append(out, control.LSNClient{
			Name: c.Name, Networks: texts(c.Networks),
			Groups: v.groupsWith(func(g *configs.Group) bool { return g.Client == c }),
		})
	}
	return out
}

// LSNPools implements control.Settings.
func (v *views) LSNPools() (out []control.LSNPool) {
	use := v.router.LSN().Stats().Pools
	for _, p := range v.config.Load().LSN.Pools {
		row := control.LSNPool{
			Name: p.Name, Addresses: texts(p.Ranges),
			Groups: v.groupsWith(func(g *configs.Group) bool { return slices.Contains(g.Pools, p) }),
		}
		for _, u := range use {
			if u.Name == p.Name {
				row.AddressCount, row.Ports = uint64(u.Addresses), uint64(u.Ports)
				row.UsedTCP, row.UsedUDP, row.UsedICMP = uint64(u.Used[0]), uint64(u.Used[1]), uint64(u.Used[2])
			}
		}
		out = append(out, row)
	}
	return out
}

// LSNGroups implements control.Settings.
func (v *views) LSNGroups() (out []control.LSNGroup) {
	for _, g := range v.config.Load().LSN.Groups {
		row := control.LSNGroup{Name: g.Name, Client: g.Client.Name}
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
	for _, p := range v.config.Load().LSN.Apps {
		out = append(out, control.LSNAppsProfile{
			Name: p.Name, Protocol: p.Protocol.String(), IPPooling: p.Pooling.String(),
			Mapping: p.Mapping.String(), Filtering: p.Filtering.String(), Ports: texts(p.Ports),
			Groups: v.groupsWith(func(g *configs.Group) bool { return slices.Contains(g.Apps, p) }),
		})
	}
	return out
}
