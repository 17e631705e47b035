package control

import (
	"fmt"
	"net/netip"
	"strings"
)

// VLANMiss tells of new flows that an object would have admitted, had they come
// on another VLAN (VR46). It stands in the row of the drop reason vlan_miss.
type VLANMiss struct {
	Kind       string     `json:"kind"` // virtual, nat, snat or lsn group
	Name       string     `json:"name"`
	TD         uint16     `json:"td"`
	In         string     `json:"in"`            // the VLAN on which they came
	Listens    Words      `json:"listens"`       // where they would have been admitted
	Enabled    bool       `json:"vlans_enabled"` // these are its vlans; false: all but its vlans are
	Protocol   string     `json:"protocol"`      // of the newest, with its ends:
	SourceIP   netip.Addr `json:"source_ip"`
	SourcePort uint16     `json:"source_port"` // 0 where the protocol has none
	DestIP     netip.Addr `json:"dest_ip"`
	DestPort   uint16     `json:"dest_port"`
	Count      uint64     `json:"count"` // packets
	Ago        Seconds    `json:"ago_seconds"`
}

// Advice is the fault in a sentence, and what to change.
func (m *VLANMiss) Advice() string {
	listens := "no VLAN"
	if len(m.Listens) > 0 {
		listens = strings.Join(m.Listens, ", ")
	}
	change := fmt.Sprintf("take %q out of its vlans", m.In)
	if m.Enabled {
		change = fmt.Sprintf("add %q to its vlans", m.In)
	}
	object := m.Kind + " " + m.Name
	if m.Kind == NounVirtual {
		object = "virtual server " + m.Name
	}
	return fmt.Sprintf("%s listens on %s, not on %s, where %s -> %s (%s) came in: %s",
		object, listens, m.In, ends(m.SourceIP, m.SourcePort), ends(m.DestIP, m.DestPort), strings.ToLower(m.Protocol), change)
}

func ends(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}
