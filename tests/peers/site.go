package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// The addresses of the site. All clients share NATAddress.
var (
	InsideRouter  = netip.MustParsePrefix("192.168.1.1/24")
	OutsideRouter = netip.MustParsePrefix("203.0.113.1/24")
	NATAddress    = netip.MustParseAddr("203.0.113.10")
)

// Host is a machine in the guest: a VPN client or the gateway.
type Host struct {
	Name     string       // its namespace in the guest; ID is NAME@test
	Address  netip.Prefix // outside the tunnel
	Via      netip.Addr   // its router
	Inner    netip.Addr   // inside the tunnel
	InnerNet netip.Prefix // what it has in the tunnel
	Card     net.HardwareAddr
}

// TAP is the device outside the guest that leads to the host.
func (h *Host) TAP() string { return "tap-" + h.Name }

// Client returns the host of client number n, 1 to 4.
func Client(n int) *Host {
	inner := netip.AddrFrom4([4]byte{10, 98, byte(n), 1})
	return &Host{
		Name:     fmt.Sprintf("c%d", n),
		Address:  netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + n)}), 24),
		Via:      InsideRouter.Addr(),
		Inner:    inner,
		InnerNet: netip.PrefixFrom(inner, 32),
		Card:     cardAddress(byte(n)),
	}
}

// cardAddress is the hardware address of a host's card.
func cardAddress(n byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0x5e, 0, 0x53, n} }

// Gateway returns the VPN gateway's host.
func Gateway() *Host {
	return &Host{
		Name:     "gw",
		Address:  netip.MustParsePrefix("203.0.113.2/24"),
		Via:      OutsideRouter.Addr(),
		Inner:    netip.MustParseAddr("10.99.0.1"),
		InnerNet: netip.MustParsePrefix("10.99.0.0/24"),
		Card:     cardAddress(0xfe),
	}
}

// innerAll is what all clients have in their tunnels.
var innerAll = netip.MustParsePrefix("10.98.0.0/16")

// clients is how many clients there are: two for plain ESP, and one for each
// version of IKE that use NAT traversal beside them.
const clients = 4

// Site is the guest's hosts and the two networks between which a router goes.
type Site struct {
	VM      *VM
	Clients []*Host
	Gateway *Host

	lab      *netns.Lab
	networks *netns.Namespace // of the TAP devices and the two bridges
	routers  int              // made so far
}

// NewSite makes the namespaces, bridges and TAP devices, and boots the guest.
// There is no router yet.
func NewSite(ctx context.Context, l *netns.Lab, img *Image, dir string) (*Site, error) {
	s := &Site{Gateway: Gateway(), lab: l}
	var err error
	if s.networks, err = l.Namespace("networks"); err != nil {
		return nil, err
	}
	var taps []string
	for n := range clients {
		s.Clients = append(s.Clients, Client(n+1))
		taps = append(taps, s.Clients[n].TAP())
	}
	if err := s.plug(taps); err != nil {
		return nil, err
	}
	m := MachineConfig{Image: img, In: s.networks, Dir: dir}
	for _, h := range s.Hosts() {
		m.Cards = append(m.Cards, Card{h.Name, h.TAP(), h.Card})
	}
	if s.VM, err = Start(ctx, m); err != nil {
		return nil, err
	}
	for _, h := range s.Hosts() {
		if err := s.address(ctx, h); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Hosts returns the clients and the gateway.
func (s *Site) Hosts() []*Host { return append(append([]*Host(nil), s.Clients...), s.Gateway) }

// plug makes the TAP devices and joins those of the clients in one bridge; the
// gateway's is alone in another.
func (s *Site) plug(clientTAPs []string) error {
	for _, t := range append(clientTAPs, s.Gateway.TAP()) {
		if err := s.networks.Do(func() error { return makeTAP(t) }); err != nil {
			return fmt.Errorf("TAP %s: %w", t, err)
		}
	}
	return errors.Join(
		s.networks.Bridge("inside", clientTAPs...),
		s.networks.Bridge("outside", s.Gateway.TAP()),
		s.linksUp(append(clientTAPs, s.Gateway.TAP())),
	)
}

func (s *Site) linksUp(devices []string) error {
	var errs []error
	for _, d := range devices {
		errs = append(errs, s.networks.SetLink(d, true))
	}
	return errors.Join(errs...)
}

// makeTAP makes a TAP device in the namespace of the calling thread that stays
// until the namespace goes.
func makeTAP(name string) error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, req); err != nil {
		return err
	}
	return unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 1)
}

// address gives a host in the guest its addresses and routes. What goes into
// the tunnel needs a route too: the kernel looks for one before it encrypts.
func (s *Site) address(ctx context.Context, h *Host) error {
	far := s.Gateway.InnerNet
	if h == s.Gateway {
		far = innerAll
	}
	_, err := s.VM.Exec(ctx, h.Name, fmt.Sprintf(`set -e
		ip addr add %v dev eth0; ip route add default via %v
		ip link add inner type dummy; ip link set inner up; ip addr add %v/%d dev inner
		ip route add %v via %v dev eth0 src %v`,
		h.Address, h.Via, h.Inner, h.InnerNet.Bits(), far, h.Via, h.Inner))
	return err
}
