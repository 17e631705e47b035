package netstack

import "gvisor.dev/gvisor/pkg/tcpip"

// StackDrop is a reason of gVisor's own, taken from its statistics.
type StackDrop struct {
	Word  string // stack_…
	Means string
	Do    string
	Count uint64
}

const (
	forged = "Somebody sends broken or forged packets."
	noise  = "Normal noise of a network."
)

// StackDrops returns what the stacks of all Routers together have dropped since
// the start. The fast path does not come by here.
func (ch *Chassis) StackDrops() (all []StackDrop) {
	for _, r := range ch.routers {
		of := r.StackDrops()
		if all == nil {
			all = of
			continue
		}
		for i := range of {
			all[i].Count += of[i].Count
		}
	}
	return all
}

// StackDrops returns what the Router's own stack has dropped since the start.
func (r *Router) StackDrops() []StackDrop {
	st := r.stack.Stats()
	ip, fw, icmp, arp, nics := st.IP, st.IP.Forwarding, st.ICMP.V4, st.ARP, st.NICs
	rows := []struct {
		word, means, do string
		counters        []*tcpip.StatCounter
	}{
		// On arrival.
		{"stack_disabled", "The interface was not up yet, or already ended.", "None.", of(nics.DisabledRx.Packets, ip.DisabledPacketsReceived, arp.DisabledPacketsReceived)},
		{"stack_ip_malformed", "IPv4 header or options malformed, or the header's checksum wrong.", forged, of(ip.MalformedPacketsReceived)},
		{"stack_source_invalid", "The source is a broadcast, multicast or loopback address, or one of ours.", forged, of(ip.InvalidSourceAddressesReceived)},
		{"stack_destination_invalid", "The destination is no address that can be forwarded to.", "Normal for multicast and broadcast.", of(ip.InvalidDestinationAddressesReceived)},

		// On the way through.
		{"stack_source_initializing", "The source is in 0.0.0.0/8.", "Normal for a host that starts.", of(fw.InitializingSource)},
		{"stack_link_local", "A link-local address does not leave its link.", "None.", of(fw.LinkLocalSource, fw.LinkLocalDestination)},
		{"stack_ttl_exceeded", "The time to live ran out; the sender was told.", "Normal for traceroute; otherwise look for a routing loop.", of(fw.ExhaustedTTL)},
		{"stack_no_route", "No route to the destination; the sender was told.", "Add a [route], or look for a scan.", of(fw.Unrouteable)},
		{"stack_too_big", "Larger than the egress MTU with DF set; the sender was told.", "Normal for path MTU discovery.", of(fw.PacketTooBig)},
		{"stack_host_unreachable", "The next hop does not answer ARP; the sender was told.", "Look at the cable, the VLAN and the next hop's address.", of(fw.HostUnreachable)},
		{"stack_no_interface", "The egress interface is gone or takes nothing.", "Report it.",
			of(fw.UnknownOutputEndpoint, fw.OutgoingDeviceClosedForSend, fw.OutgoingDeviceNoBufferSpace, nics.TxPacketsDroppedNoBufferSpace)},
		{"stack_send_failed", "A packet was not sent: mostly one that waited for ARP in vain, or with too many others.", "Look at routes and neighbours.", of(ip.OutgoingPacketErrors)},

		// For the router itself.
		{"stack_fragment_malformed", "A fragment for the router itself that does not fit its datagram.", forged, of(ip.MalformedFragmentsReceived)},
		{"stack_l4_malformed", "A transport header for the router itself is cut, or its checksum wrong.", forged,
			of(nics.MalformedL4RcvdPackets, st.UDP.MalformedPacketsReceived, st.UDP.ChecksumErrors)},
		{"stack_no_listener", "A UDP port of the router itself that nobody listens on; the sender was told.", "Normal for a scan.", of(st.UDP.UnknownPortErrors)},
		{"stack_unwanted", "A packet for the router itself that no part of it takes.", "Normal for a scan.", of(st.DroppedPackets)},
		{"stack_icmp_invalid", "An ICMP message for the router itself that is malformed or of no known kind.", noise, of(icmp.PacketsReceived.Invalid)},
		{"stack_icmp_rate_limited", "An ICMP answer that the rate limit kept back.", "Look for a scan or a flood.", of(icmp.PacketsSent.RateLimited)},
		{"stack_icmp_send_failed", "An ICMP answer that could not be sent.", "Look at routes and neighbours.", of(icmp.PacketsSent.Dropped)},

		// In ARP.
		{"stack_arp_malformed", "An ARP message that is malformed, or whose answer is no station.", forged, of(arp.MalformedPacketsReceived, nics.Neighbor.DroppedInvalidLinkAddressConfirmations)},
		{"stack_arp_not_ours", "An ARP request for an address of somebody else.", noise, of(arp.RequestsReceivedUnknownTargetAddress)},
		{"stack_arp_unasked", "An ARP answer that nobody asked for.", "Normal when a host comes up; a stream of it is ARP spoofing.", of(nics.Neighbor.DroppedConfirmationForNoninitiatedNeighbor)},
		{"stack_arp_send_failed", "An ARP message that could not be sent.", "Give the VLAN an address.",
			of(arp.OutgoingRequestsDropped, arp.OutgoingRepliesDropped, arp.OutgoingRequestBadLocalAddressErrors, arp.OutgoingRequestInterfaceHasNoLocalAddressErrors)},
	}
	out := make([]StackDrop, 0, len(rows))
	for _, row := range rows {
		d := StackDrop{Word: row.word, Means: row.means, Do: row.do}
		for _, c := range row.counters {
			d.Count += c.Value()
		}
		out = append(out, d)
	}
	return out
}

func of(counters ...*tcpip.StatCounter) []*tcpip.StatCounter { return counters }
