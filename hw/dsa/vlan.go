package dsa

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"spigate/hw"
)

// What the kernel says of a VLAN at a port.
const (
	pvidFlag     = nl.BRIDGE_VLAN_INFO_PVID
	untaggedFlag = nl.BRIDGE_VLAN_INFO_UNTAGGED
)

// vlans are those of each device by its number: flags by VLAN id.
type vlans map[int]map[uint16]uint16

// dumpTries bounds how often a list is asked for anew because something changed
// meanwhile.
const dumpTries = 10

// vlans asks for the VLANs of all bridge ports, and of bridges themselves.
func (k *kernel) vlans() (vlans, error) {
	var list [][]byte
	var err error
	for range dumpTries {
		list, err = k.request(unix.RTM_GETLINK, unix.NLM_F_DUMP, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_BRIDGE),
			nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(nl.RTEXT_FILTER_BRVLAN)))
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("VLANs of the bridge: %w", err)
	}
	out := vlans{}
	for _, m := range list {
		if err := out.add(m); err != nil {
			return nil, fmt.Errorf("VLANs of the bridge: %w", err)
		}
	}
	return out, nil
}

// add reads what the kernel says of one device.
func (v vlans) add(message []byte) error {
	var inner error
	err := eachAttr(message, unix.SizeofIfInfomsg, func(kind uint16, spec []byte) {
		if kind != unix.IFLA_AF_SPEC {
			return
		}
		inner = eachAttr(spec, 0, func(kind uint16, value []byte) {
			if kind == nl.IFLA_BRIDGE_VLAN_INFO && len(value) == nl.SizeofBridgeVlanInfo {
				v.set(int(int32(nl.NativeEndian().Uint32(message[4:]))), nl.NativeEndian().Uint16(value[2:]), nl.NativeEndian().Uint16(value))
			}
		})
	})
	return errors.Join(err, inner)
}

func (v vlans) set(index int, id, flags uint16) {
	if v[index] == nil {
		v[index] = map[uint16]uint16{}
	}
	v[index][id] |= flags & (pvidFlag | untaggedFlag)
}

// setVLAN makes a device a member of a VLAN, or changes how it is one.
func (k *kernel) setVLAN(l *link, id, flags uint16) error {
	return k.changeVLAN(unix.RTM_SETLINK, l, id, flags)
}

// removeVLAN ends a membership.
func (k *kernel) removeVLAN(l *link, id uint16) error {
	return k.changeVLAN(unix.RTM_DELLINK, l, id, 0)
}

func (k *kernel) changeVLAN(kind int, l *link, id, flags uint16) error {
	to := uint16(nl.BRIDGE_FLAGS_MASTER) // of the bridge that the port is in
	if l.kind == "bridge" {
		to = nl.BRIDGE_FLAGS_SELF
	}
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(nl.IFLA_BRIDGE_FLAGS, nl.Uint16Attr(to))
	spec.AddRtAttr(nl.IFLA_BRIDGE_VLAN_INFO, (&nl.BridgeVlanInfo{Flags: flags, Vid: id}).Serialize())
	if err := k.tell(kind, 0, about(l, unix.AF_BRIDGE), spec); err != nil {
		return fmt.Errorf("VLAN %d at %s: %w", id, l.Name, err)
	}
	return nil
}

// member is a port's device with its VLANs.
type member struct {
	port string
	link *link
	has  map[uint16]uint16
}

// members returns all ports in the order of Capabilities, the router's first.
func (s *chip) members() ([]member, error) {
	var out []member
	for _, p := range s.caps.Ports {
		l, err := s.get(p.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, member{port: p.Name, link: l})
	}
	all, err := s.kernel.vlans()
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].has = all[out[i].link.Index]
	}
	return out, nil
}

// Table implements hw.Chip.
func (s *chip) Table() (hw.Table, error) {
	all, err := s.members()
	if err != nil {
		return hw.Table{}, err
	}
	t := hw.Table{PVID: map[string]uint16{}, On: map[string]bool{}}
	rows := map[uint16]*hw.VLAN{}
	for _, m := range all {
		t.On[m.port] = m.link.up()
		if t.MTU == 0 || m.link.MTU < t.MTU {
			t.MTU = m.link.MTU
		}
		for id, flags := range m.has {
			if rows[id] == nil {
				rows[id] = &hw.VLAN{ID: id}
			}
			if flags&untaggedFlag != 0 {
				rows[id].Untagged = append(rows[id].Untagged, m.port)
			} else {
				rows[id].Tagged = append(rows[id].Tagged, m.port)
			}
			if flags&pvidFlag != 0 {
				t.PVID[m.port] = id
			}
		}
	}
	for _, v := range rows {
		slices.Sort(v.Tagged)
		slices.Sort(v.Untagged)
		t.VLANs = append(t.VLANs, *v)
	}
	sort.Slice(t.VLANs, func(i, j int) bool { return t.VLANs[i].ID < t.VLANs[j].ID })
	return t, nil
}

// SetVLAN implements hw.Chip. Members leave before others join, and only what
// changes reaches the chip. The VLAN of frames without tag stays with a port
// that stays.
func (s *chip) SetVLAN(v hw.VLAN) error {
	if err := s.checkRow(v); err != nil {
		return err
	}
	all, err := s.members()
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(all) { // the router's port leaves last
		if _, is := m.has[v.ID]; is && !slices.Contains(v.Tagged, m.port) && !slices.Contains(v.Untagged, m.port) {
			if err := s.kernel.removeVLAN(m.link, v.ID); err != nil {
				return err
			}
		}
	}
	for _, m := range all { // and joins first
		flags, is := m.has[v.ID]
		want := flags & pvidFlag
		switch {
		case slices.Contains(v.Untagged, m.port):
			want |= untaggedFlag
		case !slices.Contains(v.Tagged, m.port):
			continue
		}
		if is && flags == want {
			continue
		}
		if err := s.kernel.setVLAN(m.link, v.ID, want); err != nil {
			return err
		}
	}
	return nil
}

func (s *chip) checkRow(v hw.VLAN) error {
	if s.kernel == nil {
		return errClosed
	}
	if err := checkID(v.ID); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, name := range slices.Concat(v.Tagged, v.Untagged) {
		if _, err := s.device(name); err != nil {
			return fmt.Errorf("VLAN %d: %w", v.ID, err)
		}
		if seen[name] {
			return fmt.Errorf("VLAN %d: port %s is a member twice", v.ID, name)
		}
		seen[name] = true
	}
	if slices.ContainsFunc(v.Untagged, s.isCPU) {
		return fmt.Errorf("VLAN %d: the router's own port %s has all VLANs tagged", v.ID, s.conf.Bridge)
	}
	return nil
}

func checkID(id uint16) error {
	if id < 1 || id > hw.MaxVLAN {
		return fmt.Errorf("VLAN %d: there are 1 to %d", id, hw.MaxVLAN)
	}
	return nil
}

// RemoveVLAN implements hw.Chip.
func (s *chip) RemoveVLAN(id uint16) error {
	all, err := s.members()
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(all) {
		if _, is := m.has[id]; !is {
			continue
		}
		if err := s.kernel.removeVLAN(m.link, id); err != nil {
			return err
		}
	}
	return nil
}

// SetPVID implements hw.Chip. The kernel knows only members of a VLAN whose
// frames without tag are of it.
func (s *chip) SetPVID(port string, id uint16) error {
	if _, err := s.device(port); err != nil {
		return err
	}
	all, err := s.members()
	if err != nil {
		return err
	}
	m := all[slices.IndexFunc(all, func(m member) bool { return m.port == port })]
	if id == 0 {
		return s.noPVID(m)
	}
	if err := checkID(id); err != nil {
		return err
	}
	flags, is := m.has[id]
	switch {
	case s.isCPU(port):
		return fmt.Errorf("the router's own port %s has all VLANs tagged", port)
	case !is:
		return fmt.Errorf("port %s is no member of VLAN %d: its frames without tag cannot be of it", port, id)
	case flags&pvidFlag != 0:
		return nil
	}
	return s.kernel.setVLAN(m.link, id, flags|pvidFlag)
}

func (s *chip) noPVID(m member) error {
	for id, flags := range m.has {
		if flags&pvidFlag != 0 {
			return s.kernel.setVLAN(m.link, id, flags&^pvidFlag)
		}
	}
	return nil
}
