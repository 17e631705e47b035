package wire

import (
	"spigate/cmd/internal/control"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// lsnProtocols are the protocols in the order of the tables' counters.
var lsnProtocols = [...]uint8{frame.ProtoTCP, frame.ProtoUDP, frame.ProtoICMP}

// LSNStat implements control.LSNStats. What belongs to no group, because
// nobody can tell whose a packet was, is counted here alone.
func (v *views) LSNStat(f control.Filter) control.LSNStat {
	out := newLSNStat()
	for _, r := range v.routers(f) {
		st := r.LSN().Stats()
		for i := range st.Groups {
			addGroup(&out, &st.Groups[i])
		}
		for i := range out.Protocols {
			out.Protocols[i].Dropped += st.Dropped[i]
		}
	}
	return out
}

func newLSNStat() (out control.LSNStat) {
	for _, proto := range lsnProtocols {
		out.Protocols = append(out.Protocols, control.LSNProtocol{Protocol: control.ProtocolName(proto)})
	}
	return out
}

// addGroup adds what a group has, but for its drops, which the table's contain.
func addGroup(to *control.LSNStat, g *lsn.GroupStats) {
	to.Subscribers += uint64(g.Subscribers)
	for i := range to.Protocols {
		p := &to.Protocols[i]
		p.Sessions += uint64(g.Sessions[i])
		p.RxPackets += g.In[i].Packets
		p.RxBytes += g.In[i].Bytes
		p.TxPackets += g.Out[i].Packets
		p.TxBytes += g.Out[i].Bytes
	}
}

// LSNGroupStats implements control.LSNStats.
func (v *views) LSNGroupStats() (out []control.LSNStat) {
	for _, r := range v.chassis.Routers() {
		td := r.Domain()
		groups := r.LSN().Stats().Groups
		for i := range groups {
			g := &groups[i]
			row := newLSNStat()
			row.Group, row.TD = &g.Name, &td
			addGroup(&row, g)
			for i := range row.Protocols {
				row.Protocols[i].Dropped = g.Dropped[i]
			}
			out = append(out, row)
		}
	}
	return out
}

// LSNPoolStats implements control.LSNStats.
func (v *views) LSNPoolStats() (out []control.LSNPoolStat) {
	for _, r := range v.chassis.Routers() {
		for _, p := range r.LSN().Stats().Pools {
			out = append(out, control.LSNPoolStat{
				Name: p.Name, TD: r.Domain(), Addresses: uint64(p.Addresses), Allocated: uint64(p.Busy),
				TCP: percent(p.Used[0], p.Ports), NonTCP: percent(p.Used[1]+p.Used[2], 2*p.Ports),
			})
		}
	}
	return out
}

func percent(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(part) / float64(of)
}

// LSNStatics implements control.LSNStats.
func (v *views) LSNStatics() (out []control.LSNStatic) {
	for _, r := range v.chassis.Routers() {
		r.LSN().WalkStatic(func(s lsn.StaticInfo) bool {
			out = append(out, staticRow(&s))
			return true
		})
	}
	return out
}

func staticRow(s *lsn.StaticInfo) control.LSNStatic {
	row := control.LSNStatic{
		Name: s.Name, Protocol: "ALL", Status: control.StatusInactive, Group: s.Group, SubscriberTD: s.Domain,
		SubscriberIP: s.Inside.Addr.Netip(), NATIP: s.Outside.Addr.Netip(),
		SubscriberPort: somePort(s.Inside.Port), NATPort: somePort(s.Outside.Port),
	}
	if s.Proto != 0 {
		row.Protocol = control.ProtocolName(s.Proto)
	}
	if !s.Remote.IsZero() {
		row.DestIP = control.Addr{Addr: s.Remote.Netip()}
	}
	if s.Active {
		row.Status = control.StatusActive
	}
	return row
}

// somePort is nil for 0, which stands for every port.
func somePort(p uint16) *uint16 {
	if p == 0 {
		return nil
	}
	return &p
}

// ClearLSNStat implements control.Operator.
func (v *views) ClearLSNStat(f control.Filter) control.LSNStat {
	was := v.LSNStat(f)
	for _, r := range v.routers(f) {
		r.LSN().ClearStats()
	}
	return was
}
