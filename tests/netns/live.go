package netns

import (
	"errors"
	"net/netip"
)

// The hosts behind the tunnels of a Live site.
var (
	Host1  = netip.MustParseAddr("10.1.1.1")
	Host2  = netip.MustParseAddr("10.1.2.1")
	Server = netip.MustParseAddr("10.2.1.1")
)

// Live is a site whose clients and gateway are routers, each with a host behind
// it. They stand at the addresses of Site, and have none of their own: something
// takes their ports lan and wan, and speaks IKE.
//
//	host1 ── lan[client1]wan ─┐
//	                          ├─ switch ── lan[router]wan ── wan[gateway]lan ── server
//	host2 ── lan[client2]wan ─┘
type Live struct {
	Host1, Host2, Client1, Client2, Switch, Router, Gateway, Server *Namespace
}

// NewLive makes the namespaces and cables.
func NewLive(l *Lab) (*Live, error) {
	s := &Live{}
	for _, n := range []struct {
		name string
		to   **Namespace
	}{
		{"host1", &s.Host1}, {"host2", &s.Host2}, {"client1", &s.Client1}, {"client2", &s.Client2},
		{"lan", &s.Switch}, {"router", &s.Router}, {"gateway", &s.Gateway}, {"server", &s.Server},
	} {
		var err error
		if *n.to, err = l.Namespace(n.name); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(
		l.Wire(End{s.Host1, "eth0"}, End{s.Client1, "lan"}),
		l.Wire(End{s.Host2, "eth0"}, End{s.Client2, "lan"}),
		l.Wire(End{s.Client1, "wan"}, End{s.Switch, "client1"}),
		l.Wire(End{s.Client2, "wan"}, End{s.Switch, "client2"}),
		l.Wire(End{s.Router, "lan"}, End{s.Switch, "router"}),
		l.Wire(End{s.Router, "wan"}, End{s.Gateway, "wan"}),
		l.Wire(End{s.Gateway, "lan"}, End{s.Server, "eth0"}),
		s.Switch.Bridge("br0", "client1", "client2", "router"),
		s.Host1.host(Host1), s.Host2.host(Host2), s.Server.host(Server),
	)
}

// host gives a namespace an address of a network whose router is at .254.
func (n *Namespace) host(a netip.Addr) error {
	router := a.As4()
	router[3] = 254
	return errors.Join(
		n.Address("eth0", netip.PrefixFrom(a, 24)),
		n.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.AddrFrom4(router)),
		n.NoSegmentation("eth0"),
	)
}
