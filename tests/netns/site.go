package netns

import (
	"errors"
	"net/netip"
)

// The addresses of the site: the NetScaler page's example networks.
var (
	Client1 = netip.MustParseAddr("192.0.2.11")
	Client2 = netip.MustParseAddr("192.0.2.12")
	Inside  = netip.MustParsePrefix("192.0.2.1/24")     // the router, inside
	Outside = netip.MustParsePrefix("203.0.113.2/24")   // the router, outside
	Remote  = netip.MustParsePrefix("203.0.113.254/24") // the gateway
)

// Site is two clients on one LAN, a router and a gateway:
//
//	client1 ─┐
//	         ├─ lan (a switch) ── lan[router]wan ── gateway
//	client2 ─┘
//
// The gateway is on the outside network itself, so that the router has to
// answer ARP for its NAT addresses. The router has no addresses: RouterKernel
// gives it to the kernel, or spigate takes its ports.
type Site struct {
	Client1, Client2, Switch, Router, Gateway *Namespace
}

// NewSite makes the namespaces and cables.
func NewSite(l *Lab) (*Site, error) {
	s := &Site{}
	for _, n := range []struct {
		name string
		to   **Namespace
	}{{"client1", &s.Client1}, {"client2", &s.Client2}, {"lan", &s.Switch}, {"router", &s.Router}, {"gateway", &s.Gateway}} {
		var err error
		if *n.to, err = l.Namespace(n.name); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(
		l.Wire(End{s.Client1, "eth0"}, End{s.Switch, "client1"}),
		l.Wire(End{s.Client2, "eth0"}, End{s.Switch, "client2"}),
		l.Wire(End{s.Router, "lan"}, End{s.Switch, "router"}),
		l.Wire(End{s.Router, "wan"}, End{s.Gateway, "eth0"}),
		s.Switch.Bridge("br0", "client1", "client2", "router"),
		s.address(),
	)
}

func (s *Site) address() error {
	bits := Inside.Bits()
	any4 := netip.MustParsePrefix("0.0.0.0/0")
	return errors.Join(
		s.Client1.Address("eth0", netip.PrefixFrom(Client1, bits)),
		s.Client2.Address("eth0", netip.PrefixFrom(Client2, bits)),
		s.Gateway.Address("eth0", Remote),
		s.Client1.Route(any4, Inside.Addr()),
		s.Client2.Route(any4, Inside.Addr()),
	)
}

// RouterTAPs puts the TAP devices taplan and tapwan beside the router's ports,
// each on a switch with its port: for a router that is to have TAP devices.
func (s *Site) RouterTAPs() error {
	return errors.Join(
		s.Router.TAP("taplan"), s.Router.TAP("tapwan"),
		s.Router.Bridge("brlan", "lan", "taplan"),
		s.Router.Bridge("brwan", "wan", "tapwan"),
	)
}

// RouterKernel lets the router's kernel route: its addresses, forwarding on.
func (s *Site) RouterKernel() error {
	return errors.Join(
		s.Router.Address("lan", Inside),
		s.Router.Address("wan", Outside),
		s.Router.Sysctl("net/ipv4/ip_forward", "1"),
	)
}

// GatewayRouteInside gives the gateway a way to the clients' own addresses,
// for a router that does not translate.
func (s *Site) GatewayRouteInside() error {
	return s.Gateway.Route(Inside, Outside.Addr())
}
