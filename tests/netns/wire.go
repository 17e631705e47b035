package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// End names one end of a cable: a device in a namespace.
type End struct {
	In     *Namespace
	Device string
}

// Wire joins two namespaces by a veth pair, both ends up. Offloads stay as the
// kernel sets them, as on a host that knows nothing of a router between.
func (l *Lab) Wire(a, b End) error {
	err := a.In.nl.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: a.Device},
		PeerName:      b.Device,
		PeerNamespace: netlink.NsFd(int(b.In.fd.Fd())),
	})
	if err != nil {
		return fmt.Errorf("veth %s:%s to %s:%s: %w", a.In.Name, a.Device, b.In.Name, b.Device, err)
	}
	if err := a.In.up(a.Device); err != nil {
		return err
	}
	return b.In.up(b.Device)
}

// Bridge makes a learning switch of the named devices of the namespace.
func (n *Namespace) Bridge(name string, devices ...string) error {
	if err := n.nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
		return fmt.Errorf("namespace %s: bridge %s: %w", n.Name, name, err)
	}
	bridge, err := n.link(name)
	if err != nil {
		return err
	}
	for _, d := range devices {
		port, err := n.link(d)
		if err != nil {
			return err
		}
		if err := n.nl.LinkSetMaster(port, bridge); err != nil {
			return fmt.Errorf("namespace %s: bridge %s: port %s: %w", n.Name, name, d, err)
		}
	}
	return n.up(name)
}

// TAP makes a TAP device that stays when nobody has it open.
func (n *Namespace) TAP(device string) error {
	return n.Do(func() error {
		tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: device}, Mode: netlink.TUNTAP_MODE_TAP}
		if err := netlink.LinkAdd(tap); err != nil {
			return fmt.Errorf("namespace %s: tap %s: %w", n.Name, device, err)
		}
		for _, f := range tap.Fds {
			f.Close()
		}
		return nil
	})
}

func (n *Namespace) link(device string) (netlink.Link, error) {
	l, err := n.nl.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: device %s: %w", n.Name, device, err)
	}
	return l, nil
}

func (n *Namespace) up(device string) error {
	l, err := n.link(device)
	if err != nil {
		return err
	}
	if err := n.nl.LinkSetUp(l); err != nil {
		return fmt.Errorf("namespace %s: device %s up: %w", n.Name, device, err)
	}
	return nil
}

// SetLink takes a device up or down.
func (n *Namespace) SetLink(device string, up bool) error {
	if up {
		return n.up(device)
	}
	l, err := n.link(device)
	if err != nil {
		return err
	}
	if err := n.nl.LinkSetDown(l); err != nil {
		return fmt.Errorf("namespace %s: device %s down: %w", n.Name, device, err)
	}
	return nil
}

// NoSegmentation lets TCP on a device send packets as long as its MTU allows
// and no longer, as a network card does on its cable.
func (n *Namespace) NoSegmentation(device string) error {
	l, err := n.link(device)
	if err != nil {
		return err
	}
	if err := n.nl.LinkSetGSOMaxSegs(l, 1); err != nil {
		return fmt.Errorf("namespace %s: device %s segmentation: %w", n.Name, device, err)
	}
	return nil
}

// SetMTU sets the greatest length of an IP packet on a device, in bytes.
func (n *Namespace) SetMTU(device string, mtu int) error {
	l, err := n.link(device)
	if err != nil {
		return err
	}
	if err := n.nl.LinkSetMTU(l, mtu); err != nil {
		return fmt.Errorf("namespace %s: device %s MTU %d: %w", n.Name, device, mtu, err)
	}
	return nil
}

// MAC returns a device's Ethernet address.
func (n *Namespace) MAC(device string) (net.HardwareAddr, error) {
	l, err := n.link(device)
	if err != nil {
		return nil, err
	}
	return l.Attrs().HardwareAddr, nil
}

// FiltersVLANs reports whether the kernel's bridges know VLANs
// (CONFIG_BRIDGE_VLAN_FILTERING).
func (n *Namespace) FiltersVLANs() bool {
	yes := true
	l := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "filters"}, VlanFiltering: &yes}
	return n.nl.LinkAdd(l) == nil && n.nl.LinkDel(l) == nil
}

// RemoveVLAN takes a device of a bridge out of a VLAN.
func (n *Namespace) RemoveVLAN(device string, id uint16) error {
	l, err := n.link(device)
	if err != nil {
		return err
	}
	if err := n.nl.BridgeVlanDel(l, id, false, false, false, true); err != nil {
		return fmt.Errorf("namespace %s: device %s out of VLAN %d: %w", n.Name, device, id, err)
	}
	return nil
}

// Devices has every device by its name, with the bridge that it is a port of,
// or "".
func (n *Namespace) Devices() (bridgeOf map[string]string, err error) {
	all, err := n.nl.LinkList()
	if err != nil {
		return nil, fmt.Errorf("namespace %s: devices: %w", n.Name, err)
	}
	names := map[int]string{}
	for _, l := range all {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	bridgeOf = map[string]string{}
	for _, l := range all {
		bridgeOf[l.Attrs().Name] = names[l.Attrs().MasterIndex]
	}
	return bridgeOf, nil
}

// NoAddresses takes all IPv4 addresses from a device, and with them its routes.
func (n *Namespace) NoAddresses(device string) error {
	l, err := n.link(device)
	if err != nil {
		return err
	}
	all, err := n.nl.AddrList(l, netlink.FAMILY_V4)
	errs := []error{err}
	for i := range all {
		errs = append(errs, n.nl.AddrDel(l, &all[i]))
	}
	return errors.Join(errs...)
}

// Address gives a device an address with its prefix.
func (n *Namespace) Address(device string, p netip.Prefix) error {
	l, err := n.link(device)
	if err != nil {
		return err
	}
	if err := n.nl.AddrAdd(l, &netlink.Addr{IPNet: ipNet(p)}); err != nil {
		return fmt.Errorf("namespace %s: address %s on %s: %w", n.Name, p, device, err)
	}
	return nil
}

// Route adds a route through a gateway.
func (n *Namespace) Route(dst netip.Prefix, via netip.Addr) error {
	err := n.nl.RouteAdd(&netlink.Route{Dst: ipNet(dst.Masked()), Gw: via.AsSlice()})
	if err != nil {
		return fmt.Errorf("namespace %s: route %s via %s: %w", n.Name, dst, via, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// SetMAC gives a device another Ethernet address.
func (n *Namespace) SetMAC(device string, mac net.HardwareAddr) error {
	l, err := n.link(device)
	if err != nil {
		return err
	}
	if err := n.nl.LinkSetHardwareAddr(l, mac); err != nil {
		return fmt.Errorf("namespace %s: device %s address %s: %w", n.Name, device, mac, err)
	}
	return nil
}
