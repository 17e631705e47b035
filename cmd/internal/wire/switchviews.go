package wire

import (
	"slices"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/hw"
)

// Switches implements control.Switches.
func (v *views) Switches() (out []control.Switch) {
	c := v.config.Load()
	for _, sw := range c.Switches {
		if o := v.switches.named(sw.Name); o != nil {
			out = append(out, showSwitch(c, sw, o))
		}
	}
	return out
}

func showSwitch(c *configs.Config, sw *configs.Switch, o *ownSwitch) control.Switch {
	st, caps := o.keeper.Status(), o.keeper.Capabilities()
	row := control.Switch{
		Name: sw.Name, Driver: sw.Driver.String(), Chip: caps.Chip, State: control.SwitchFailed,
		Since: ago(o.now(), st.Since), Repairs: st.Repairs, Silent: st.Silent,
	}
	if st.Kept {
		row.State = control.SwitchKept
	}
	err := st.Err
	counters, cerr := o.counters()
	if err == nil {
		err = cerr // what could not be read now is no change of the state
	}
	if err != nil {
		text := flat(err)
		row.Error = &text
	}
	for _, p := range caps.Ports {
		row.Ports = append(row.Ports, showPort(c, sw, p, st.Links, counters))
	}
	return row
}

func showPort(c *configs.Config, sw *configs.Switch, p hw.Port, links []hw.Link, counters []hw.Counters) control.SwitchPort {
	row := control.SwitchPort{Port: p.Name, CPU: p.CPU, Link: control.LinkUnknown}
	for _, v := range c.VLANs {
		switch {
		case v.Switch != sw:
		case p.CPU || slices.Contains(v.Tagged, p.Name):
			row.Tagged = append(row.Tagged, v.Name)
		case slices.Contains(v.Untagged, p.Name):
			row.Untagged = &v.Name
		}
	}
	for _, l := range links {
		if l.Port == p.Name {
			showLink(&row, l)
		}
	}
	for _, n := range counters {
		if n.Port == p.Name {
			row.RxFrames, row.RxBytes, row.TxFrames, row.TxBytes = n.RxFrames, n.RxBytes, n.TxFrames, n.TxBytes
			row.RxErrors, row.RxDropped, row.TxDropped = n.RxErrors, n.RxDropped, n.TxDropped
		}
	}
	return row
}

func showLink(row *control.SwitchPort, l hw.Link) {
	row.Link = control.LinkDown
	if l.Up {
		row.Link = control.LinkUp
	}
	if l.Up && l.Speed != 0 {
		row.Speed, row.FullDuplex = &l.Speed, &l.Duplex
	}
}

// VLANs implements control.Switches.
func (v *views) VLANs() (out []control.VLAN) {
	c := v.config.Load()
	counters := v.chassis.Counters()
	for n, vlan := range c.VLANs {
		row := control.VLAN{
			Name: vlan.Name, ID: vlan.ID, TD: vlan.Domain, Port: vlan.Port.Name, Untagged: vlan.Untagged, Tagged: vlan.Tagged,
		}
		if vlan.Switch != nil {
			row.Switch = &vlan.Switch.Name
		}
		for _, a := range vlan.Addresses {
			row.Addresses = append(row.Addresses, a.String())
		}
		for _, n2 := range counters {
			if int(n2.ID) == n+1 { // see vlanNumbers
				row.Up, row.RxFrames, row.RxBytes, row.TxFrames, row.TxBytes = n2.Up, n2.RxFrames, n2.RxBytes, n2.TxFrames, n2.TxBytes
			}
		}
		out = append(out, row)
	}
	return out
}
