package wire

import "spigate/cmd/internal/control"

// Meters implements control.Meters.
func (v *views) Meters() control.Metered {
	flows := v.chassis.Flows().Stats()
	limits := v.config.Load().Limits
	out := control.Metered{
		Flow: control.FlowMeter{
			Hits: flows.Hits, Misses: flows.Misses, Punts: flows.Punts,
			Expired: flows.Expired, Refused: flows.Refused, Stale: flows.Stale,
		},
		Limits: control.LimitMeter{
			LSNSessions: uint64(limits.LSNSessions), IKESessions: uint64(limits.IKESessions),
			ESPSessions: uint64(limits.ESPSessions), Connections: uint64(limits.Connections),
		},
	}
	for _, r := range v.chassis.Routers() {
		st := r.LSN().Stats()
		row := control.NATMeter{TD: r.Domain(), Gates: uint64(r.ALG().Busy()), Connections: uint64(r.Connections().Len())}
		for i, proto := range lsnProtocols {
			row.Protocols = append(row.Protocols, control.NATProtocolMeter{
				Protocol: control.ProtocolName(proto), Sessions: uint64(st.Sessions[i]), Mappings: uint64(st.Mappings[i]),
				Created: st.Created[i], Dropped: st.Dropped[i],
			})
		}
		out.NAT = append(out.NAT, row)
	}
	for _, o := range v.switches.all {
		st := o.keeper.Status()
		out.Switches = append(out.Switches, control.SwitchMeter{Name: o.name, Kept: st.Kept, Repairs: st.Repairs, Silent: st.Silent})
	}
	return out
}
