//go:build linux && !noxdp

package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// A device is what the kernel says of a port at one moment. Two that are equal
// can take the same programs.
type device struct {
	index  int // 0: there is none of this name
	mtu    int // bytes of IP
	up     bool
	mac    frame.MAC
	kind   string // the kernel's word: veth, tuntap, device
	target bool   // frames may be sent to it by a program in another's driver
	loaded bool   // a program is on it, ours or somebody else's
}

// errNotEthernet is a device whose frames have no Ethernet header.
var errNotEthernet = errors.New("not an Ethernet device")

// lookUp asks for the device of this name in the namespace of the calling
// thread, but not who can send to it. One that is gone is no error.
func (s *ports) lookUp(name string) (device, error) {
	l, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return device{}, nil
	}
	if err != nil {
		return device{}, err
	}
	a := l.Attrs()
	d := device{
		index: a.Index, mtu: a.MTU, kind: l.Type(),
		up:     a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0,
		loaded: a.Xdp != nil && a.Xdp.Attached,
	}
	if a.EncapType != "ether" || len(a.HardwareAddr) != len(d.mac) {
		return device{}, errNotEthernet
	}
	d.mac = frame.MAC(a.HardwareAddr)
	return d, nil
}

// What the kernel's netdev family says of a device (linux/netdev.h, 6.3).
const (
	netdevGet         = 1
	netdevIfindex     = 1
	netdevXDPFeatures = 3
	xdpFeatureXmit    = 1 << 2
)

// isTarget reports whether a program in another device's driver can send
// frames to the port's device d. Where it cannot, they are lost without a word: a
// veth, say, whose other end has neither a program nor GRO, or a driver without
// XDP. Kernels before 6.3 do not tell: there a device is one whose driver runs our
// program, as drivers have both or neither, and some take frames only then; but
// no veth is, unless the operator insists on Native.
func (s *ports) isTarget(p *port, d device) bool {
	features, err := s.xdpFeatures(d.index)
	if err != nil {
		native := p.link != nil && p.mode == Native && p.index == d.index
		return native && (d.kind != "veth" || s.mode == Native)
	}
	return features&xdpFeatureXmit != 0
}

// xdpFeatures asks what the driver of a device can do for XDP.
func (s *ports) xdpFeatures(index int) (uint64, error) {
	if s.netdev == 0 {
		id, err := askGeneric(nl.GENL_ID_CTRL, genlHeader{nl.GENL_CTRL_CMD_GETFAMILY, nl.GENL_CTRL_VERSION},
			nl.NewRtAttr(nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated("netdev")), nl.GENL_CTRL_ATTR_FAMILY_ID, 2)
		if err != nil {
			return 0, fmt.Errorf("netlink family netdev: %w", err)
		}
		s.netdev = binary.NativeEndian.Uint16(id)
	}
	features, err := askGeneric(s.netdev, genlHeader{netdevGet, 1},
		nl.NewRtAttr(netdevIfindex, nl.Uint32Attr(uint32(index))), netdevXDPFeatures, 8)
	if err != nil {
		return 0, fmt.Errorf("device %d: %w", index, err)
	}
	return binary.NativeEndian.Uint64(features), nil
}

// askGeneric asks a family of generic netlink and returns an attribute of the
// answer, of size bytes at least.
func askGeneric(family uint16, h genlHeader, about *nl.RtAttr, attribute uint16, size int) ([]byte, error) {
	req := nl.NewNetlinkRequest(int(family), 0)
	req.AddData(h)
	req.AddData(about)
	answers, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, err
	}
	for _, m := range answers {
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return nil, err
		}
		for _, a := range attrs {
			if a.Attr.Type == attribute && len(a.Value) >= size {
				return a.Value, nil
			}
		}
	}
	return nil, errors.New("no answer")
}

// A genlHeader is a generic netlink header: command, version and two zeros,
// which this family looks at. The module's own type sends what lies behind it.
type genlHeader [nl.SizeofGenlmsg]byte

// Len implements nl.NetlinkRequestData.
func (h genlHeader) Len() int { return len(h) }

// Serialize implements nl.NetlinkRequestData.
func (h genlHeader) Serialize() []byte { return h[:] }

// takesTheSame reports whether what one of two devices takes, the other does:
// one that went down or came up is the same, and one that got a program.
func (d device) takesTheSame(e device) bool {
	d.up, d.loaded = e.up, e.loaded
	return d == e
}
