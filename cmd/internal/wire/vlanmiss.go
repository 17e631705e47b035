package wire

import (
	"slices"

	"spigate/cmd/internal/control"
	"spigate/netstack"
	"spigate/netstack/frame"
)

// vlanMisses lists what came on the wrong VLAN, in all traffic domains.
func (v *views) vlanMisses() (out []control.VLANMiss) {
	for _, r := range v.chassis.Routers() {
		now := r.Now()
		for _, m := range r.VLANMisses() {
			row := v.vlanMiss(r, &m)
			row.Ago = ago(now, m.At)
			out = append(out, row)
		}
	}
	return out
}

func (v *views) vlanMiss(r *netstack.Router, m *netstack.VLANMiss) control.VLANMiss {
	return control.VLANMiss{
		Kind: kindWord(m.Kind), Name: m.Server, TD: r.Domain(), In: v.chassis.InterfaceName(m.In),
		Listens: v.interfaces(r, m.Listens), Enabled: listsVLANs(r, m),
		Protocol: control.ProtocolName(m.Proto), SourceIP: m.Src.Addr(), SourcePort: m.Src.Port(), DestIP: m.Dst.Addr(), DestPort: m.Dst.Port(),
		Count: m.Count,
	}
}

// interfaces names those of the list that are the Router's: a listener of all
// VLANs but some has the numbers of VLANs that nobody configured, too.
func (v *views) interfaces(r *netstack.Router, list []frame.Interface) (out control.Words) {
	for _, i := range list {
		if name := v.chassis.InterfaceName(i); name != "" && v.chassis.RouterOf(i) == r {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// listsVLANs reports whether the VLANs of what was missed are those on which it
// listens, and not those on which it does not.
func listsVLANs(r *netstack.Router, m *netstack.VLANMiss) bool {
	l := r.Connections().Listeners().Find(m.Kind, m.Server)
	return l == nil || l.ListsVLANs() // nil: it went with a reload
}
