package wire

import (
	"sync/atomic"
	"time"

	"spigate/cmd/internal/control"
)

// tallies are counters that belong to nothing else.
type tallies struct {
	applied, refused atomic.Uint64
	last             atomic.Int64 // Unix seconds
	log              func() control.LogMeter
}

// note counts an apply by what it came to, and returns that.
func (t *tallies) note(done control.ConfigApplied, err error) (control.ConfigApplied, error) {
	if err != nil {
		t.refused.Add(1)
	} else {
		t.applied.Add(1)
		t.last.Store(time.Now().Unix())
	}
	return done, err
}

// CountLog says how the daemon's own log is counted. It is called before Run.
func (d *Daemon) CountLog(count func() control.LogMeter) { d.views.tallies.log = count }

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
	out.Config = control.ConfigMeter{Applied: v.tallies.applied.Load(), Refused: v.tallies.refused.Load(), Last: v.tallies.last.Load()}
	if v.tallies.log != nil {
		out.Log = v.tallies.log()
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
