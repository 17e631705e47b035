package hw

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Plan is what a chip should do: the VLANs of the configuration, without the
// router's own port, which is in all of them (see Table). A port that is in no
// VLAN is turned off.
type Plan struct {
	VLANs []VLAN
	MTU   int // of IP, in bytes; 0: as it is
}

// Check returns everything about the plan that the chip cannot do, joined. Each
// error is one sentence that names the VLAN and the port.
func (p Plan) Check(c Capabilities) error {
	k := checker{caps: c, seen: map[uint16]bool{}, untagged: map[string][]uint16{}}
	for _, v := range p.VLANs {
		k.vlan(v)
	}
	if most := c.VLANs; most != 0 && len(p.VLANs) > most {
		k.fault("there are %d VLANs, and the table of %s has %d rows", len(p.VLANs), c.Chip, most)
	}
	if c.MaxMTU != 0 && p.MTU > c.MaxMTU {
		k.fault("mtu %d: %s passes packets of %d bytes at most", p.MTU, c.Chip, c.MaxMTU)
	}
	return errors.Join(k.faults...)
}

type checker struct {
	caps     Capabilities
	seen     map[uint16]bool
	untagged map[string][]uint16 // VLANs that a port sends without tag
	faults   []error
}

func (k *checker) fault(format string, args ...any) {
	k.faults = append(k.faults, fmt.Errorf(format, args...))
}

func (k *checker) vlan(v VLAN) {
	least := max(1, k.caps.LeastID)
	switch {
	case v.ID < least || v.ID > MaxVLAN:
		k.fault("VLAN %d: %s has VLANs from %d to %d", v.ID, k.caps.Chip, least, MaxVLAN)
	case k.seen[v.ID]:
		k.fault("VLAN %d is there twice", v.ID)
	}
	k.seen[v.ID] = true
	members := map[string]bool{}
	for _, name := range slices.Concat(v.Tagged, v.Untagged) {
		k.member(v.ID, name)
		if members[name] {
			k.fault("VLAN %d: port %s is a member twice", v.ID, name)
		}
		members[name] = true
	}
	for _, name := range v.Untagged {
		if other := k.untagged[name]; len(other) > 0 {
			k.fault("VLAN %d: port %s has VLAN %d untagged already: which of them is a frame without tag?", v.ID, name, other[0])
		}
		k.untagged[name] = append(k.untagged[name], v.ID)
	}
}

func (k *checker) member(id uint16, name string) {
	var names []string
	for _, p := range k.caps.Ports {
		switch {
		case p.Name == name && p.CPU:
			k.fault("VLAN %d: port %s is the router's own: it is a member by itself", id, name)
			return
		case p.Name == name:
			return
		case !p.CPU:
			names = append(names, p.Name)
		}
	}
	k.fault("VLAN %d: %s has no port %s, it has %s", id, k.caps.Chip, name, strings.Join(names, ", "))
}

// Table is what a chip has when it does all that the plan says and nothing else.
func (p Plan) Table(c Capabilities) Table {
	t := Table{PVID: map[string]uint16{}, On: map[string]bool{}, MTU: p.MTU}
	cpu := c.CPU()
	for _, v := range p.VLANs {
		t.VLANs = append(t.VLANs, VLAN{
			ID: v.ID, Tagged: sorted(append(slices.Clone(v.Tagged), cpu)), Untagged: sorted(slices.Clone(v.Untagged)),
		})
		for _, name := range v.Untagged {
			t.PVID[name] = v.ID
		}
		for _, name := range slices.Concat(v.Tagged, v.Untagged) {
			t.On[name] = true
		}
	}
	t.On[cpu] = true
	sort.Slice(t.VLANs, func(i, j int) bool { return t.VLANs[i].ID < t.VLANs[j].ID })
	return t
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
