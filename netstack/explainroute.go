package netstack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// What the stack decides between our hooks, without asking it to do anything.

// stackDrop ends the walk for a reason of the stack's own.
func (x *explainer) stackDrop(word, says, rule, told string) bool {
	x.say(says, rule)
	x.found[len(x.found)-1].Verdict = Dropped
	x.fate.End, x.fate.Stack, x.fate.Told = EndDropped, word, told
	return false
}

// arrival is what the stack looks at before prerouting.
func (x *explainer) arrival() bool {
	x.hook, x.step = "arrival", ""
	src, dst := tcpip.AddrFrom4(x.p.Src), tcpip.AddrFrom4(x.p.Dst)
	switch {
	case !header.IPv4(x.p.Bytes()).IsChecksumValid():
		return x.stackDrop("stack_ip_malformed", "the checksum of its IPv4 header is wrong", "RFC 1812 section 5.2.2", "")
	case header.IsV4LoopbackAddress(src):
		return x.stackDrop("stack_source_invalid", "its source is a loopback address", "RFC 1122 section 3.2.1.3", "")
	case header.IsV4LoopbackAddress(dst):
		return x.stackDrop("stack_destination_invalid", "its destination is a loopback address", "RFC 1122 section 3.2.1.3", "")
	case x.r.isLocal(x.p.Src) && x.r.home(x.p.Src) == x.p.in:
		return x.stackDrop("stack_source_invalid", "its source is our own address on this VLAN", "", "")
	case x.p.Src == allOnes, x.r.broadcasts[x.p.Src] == x.p.in:
		return x.stackDrop("stack_source_invalid", "its source is a broadcast address", "RFC 1122 section 3.2.1.3", "")
	}
	return true
}

// route is what the stack does between prerouting and forward. It reports
// whether the packet is to be forwarded.
func (x *explainer) route() bool {
	x.hook, x.step = "route", ""
	p := &x.p
	switch {
	case p.Src[0] >= 224 && p.Src[0] < 240:
		return x.stackDrop("stack_source_invalid", "its source is a group", "RFC 1122 section 3.2.1.3", "")
	case p.Dst[0] >= 224 && p.Dst[0] < 240:
		if in, err := x.r.stack.IsInGroup(tcpip.NICID(p.in), tcpip.AddrFrom4(p.Dst)); err == nil && in {
			return x.delivered()
		}
		return x.stackDrop("stack_destination_invalid", "its destination is a group: groups are not forwarded", "", "")
	case x.r.isLocal(p.Dst) && x.r.home(p.Dst) == p.in, p.Dst == allOnes, x.r.toMany(p):
		return x.delivered()
	case p.Src[0] == 0:
		return x.stackDrop("stack_source_initializing", "its source is in 0.0.0.0/8", "RFC 6890", "")
	case p.TTL() == 0:
		return x.stackDrop("stack_ttl_exceeded", "its time to live runs out here", "RFC 1812 section 5.3.1", "ICMP 11/0 (time exceeded)")
	case !x.r.isLocal(p.Dst):
		return x.way()
	case x.r.broadcasts[p.Src] == x.r.home(p.Dst): // our address on another network, which looks at it anew
		return x.stackDrop("stack_source_invalid", "its source is the broadcast address of the network that it goes to", "RFC 1122 section 3.2.1.3", "")
	}
	return x.delivered()
}

var allOnes = frame.Addr{255, 255, 255, 255}

// way looks the destination up in the routing table.
func (x *explainer) way() bool {
	p := &x.p
	route, err := x.r.stack.FindRoute(0, tcpip.Address{}, tcpip.AddrFrom4(p.Dst), ipv4.ProtocolNumber, false)
	if err != nil {
		return x.stackDrop("stack_no_route", "no route leads to "+p.Dst.String(), "VR14", "ICMP 3/0 (network unreachable)")
	}
	defer route.Release()
	next := route.NextHop()
	if next.Len() == 0 {
		next = route.RemoteAddress()
	}
	p.out, x.fate.Out, x.fate.Next = frame.Interface(route.NICID()), frame.Interface(route.NICID()), next.As4()
	switch t := x.r.tunnelNIC(p.out); {
	case t != nil:
		x.fate.Next = frame.Addr{}
		x.sayOf(Object{ObjectRoute, x.r.routeTo(p.Dst).String()}, "into the tunnel "+t.Name, "VR30")
	case x.fate.Next == p.Dst:
		x.sayOf(x.interfaceObject(p.out), fmt.Sprintf("%v is on the network of %s", p.Dst, x.r.names[p.out]), "")
	default:
		of := Object{ObjectRoute, x.r.routeTo(p.Dst).String()}
		x.sayOf(of, fmt.Sprintf("by %v on %s", x.fate.Next, x.r.names[p.out]), "")
	}
	_, x.fate.Known = x.r.neighbors.mac(neighbor{p.out, x.fate.Next})
	return true
}

// routeTo returns the destination of the route that a packet to a takes.
func (r *Router) routeTo(a frame.Addr) netip.Prefix {
	for _, route := range r.stack.GetRouteTable() { // the longest prefix first
		if route.Destination.Contains(tcpip.AddrFrom4(a)) {
			id := route.Destination.ID()
			return netip.PrefixFrom(netip.AddrFrom4(id.As4()), route.Destination.Prefix())
		}
	}
	return netip.Prefix{}
}

// delivered ends the walk of a packet for the router itself.
func (x *explainer) delivered() bool {
	if !x.ask("input", input) {
		return false
	}
	x.hook, x.step, x.fate.End = "input", "", EndDelivered
	switch p := &x.p; {
	case p.Dst[0] >= 224, x.r.toMany(p):
		x.say("it is for all hosts of its network, and for us as one of them: it is not forwarded", "")
	case p.Proto == frame.ProtoICMP && p.ICMPType == uint8(header.ICMPv4Echo):
		x.sayOf(x.interfaceObject(x.r.home(p.Dst)), "it is for us, and a ping is answered", "")
		x.fate.Told = "ICMP 0/0 (echo reply)"
	case x.r.ends.Load() != nil && x.r.ends.Load().locals[p.Dst] && forTunnels(p):
		x.say("it goes to IKE", "VR1")
	default:
		x.sayOf(x.interfaceObject(x.r.home(p.Dst)), fmt.Sprintf("%v is our own address", p.Dst), "VR2")
	}
	return false
}

// leave ends the walk of a packet that leaves.
func (x *explainer) leave() {
	x.hook, x.step = "exit", ""
	p := &x.p
	if most := x.r.mtu(p.out); len(p.Bytes()) > most {
		if p.DontFragment() {
			x.stackDrop("stack_too_big", fmt.Sprintf("it is longer than the MTU of %s, %d, and must not be cut", x.r.names[p.out], most),
				"RFC 1191", fmt.Sprintf("ICMP 3/4 with the MTU %d", most))
			return
		}
		x.say(fmt.Sprintf("it is cut to the MTU of %s, %d", x.r.names[p.out], most), "")
	}
	if x.r.tunnelNIC(p.out) != nil {
		x.via()
		return
	}
	if !x.isUp(p.out) {
		return
	}
	if !x.fate.Known {
		x.say(fmt.Sprintf("the MAC address of %v is not known: ARP asks first, and without an answer it ends as stack_host_unreachable", x.fate.Next), "")
	}
	x.fate.End = EndForwarded
}

// isUp ends the walk of a packet whose port cannot send.
func (x *explainer) isUp(out frame.Interface) bool {
	i := x.r.interfaces[out]
	if i == nil || i.Up() {
		return true
	}
	x.end(x.interfaceObject(out), fmt.Sprintf("port %s, which it would leave by, has no carrier or is down", i.PortName()), "", dropped(drop.PortDown))
	return false
}
