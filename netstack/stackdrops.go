package netstack

import "gvisor.dev/gvisor/pkg/tcpip"

// StackDrop is a reason of gVisor's own, taken from its statistics.
type StackDrop struct {
	Word  string // stack_…
	Means string
	Do    string
	Count uint64
}

// StackDrops returns what the stack itself has dropped since the start. The
// fast path does not come by here.
func (r *Router) StackDrops() []StackDrop {
	st := r.stack.Stats()
	ip, fw, icmp := st.IP, st.IP.Forwarding, st.ICMP.V4
	rows := []struct {
		word, means, do string
		counter         *tcpip.StatCounter
	}{
		{"stack_ip_malformed", "IPv4 header malformed or its checksum wrong.", forged, ip.MalformedPacketsReceived},
		{"stack_fragment_malformed", "A fragment for the router itself that does not fit its datagram.", forged, ip.MalformedFragmentsReceived},
		{"stack_source_invalid", "The source is a broadcast, multicast or loopback address, or one of ours.", forged, ip.InvalidSourceAddressesReceived},
		{"stack_destination_invalid", "The destination is no address that can be forwarded to.", "Normal for multicast and broadcast.", ip.InvalidDestinationAddressesReceived},
		{"stack_no_route", "No route to the destination; the sender was told.", "Add a [route], or look for a scan.", fw.Unrouteable},
		{"stack_ttl_exceeded", "The time to live ran out; the sender was told.", "Normal for traceroute; otherwise look for a routing loop.", fw.ExhaustedTTL},
		{"stack_too_big", "Larger than the egress MTU with DF set; the sender was told.", "Normal for path MTU discovery.", fw.PacketTooBig},
		{"stack_host_unreachable", "The next hop does not answer ARP; the sender was told.", "Look at the cable, the VLAN and the next hop's address.", fw.HostUnreachable},
		{"stack_source_initializing", "The source is in 0.0.0.0/8.", "Normal for a host that starts.", fw.InitializingSource},
		{"stack_link_local", "A link-local address does not leave its link.", "None.", fw.LinkLocalDestination},
		{"stack_no_interface", "The egress interface is gone.", "Report it.", fw.UnknownOutputEndpoint},
		{"stack_send_failed", "A packet of the router's own could not be sent.", "Look at routes and neighbours.", ip.OutgoingPacketErrors},
		{"stack_icmp_rate_limited", "An ICMP answer that the rate limit kept back.", "Look for a scan or a flood.", icmp.PacketsSent.RateLimited},
	}
	out := make([]StackDrop, 0, len(rows))
	for _, row := range rows {
		out = append(out, StackDrop{row.word, row.means, row.do, row.counter.Value()})
	}
	return out
}

const forged = "Somebody sends broken or forged packets."
