package netstack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// buildStack makes the gVisor stack, which gets one NIC for each VLAN. It is kept
// tiny on purpose: each address and each route is looked at for every packet
// on the slow path (25 µs for 256 addresses were measured), so NAT addresses
// are not given to it; the link answers ARP for them.
func (r *Router) buildStack(c RouterConfig) error {
	r.neighbors = &neighbors{r: r, known: map[neighbor]frame.MAC{}}
	r.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4, udp.NewProtocol, tcpFactory(c.OwnTCP), newESPProtocol},
		Clock:              r.clock,
		HandleLocal:        true,
		NUDDisp:            r.neighbors,
	})
	r.stack.SetTransportProtocolHandler(frame.ProtoESP, r.espHandler)
	r.stack.SetNFTables(hooks{r})
	r.stack.SetNFTablesConfigured(true)
	if c.OwnTCP {
		return r.tameTCP()
	}
	return nil
}

// connect ends the making of the stack, once it has its interfaces.
func (r *Router) connect(c RouterConfig) error {
	for _, t := range c.Tunnels {
		if err := r.addTunnel(t); err != nil {
			return fmt.Errorf("tunnel %s: %w", t.Name, err)
		}
	}
	if err := tcpipError(r.stack.SetForwardingDefaultAndAllNICs(ipv4.ProtocolNumber, true)); err != nil {
		return fmt.Errorf("forwarding: %w", err)
	}
	if err := r.listen(c); err != nil {
		return err
	}
	r.proxy()
	if err := r.setRoutes(c.Routes); err != nil {
		return err
	}
	return r.beginTunnels(c)
}

// addInterface makes a NIC of a VLAN, with its addresses.
func (r *Router) addInterface(i *link.Interface, v VLAN) error {
	r.links = append(r.links, i)
	return r.addNIC(v.ID, v.Name, i, v.Addresses)
}

// addTunnel makes a NIC of a tunnel.
func (r *Router) addTunnel(t Tunnel) error {
	if r.routerOf[t.ID] != nil || t.ID == 0 {
		return fmt.Errorf("its number %d is taken by %q, or none", t.ID, r.names[t.ID])
	}
	if t.MTU < 0 || t.MTU > 0 && t.MTU < header.IPv4MinimumMTU { // the stack panics on such a way out
		return fmt.Errorf("its MTU is %d: IPv4 needs %d at least (RFC 791)", t.MTU, header.IPv4MinimumMTU)
	}
	nic := &tunnelNIC{Tunnel: t, r: r}
	r.tunnels = append(r.tunnels, nic)
	r.routerOf[t.ID], r.names[t.ID] = r, t.Name
	return r.addNIC(t.ID, t.Name, nic, t.Addresses)
}

func (r *Router) addNIC(id frame.Interface, name string, ep stack.LinkEndpoint, addresses []netip.Prefix) error {
	nic := tcpip.NICID(id)
	if err := tcpipError(r.stack.CreateNICWithOptions(nic, ep, stack.NICOptions{Name: name})); err != nil {
		return err
	}
	for _, a := range addresses {
		address := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFrom4(a.Addr().As4()), PrefixLen: a.Bits(),
		}}
		if err := tcpipError(r.stack.AddProtocolAddress(nic, address, stack.AddressProperties{})); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
		r.local[a.Addr().As4()] = true
		r.connected = append(r.connected, network{a.Addr().As4(), a.Masked(), id})
		if all, ok := broadcast(a); ok {
			r.broadcasts[all] = id
		}
	}
	return nil
}

// network is a subnet that one of our interfaces is in, with our address there.
type network struct {
	addr   frame.Addr
	subnet netip.Prefix
	nic    frame.Interface
}

// setRoutes gives the stack its table, which it keeps with the longest prefix
// first.
func (r *Router) setRoutes(routes []Route) error {
	var table []tcpip.Route
	for _, n := range r.connected {
		table = append(table, tcpip.Route{Destination: subnet(n.subnet), NIC: tcpip.NICID(n.nic)})
	}
	r.paths = paths(table) // a next hop is on a connected network
	for _, route := range routes {
		if route.Tunnel != 0 {
			if r.tunnelNIC(route.Tunnel) == nil {
				return fmt.Errorf("route %s: there is no tunnel %d", route.To, route.Tunnel)
			}
			table = append(table, tcpip.Route{Destination: subnet(route.To), NIC: tcpip.NICID(route.Tunnel)})
			continue
		}
		nic := r.home(route.Via.As4())
		if nic == 0 {
			return fmt.Errorf("route %s: next hop %s is on no connected network", route.To, route.Via)
		}
		table = append(table, tcpip.Route{
			Destination: subnet(route.To), Gateway: tcpip.AddrFrom4(route.Via.As4()), NIC: tcpip.NICID(nic),
		})
	}
	r.stack.SetRouteTable(table)
	r.paths = paths(table)
	return nil
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(p.Addr().As4()), PrefixLen: p.Bits()}.Subnet()
}

// tcpipError makes an error of the stack's own kind, which is not one.
func tcpipError(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s", err)
}
