package main

import "spigate/cmd/internal/control"

func (h *house) Switches() []control.Switch {
	if h.empty {
		return nil
	}
	speed, full, half, vlan, why := 1000, true, false, "vlan-internal-2-0", "read the table: the switch does not answer"
	ten := 10
	return []control.Switch{
		{Name: "sw0", Driver: "dsa", Chip: "mv88e6176", State: control.SwitchKept, Since: 7200, Repairs: 1, Ports: []control.SwitchPort{
			{Port: "br-lan", CPU: true, Link: control.LinkUp, Tagged: control.Words{"vlan-internal-2-0", "guests"}, RxFrames: 900, RxBytes: 90000, TxFrames: 800, TxBytes: 80000},
			{Port: "lan1", Link: control.LinkUp, Speed: &speed, FullDuplex: &full, Untagged: &vlan, RxFrames: 800, RxBytes: 80000, TxFrames: 900, TxBytes: 90000, RxErrors: 2},
			{Port: "lan4", Link: control.LinkUp, Speed: &ten, FullDuplex: &half, Tagged: control.Words{"vlan-internal-2-0", "guests"}, RxDropped: 17},
			{Port: "lan3", Link: control.LinkDown},
		}},
		{Name: "sw1", Driver: "qca8337", Chip: "QCA8337", State: control.SwitchFailed, Since: 35, Error: &why, Silent: 1, Ports: []control.SwitchPort{
			{Port: "lan5", Link: control.LinkUnknown},
		}},
	}
}

func (h *house) VLANs() []control.VLAN {
	if h.empty {
		return nil
	}
	sw := "sw0"
	return []control.VLAN{
		{Name: "vlan-internal-2-0", ID: 20, Port: "lan", Switch: &sw, Untagged: control.Words{"lan1", "lan2"}, Tagged: control.Words{"lan4"},
			Addresses: control.Words{"10.2.1.254/24"}, Up: true, RxFrames: 800, RxBytes: 80000, TxFrames: 900, TxBytes: 90000},
		{Name: "guests", ID: 30, TD: 7, Port: "lan", Switch: &sw, Tagged: control.Words{"lan4"}},
		{Name: "external", Port: "wan", Addresses: control.Words{"198.51.100.1/24", "198.51.100.2/24"}, Up: true},
	}
}
