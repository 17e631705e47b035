package dsa

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tick is the unit of the kernel's ageing time (USER_HZ).
const tick = 10 * time.Millisecond

// wanted are the attributes of the bridge.
func (c Config) wanted() *nl.RtAttr {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_VLAN_FILTERING, []byte{1})
	data.AddRtAttr(nl.IFLA_BR_VLAN_DEFAULT_PVID, nl.Uint16Attr(0))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	if c.Ageing != 0 {
		data.AddRtAttr(nl.IFLA_BR_AGEING_TIME, nl.Uint32Attr(uint32(min(c.Ageing/tick, 1<<31))))
	}
	return info
}

// snoopingOff is apart: a kernel may be built without it, and refuse.
func snoopingOff() *nl.RtAttr {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{0})
	return info
}

// takeBridge looks at everything before it changes anything: the ports must be
// there and free, and the bridge ours, or not there. Then it makes the bridge.
func (s *chip) takeBridge() error {
	ports, err := s.ports()
	if err != nil {
		return err
	}
	bridge, err := s.kernel.link(s.conf.Bridge)
	switch {
	case errors.Is(err, errGone):
		bridge = nil
	case err != nil:
		return err
	default:
		if err := ours(bridge); err != nil {
			return err
		}
	}
	if err := s.free(ports, bridge); err != nil {
		return err
	}
	if bridge != nil {
		return nil
	}
	if bridge, err = s.makeBridge(ports[0]); err != nil {
		return err
	}
	s.made = true
	return s.remember(bridge, ports)
}

// ours says why a device is not our bridge; nil: it is. One without ports that
// is off is nobody's: it may be ours from a moment before it was marked.
func ours(l *link) error {
	if l.kind != "bridge" {
		return fmt.Errorf("device %s is there already, and is no bridge but %q: give the router's port another name", l.Name, l.kind)
	}
	if _, err := parseRecord(l.Alias); err == nil {
		return nil
	}
	fresh := l.Alias == "" && !l.up() && l.bridge.VlanDefaultPVID != nil && *l.bridge.VlanDefaultPVID == 0
	if !fresh {
		return fmt.Errorf("bridge %s is there already and somebody else's (its alias is %q): remove it, or give the router's port another name", l.Name, l.Alias)
	}
	return nil
}

// free reports the ports that are in somebody else's hands.
func (s *chip) free(ports []*link, bridge *link) error {
	var faults []error
	for _, p := range ports {
		if p.MasterIndex == 0 || bridge != nil && p.MasterIndex == bridge.Index {
			continue
		}
		master := fmt.Sprintf("device number %d", p.MasterIndex)
		if m, err := s.kernel.linkAt(p.MasterIndex); err == nil {
			master = m.Name
		}
		faults = append(faults, fmt.Errorf("port %s is a member of %s: take it out first (ip link set %s nomaster)", p.Name, master, p.Name))
	}
	return errors.Join(faults...)
}

func (s *chip) makeBridge(first *link) (*link, error) {
	mac := s.conf.MAC
	if mac == nil {
		// Otherwise the kernel would choose one, and another one when ports come
		// and go.
		mac = first.HardwareAddr
	}
	err := s.kernel.tell(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, nl.NewIfInfomsg(unix.AF_UNSPEC),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(s.conf.Bridge)), nl.NewRtAttr(unix.IFLA_ADDRESS, mac), s.conf.wanted())
	if err != nil {
		return nil, fmt.Errorf("make bridge %s (the kernel needs BRIDGE and BRIDGE_VLAN_FILTERING): %w", s.conf.Bridge, err)
	}
	return s.kernel.link(s.conf.Bridge)
}

// remember writes on the bridge how the ports are that are not written there
// yet, and the conduits behind them. A device that is gone is forgotten: when
// its driver comes back it is another one.
func (s *chip) remember(bridge *link, ports []*link) error {
	var r record
	old, _ := parseRecord(bridge.Alias) // a fresh one has none
	for _, e := range old {
		if _, err := s.kernel.linkAt(e.index); !errors.Is(err, errGone) {
			r = append(r, e)
		}
	}
	for _, p := range ports {
		r = r.with(p)
		conduit, err := s.conduit(p)
		if err != nil {
			return err
		}
		if conduit != nil {
			r = r.with(conduit)
		}
	}
	text, err := r.text()
	if err != nil || text == bridge.Alias {
		return err
	}
	if err := s.kernel.change(bridge, nl.NewRtAttr(unix.IFLA_IFALIAS, nl.ZeroTerminated(text))); err != nil {
		return fmt.Errorf("mark bridge %s: %w", bridge.Name, err)
	}
	return nil
}

// conduit returns the device behind a port of DSA, through which the processor
// reaches the chip; nil for a port that is not DSA's.
func (s *chip) conduit(p *link) (*link, error) {
	if p.kind != "dsa" || p.ParentIndex == 0 {
		return nil, nil
	}
	return s.kernel.linkAt(p.ParentIndex)
}

// Prepare implements hw.Chip. It sets only what is not as it should be: even a
// bridge's attribute that is set anew to what it was may reach the chip.
func (s *chip) Prepare() error {
	bridge, err := s.get(s.conf.Bridge)
	if err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if err := ours(bridge); err != nil {
		return err
	}
	if !s.conf.fits(bridge) {
		if err := s.kernel.change(bridge, s.conf.wanted()); err != nil {
			return fmt.Errorf("bridge %s: %w", bridge.Name, err)
		}
	}
	if on := bridge.bridge.MulticastSnooping; on != nil && *on {
		if err := s.kernel.change(bridge, snoopingOff()); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("bridge %s: multicast snooping off: %w", bridge.Name, err)
		}
	}
	ports, err := s.ports()
	if err != nil {
		return err
	}
	if err := errors.Join(s.free(ports, bridge), s.remember(bridge, ports)); err != nil {
		return err
	}
	for _, p := range ports {
		if err := s.take(bridge, p); err != nil {
			return fmt.Errorf("port %s: %w", p.Name, err)
		}
	}
	return nil
}

// fits reports whether a bridge is as it should be. That STP is off, the kernel
// does not tell in what we read: nobody else sets it on a bridge of ours.
func (c Config) fits(l *link) bool {
	b := l.bridge
	return b.VlanFiltering != nil && *b.VlanFiltering && b.VlanDefaultPVID != nil && *b.VlanDefaultPVID == 0 &&
		(c.Ageing == 0 || b.AgeingTime != nil && near(*b.AgeingTime, uint32(min(c.Ageing/tick, 1<<31))))
}

// near reports whether two differ by a tick at most: the kernel counts by a
// clock of its own and rounds.
func near(a, b uint32) bool { return max(a, b)-min(a, b) <= 1 }

// addrGenNone: the kernel makes no IPv6 address for a device by itself.
const addrGenNone = 1

// take puts a port into the bridge, if it is not there: a port that is new is
// off until somebody turns it on.
func (s *chip) take(bridge, p *link) error {
	conduit, err := s.conduit(p)
	if err != nil {
		return err
	}
	// Newer kernels do it by themselves when the first port comes up.
	if conduit != nil && !conduit.up() {
		if err := s.kernel.setUp(conduit, true); err != nil {
			return fmt.Errorf("turn on its conduit %s: %w", conduit.Name, err)
		}
	}
	if p.MasterIndex == bridge.Index {
		return nil
	}
	if p.up() {
		if err := s.kernel.setUp(p, false); err != nil {
			return fmt.Errorf("turn off: %w", err)
		}
	}
	// Otherwise the kernel would greet the neighbours as a host of its own
	// whenever the port comes up. A kernel without IPv6 refuses, and does not.
	_ = s.kernel.setAddrGen(p, addrGenNone)
	if err := s.kernel.setMaster(p, bridge.Index); err != nil {
		return fmt.Errorf("put into bridge %s: %w", bridge.Name, err)
	}
	return nil
}

// setAddrGen says how IPv6 link-local addresses of a device are made.
func (k *kernel) setAddrGen(l *link, mode uint8) error {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{mode})
	return k.change(l, spec)
}

// Remove takes the bridge away and gives ports and conduits back as they were
// before the first Open. IPv6 addresses that the kernel makes come back when a
// port comes up. It goes on after an error.
func (s *chip) Remove() error {
	bridge, err := s.get(s.conf.Bridge)
	if errors.Is(err, errGone) {
		return nil // gone already
	}
	if err != nil {
		return err
	}
	if err := ours(bridge); err != nil {
		return err
	}
	r, _ := parseRecord(bridge.Alias) // a fresh one of ours has none, and no ports
	// All ports stop before the first one is set free: in between they would be
	// one network without VLANs for nobody, and a host's port for the kernel.
	var faults []error
	for _, e := range r {
		faults = append(faults, s.release(e, bridge.Index))
	}
	if err := s.kernel.tell(unix.RTM_DELLINK, 0, about(bridge, unix.AF_UNSPEC)); err != nil {
		return errors.Join(append(faults, fmt.Errorf("remove bridge %s: %w", bridge.Name, err))...)
	}
	for _, e := range r {
		faults = append(faults, s.giveBack(e))
	}
	return errors.Join(faults...)
}

// release turns a port off and takes it out of the bridge.
func (s *chip) release(e entry, bridge int) error {
	p, err := s.kernel.linkAt(e.index)
	if err != nil || p.MasterIndex != bridge {
		return nil // gone, or a conduit
	}
	if err := errors.Join(s.kernel.setUp(p, false), s.kernel.setMaster(p, 0)); err != nil {
		return fmt.Errorf("port %s: %w", p.Name, err)
	}
	_ = s.kernel.setAddrGen(p, 0)
	return nil
}

// giveBack makes a device as it was. One that is gone needs nothing.
func (s *chip) giveBack(e entry) error {
	p, err := s.kernel.linkAt(e.index)
	if err != nil {
		return nil
	}
	var faults []error
	if p.MTU != e.mtu {
		faults = append(faults, s.kernel.setMTU(p, e.mtu))
	}
	if p.up() != e.up {
		faults = append(faults, s.kernel.setUp(p, e.up))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("give back %s: %w", p.Name, err)
	}
	return nil
}
