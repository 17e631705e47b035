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
	forged = "None: nobody can tell what it was. Somebody sends broken or forged packets."
	noise  = "None: it is about somebody else. Normal noise of a network."
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
		{"stack_disabled", "The interface was not up yet, or already ended.", "None: normal while the router starts or ends.", of(nics.DisabledRx.Packets, ip.DisabledPacketsReceived, arp.DisabledPacketsReceived)},
		{"stack_ip_malformed", "IPv4 header or options malformed, or the header's checksum wrong.", "Its sender repeats it, undamaged: look at cables and links. Otherwise somebody sends broken or forged packets.", of(ip.MalformedPacketsReceived)},
		{"stack_source_invalid", "The source is a broadcast, multicast or loopback address, or one of ours.", "None: nobody may send from those. Somebody forges addresses, or a loop sends our packets back.", of(ip.InvalidSourceAddressesReceived)},
		{"stack_destination_invalid", "The destination is no address that can be forwarded to.", "None: groups and broadcasts are not forwarded. Normal in any network.", of(ip.InvalidDestinationAddressesReceived)},

		// On the way through.
		{"stack_source_initializing", "The source is in 0.0.0.0/8.", "The host waits until it has an address: normal while it starts.", of(fw.InitializingSource)},
		{"stack_link_local", "A link-local address does not leave its link.", "None: such addresses mean nothing elsewhere.", of(fw.LinkLocalSource, fw.LinkLocalDestination)},
		{"stack_ttl_exceeded", "The time to live ran out; the sender was told.", "Normal for traceroute; otherwise look for a routing loop, or a host that sends with too short a time to live.", of(fw.ExhaustedTTL)},
		{"stack_no_route", "No route to the destination; the sender was told.", "Add a [route], or look for a scan.", of(fw.Unrouteable)},
		{"stack_too_big", "Larger than the egress MTU with DF set; the sender was told.", "Its sender makes it shorter, as ICMP tells it to: normal for path MTU discovery. Many: ICMP does not get through to it.", of(fw.PacketTooBig)},
		{"stack_host_unreachable", "The next hop does not answer ARP; the sender was told.", "Look at the cable, the VLAN and the next hop's address.", of(fw.HostUnreachable)},
		{"stack_no_interface", "The egress interface is gone or takes nothing.", "Report it.",
			of(fw.UnknownOutputEndpoint, fw.OutgoingDeviceClosedForSend, fw.OutgoingDeviceNoBufferSpace, nics.TxPacketsDroppedNoBufferSpace)},
		{"stack_send_failed", "A packet was not sent: mostly one that waited for ARP in vain, or with too many others.", "Look at routes and neighbours.", of(ip.OutgoingPacketErrors)},

		// For the router itself.
		{"stack_fragment_malformed", "A fragment for the router itself that does not fit its datagram.", forged, of(ip.MalformedFragmentsReceived)},
		{"stack_l4_malformed", "A transport header for the router itself is cut, or its checksum wrong.", forged,
			of(nics.MalformedL4RcvdPackets, st.UDP.MalformedPacketsReceived, st.UDP.ChecksumErrors)},
		{"stack_no_listener", "A UDP port of the router itself that nobody listens on; the sender was told.", "None: nobody listens there. Normal for a scan.", of(st.UDP.UnknownPortErrors)},
		{"stack_unwanted", "A packet for the router itself that no part of it takes.", "None: nobody takes it. Normal for a scan.", of(st.DroppedPackets)},
		{"stack_icmp_invalid", "An ICMP message for the router itself that is malformed or of no known kind.", "Its sender repeats it, undamaged. Otherwise normal noise of a network.", of(icmp.PacketsReceived.Invalid)},
		{"stack_icmp_rate_limited", "An ICMP answer that the rate limit kept back.", "None: the limit protects our neighbours. Look for a scan or a flood.", of(icmp.PacketsSent.RateLimited)},
		{"stack_icmp_send_failed", "An ICMP answer that could not be sent.", "Look at routes and neighbours.", of(icmp.PacketsSent.Dropped)},

		// In ARP.
		{"stack_arp_malformed", "An ARP message that is malformed, or whose answer is no station.", forged, of(arp.MalformedPacketsReceived, nics.Neighbor.DroppedInvalidLinkAddressConfirmations)},
		{"stack_arp_not_ours", "An ARP request for an address of somebody else.", noise, of(arp.RequestsReceivedUnknownTargetAddress)},
		{"stack_arp_unasked", "An ARP answer that nobody asked for.", "None: nobody waits for it. Normal when a host comes up; a stream of it is ARP spoofing.", of(nics.Neighbor.DroppedConfirmationForNoninitiatedNeighbor)},
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
