package drop

// Info is one row of the table of reasons.
type Info struct {
	Word  string // snake_case, stable: counters, logs, JSON
	Means string // what happened, one sentence for the operator
	Do    string // what to do about it
	Rule  string // the rule of the specification or the RFC it follows from, if any
}

var table = [NumReasons]Info{
	None: {Word: "none"},

	FrameShort: {"frame_short", "The frame is shorter than its Ethernet header.", "Look at the cable and the driver of the port.", ""},
	NotForUs: {"not_for_us", "The destination MAC address is neither ours nor a group address.",
		"Normal on a hub or in promiscuous mode; otherwise a switch is flooding.", ""},
	VLANMiss:  {"vlan_miss", "The frame's VLAN is not configured on its port.", "Add a [vlan.NAME] with this id, or remove it from the trunk.", ""},
	EtherType: {"ethertype", "The frame carries neither IPv4 nor ARP.", "Normal for IPv6 and LLDP: they are not forwarded.", ""},
	RxRingFull: {"rx_ring_full", "The kernel's receive ring was full: frames arrived faster than they were read.",
		"The machine is too slow for this load, or another process starves it.", ""},
	TxRefused: {"tx_refused", "The port's driver did not take the frame for sending.", "The transmit queue is full: the egress port is slower than the traffic.", ""},
	PortDown:  {"port_down", "The egress port has no carrier or is administratively down.", "Look at the cable and at `ip link`.", ""},
	FrameTooBig: {"frame_too_big", "The frame is longer than the port can send.",
		"A peer uses a larger MTU than this port; check offloads (GRO) on the ingress port.", ""},
	StackPanic: {"stack_panic", "The TCP/IP stack failed on this packet and was recovered.", "Report it, with a capture.", ""},
	ARPMalformed: {"arp_malformed", "An ARP message that is cut short, not about IPv4 over Ethernet, or names no station as its sender.",
		"Somebody sends broken or forged ARP.", "RFC 826"},

	IPMalformed: {"ip_malformed", "The IPv4 header is short, or its lengths contradict the frame.", "Somebody sends broken or forged packets.", "RFC 791"},
	L4Malformed: {"l4_malformed", "The transport header is cut, or its length field lies.", "Somebody sends broken or forged packets.", ""},
	Fragment: {"fragment", "An IP fragment of an ICMP error, which can only be translated whole.",
		"No honest host sends one: errors are short. Somebody forges them.", "R29, RFC 1812 section 4.3.2.3"},
	Broadcast: {"broadcast", "A packet to one host in a broadcast frame, or one to the broadcast address of another network: neither is forwarded.",
		"Normal now and then; a stream of it is a loop or an amplification attack.", "RFC 1812 section 5.3.4, RFC 2644"},
	IPOptions: {"ip_options", "A packet that needs translation, with an IP option that records or dictates its route: those hold addresses of both sides.",
		"Send without the option (ping -R, ping -T, source routing).", "RFC 7126"},
	FragmentOverflow: {"fragment_overflow", "An IP fragment for which there was no room: too many unfinished datagrams of its sender or altogether, or no free IPv4 id.",
		"Lower the sender's MTU; otherwise look for a flood of fragments.", "R29"},
	FragmentTimeout: {"fragment_timeout", "An IP fragment that waited for the others of its datagram in vain.",
		"Pieces are lost or filtered on the way to us.", "R29"},
	FragmentMalformed: {"fragment_malformed", "An IP fragment that overlaps or contradicts another, reaches beyond 65535 bytes, or is a first one without a whole transport header.",
		"Somebody sends broken or forged packets.", "RFC 1858, RFC 3128"},
	FragmentDuplicate: {"fragment_duplicate", "An IP fragment that repeats what has passed already.",
		"Normal in small numbers: the network doubled a packet.", "RFC 5722"},

	ClientNotReachable: {"client_not_reachable", "Somebody who is no subscriber sent to a subscriber's inside address.",
		"Subscribers are reached through their NAT address only; check routes of the neighbour.", "R13"},
	NoMapping: {"no_mapping", "A packet to a NAT address for which no mapping exists.", "Normal background noise of the Internet, or a mapping that timed out.", "R19"},
	Filtered:  {"filtered", "A mapping exists, but its filtering does not admit this remote endpoint.", "Set filtering to EIF or ADF in the application profile, if wanted.", "R19"},
	ProtocolUnsupported: {"protocol_unsupported", "A subscriber's packet of a protocol that address and port translation cannot carry.",
		"Give the subscriber an address of its own (static mapping).", ""},
	NoFreePort:       {"no_free_port", "The subscriber's NAT address has no free port for this protocol.", "Add addresses to the pool, or shorten timeouts.", "R14"},
	NotSYN:           {"not_syn", "A TCP segment without SYN that belongs to no session.", "Normal after a restart; switch off syn_check to let such sessions be picked up.", "R24"},
	SessionTableFull: {"session_table_full", "The session table is at its configured size.", "Raise the limit, or look for a subscriber that floods.", "R20"},
	Hairpin:          {"hairpin", "A subscriber sent to a NAT address of ours: hairpinning is not supported yet.", "Use the inside address.", "R26"},
	NATAddressSpoofed: {"nat_address_spoofed", "A packet came in with one of our own or NAT addresses as its source.",
		"Somebody forges addresses, or a loop sends our packets back.", ""},
	ClientSpoofed: {"client_spoofed", "A packet with a subscriber's address as its source came in where no route but the default one leads to that subscriber.",
		"Somebody forges addresses, or a [route] to the subscriber's network is missing.", "RFC 3704"},
	InsideAddress: {"inside_address", "A packet would have left with a subscriber's address in it, by an interface that does not lead to that subscriber.",
		"Add a [route] to the subscriber's network.", "R13"},

	ICMPMalformed: {"icmp_malformed", "An ICMP error whose quoted packet is too short to name a flow.", "Somebody sends broken or forged errors.", "R74"},
	ICMPNoFlow:    {"icmp_no_flow", "An ICMP error about a flow that we do not have.", "Normal for flows that timed out; otherwise forged.", "R74"},
	ICMPAmbiguous: {"icmp_ambiguous", "An ICMP error about an SPI that two subscribers use towards this server.", "None: the owner cannot be told apart.", "R74"},

	AH:        {"ah", "IPsec AH covers the addresses and cannot pass a NAT.", "Use ESP.", "R36"},
	ESPShort:  {"esp_short", "An ESP packet with less than its 8 byte header.", "Somebody sends broken or forged packets.", "RFC 4303"},
	ESPBadSPI: {"esp_bad_spi", "SPI 0 to 255 is reserved and never on the wire.", "Somebody sends broken or forged packets.", "section 5 step 1"},
	ESPNoNATAddress: {"esp_no_nat_address", "A subscriber sends ESP but has no NAT address: it never spoke IKE through us.",
		"The client's IKE goes another way, or it uses manual keys: give it a static address.", "R37"},
	ESPNoGateOut:    {"esp_no_gate_out", "Outbound ESP with an unknown SPI while no gate of its sender is open.", "Look at `show ipsecalg gate`; the client negotiates anew by itself.", "section 5 step 5"},
	ESPNoGateIn:     {"esp_no_gate_in", "Inbound ESP with an unknown SPI while no gate for this server is open.", "Normal for tunnels that ended; otherwise a gate timed out too early.", "section 5 step 5"},
	ESPSeq:          {"esp_seq", "Inbound ESP at an open gate, with a sequence number too high for a new SA.", "A tunnel from before the restart, or a forgery.", "R65"},
	ESPStaleSPI:     {"esp_stale_spi", "Inbound ESP with the SPI of a session that has ended.", "A server still sends to a client that is gone.", "R69"},
	ESPHairpin:      {"esp_hairpin", "ESP between two subscribers through their NAT addresses.", "Not supported; use the inside addresses.", "R26"},
	IKEHalfLimit:    {"ike_half_limit", "The subscriber has too many half-open IKE sessions.", "A client that cannot reach its server, or a flood.", "R41"},
	IKESessionLimit: {"ike_session_limit", "The subscriber has too many IKE sessions.", "A flood, or a gateway of gateways behind one address.", "R41"},
	IKEHoldOverflow: {"ike_hold_overflow", "Too many phase-2 messages wait for the same server.", "The IKE peer retransmits; look at `show ipsecalg gate`.", "R58"},
	IKEHoldExpired:  {"ike_hold_expired", "A phase-2 message waited longer than the gate timeout.", "The IKE peer retransmits; look at `show ipsecalg gate`.", "R58"},
	IKEBlocked:      {"ike_blocked", "A phase-2 message met a taken lock, and block_mode is drop.", "The IKE peer retransmits; block_mode = \"hold\" is faster.", "R58"},
	IKEFlushed:      {"ike_flushed", "A held phase-2 message was removed by a flush or with its IKE session.", "None.", "N29"},
	ALGTableFull:    {"alg_table_full", "The ALG's table is at its configured size.", "Look for a flood; raise the limit.", ""},
}
