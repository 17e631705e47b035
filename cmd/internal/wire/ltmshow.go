package wire

import (
	"iter"
	"net"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/configs/dialect/tmsh"
	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// LTMVirtuals implements control.LTM.
func (v *views) LTMVirtuals() (out []control.LTMVirtual) {
	misses := map[string]uint64{}
	for _, m := range v.vlanMisses() {
		if m.Kind == control.NounVirtual {
			misses[m.Name] += m.Count
		}
	}
	stats := v.ltmStats(vserver.KindServer)
	for _, s := range v.config.Load().LTM.Virtuals {
		st := stats(s.Domain, s.Name)
		row := control.LTMVirtual{
			Name: s.Name, TD: s.Domain, CMP: s.CMPEnabled,
			Availability: control.AvailabilityUnknown, State: "enabled", Reason: control.ReasonUnknown,
			Destination: address(s.Destination) + ":" + shownPort(s.Port), Mask: mask(s.Destination),
			Source: s.Source.String(), Protocol: s.Protocol.String(),
			VLANsEnabled: s.VLANs.Enabled, VLANs: vlanNames(&s.VLANs),
			LTMTraffic: traffic(&st), Limited: st.Limited, RateLimited: st.RateLimited, VLANMisses: misses[s.Name],
		}
		if s.Disabled {
			row.State = "disabled"
		}
		out = append(out, row)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// LTMNATs implements control.LTM.
func (v *views) LTMNATs() (out []control.LTMNAT) {
	stats := v.ltmStats(vserver.KindNAT)
	for _, n := range v.config.Load().LTM.NATs {
		st := stats(n.Domain, n.Name)
		out = append(out, control.LTMNAT{
			Name: n.Name, TD: n.Domain, Originating: n.Originating.String(), Translation: n.Translation.String(), LTMTraffic: traffic(&st),
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// LTMSNATs implements control.LTM.
func (v *views) LTMSNATs() (out []control.LTMSNAT) {
	stats := v.ltmStats(vserver.KindSNAT)
	for _, s := range v.config.Load().LTM.SNATs {
		st := stats(s.Domain, s.Name)
		out = append(out, control.LTMSNAT{
			Name: s.Name, TD: s.Domain, Origins: texts(s.Origins), Translation: texts(s.Addresses()), Automap: s.Automap, LTMTraffic: traffic(&st),
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// ltmStats returns a function that reads the counters of one object; they are
// all 0 for one that a reload is just bringing.
func (v *views) ltmStats(kind vserver.Kind) func(domain uint16, name string) vserver.Stats {
	type object struct {
		domain uint16
		name   string
	}
	counters := map[object]*vserver.Counters{}
	for _, r := range v.chassis.Routers() {
		for _, l := range r.Connections().Listeners().All() {
			if l.Kind == kind {
				counters[object{r.Domain(), l.Name}] = l.Counters()
			}
		}
	}
	return func(domain uint16, name string) (none vserver.Stats) {
		if c := counters[object{domain, name}]; c != nil {
			return c.Stats()
		}
		return none
	}
}

func traffic(s *vserver.Stats) control.LTMTraffic {
	ms := func(d time.Duration) uint64 { return uint64(d.Milliseconds()) }
	return control.LTMTraffic{
		BitsIn: s.BitsIn(), BitsOut: s.BitsOut(), PacketsIn: s.PacketsIn, PacketsOut: s.PacketsOut,
		Current: uint64(max(s.Current, 0)), Maximum: uint64(max(s.Maximum, 0)), Total: s.Total, Closed: s.Closed, Expired: s.Expired, Resets: s.Resets,
		MinDuration: ms(s.MinDuration), MaxDuration: ms(s.MaxDuration), MeanDuration: ms(s.MeanDuration),
	}
}

// LTMConfig implements control.LTM.
func (v *views) LTMConfig(kind control.LTMKind) (out []control.LTMObject) {
	for _, o := range tmsh.Objects(v.config.Load(), kind.Words()) {
		out = append(out, control.LTMObject{Name: o.Name, TD: o.Domain, Properties: o.Properties})
	}
	return out
}

// address is a destination without its length, which tmsh prints as a mask.
func address(p netip.Prefix) string { return p.Addr().String() }

// mask is the length of a prefix as tmsh prints it.
func mask(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "any"
	}
	return net.IP(net.CIDRMask(p.Bits(), 32)).String()
}

// shownPort is a port as "show" prints it: 0 is any.
func shownPort(p uint16) string {
	if p == 0 {
		return "any"
	}
	return strconv.Itoa(int(p))
}

// vlanNames lists the VLANs and tunnels of a listener in the order of their names.
func vlanNames(l *configs.VLANList) control.Words {
	out := control.Words(l.Names())
	slices.Sort(out)
	return out
}

// Connections implements control.LTM.
func (v *views) Connections(f control.Filter) (iter.Seq[control.Connection], error) {
	if err := v.checkAdmitter(f); err != nil {
		return nil, err
	}
	return walked(v, f, func(r *netstack.Router, yield func(control.Connection) bool) (more bool) {
		more = true
		r.Connections().Walk(r.Now(), func(i vserver.Info) bool {
			more = yield(connection(&i, r.Domain()))
			return more
		})
		return more
	})
}

// checkAdmitter refuses a filter with an object that is not in the file.
func (v *views) checkAdmitter(f control.Filter) error {
	if f.Virtual == "" {
		return nil
	}
	var known []string
	c := &v.config.Load().LTM
	for _, s := range c.Virtuals {
		known = append(known, s.Name)
	}
	for _, n := range c.NATs {
		known = append(known, n.Name)
	}
	for _, s := range c.SNATs {
		known = append(known, s.Name)
	}
	if slices.Contains(known, f.Virtual) {
		return nil
	}
	return control.NotFound("ltm virtual, nat or snat", f.Virtual, known...)
}

func connection(i *vserver.Info, domain uint16) control.Connection {
	client, remote := &i.Client, &i.Remote
	row := control.Connection{
		CSClientIP: client.Src.Netip(), CSClientPort: client.SrcPort, CSServerIP: client.Dst.Netip(), CSServerPort: client.DstPort,
		SSClientIP: remote.Dst.Netip(), SSClientPort: remote.DstPort, SSServerIP: remote.Src.Netip(), SSServerPort: remote.SrcPort,
		Protocol: control.ProtocolName(client.Proto), State: i.State,
		Idle: control.Seconds(i.Idle.Seconds()), Age: control.Seconds(i.Age.Seconds()),
		PacketsIn: i.In.Packets, BytesIn: i.In.Bytes, PacketsOut: i.Out.Packets, BytesOut: i.Out.Bytes,
		Kind: kindWord(i.Listener.Kind), Virtual: i.Listener.Name, TD: domain,
	}
	if client.Proto == frame.ProtoICMP { // the identifier is the client's alone
		row.CSServerPort, row.SSServerPort = 0, 0
	}
	if i.Left >= 0 {
		left := control.Seconds(i.Left.Seconds())
		row.Left = &left
	}
	return row
}

// kindWord is the noun that shows an object of this kind.
func kindWord(k vserver.Kind) string {
	switch k {
	case vserver.KindServer:
		return control.NounVirtual
	case vserver.KindNAT:
		return control.NounNAT
	case vserver.KindSNAT:
		return control.NounSNAT
	}
	return k.String()
}
