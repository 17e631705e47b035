package metrics

import (
	"strconv"

	"spigate/cmd/internal/control"
)

func (t *text) nat(b control.Backend, m *control.Metered) {
	t.natTables(m)
	t.pools(b.LSNPools())
	t.groups(b.LSNGroupStats())
	t.helpers(b.LSNHelperStats())
}

func (t *text) natTables(m *control.Metered) {
	each := func(f *family, of func(*control.NATProtocolMeter) uint64) {
		for i := range m.NAT {
			td := strconv.Itoa(int(m.NAT[i].TD))
			for j := range m.NAT[i].Protocols {
				p := &m.NAT[i].Protocols[j]
				f.add(of(p), "protocol", lower(p.Protocol), "td", td)
			}
		}
	}
	each(t.family("nat_sessions", gauge, "Sessions of the NAT."), func(p *control.NATProtocolMeter) uint64 { return p.Sessions })
	each(t.family("nat_mappings", gauge, "Mappings of the NAT: outside ports and identifiers that are in use."), func(p *control.NATProtocolMeter) uint64 { return p.Mappings })
	each(t.family("nat_sessions_created_total", counter, "Sessions that were made."), func(p *control.NATProtocolMeter) uint64 { return p.Created })
	each(t.family("nat_dropped_packets_total", counter, "Packets for which there was no session; the reasons are among the drops."),
		func(p *control.NATProtocolMeter) uint64 { return p.Dropped })
	f := t.family("nat_limit", gauge, "Entries that a table of each traffic domain can have.")
	f.add(m.Limits.LSNSessions, "table", "nat_sessions")
	f.add(m.Limits.IKESessions, "table", "ike_sessions")
	f.add(m.Limits.ESPSessions, "table", "esp_sessions")
	f.add(m.Limits.Connections, "table", "connections")
}

func (t *text) pools(pools []control.LSNPool) {
	f := t.family("nat_pool_ports", gauge, "Outside ports and identifiers of a pool; held ones count as free.")
	for i := range pools {
		p := &pools[i]
		for _, use := range []struct {
			protocol string
			used     uint64
		}{{"tcp", p.UsedTCP}, {"udp", p.UsedUDP}, {"icmp", p.UsedICMP}} {
			f.add(use.used, "pool", p.Name, "protocol", use.protocol, "state", "used")
			f.add(p.Ports-min(p.Ports, use.used), "pool", p.Name, "protocol", use.protocol, "state", "free")
		}
	}
	f = t.family("nat_pool_held_ports", gauge, "Ports and identifiers of a pool, of all protocols, that wait before they are given again.")
	for i := range pools {
		f.add(pools[i].Held, "pool", pools[i].Name)
	}
	f = t.family("nat_blocks", gauge, "Blocks of ports of a pool that gives ports in blocks.")
	for i := range pools {
		if p := &pools[i]; p.Blocks > 0 {
			f.add(p.UsedBlocks, "pool", p.Name, "state", "used")
			f.add(p.Blocks-min(p.Blocks, p.UsedBlocks), "pool", p.Name, "state", "free")
		}
	}
	f = t.family("nat_pool_addresses", gauge, "Addresses of a pool.")
	for i := range pools {
		f.add(pools[i].AddressCount, "pool", pools[i].Name)
	}
}

func (t *text) groups(groups []control.LSNStat) {
	f := t.family("nat_subscribers", gauge, "Subscribers of a group that have a session.")
	for i := range groups {
		f.add(groups[i].Subscribers, "group", *groups[i].Group)
	}
	each := func(f *family, of func(*control.LSNProtocol) (rx, tx uint64)) {
		for i := range groups {
			for j := range groups[i].Protocols {
				p := &groups[i].Protocols[j]
				rx, tx := of(p)
				f.add(rx, "group", *groups[i].Group, "protocol", lower(p.Protocol), "dir", "out2in")
				f.add(tx, "group", *groups[i].Group, "protocol", lower(p.Protocol), "dir", "in2out")
			}
		}
	}
	each(t.family("nat_packets_total", counter, "Packets that the sessions of a group have carried."),
		func(p *control.LSNProtocol) (uint64, uint64) { return p.RxPackets, p.TxPackets })
	each(t.family("nat_bytes_total", counter, "Bytes of the same packets."),
		func(p *control.LSNProtocol) (uint64, uint64) { return p.RxBytes, p.TxBytes })
}

func (t *text) helpers(helpers []control.LSNHelperStat) {
	f := t.family("nat_helper_opened_total", counter, "Ways that a helper has opened for a further connection of its protocol.")
	for _, h := range helpers {
		f.add(h.Counters["opened"], "helper", h.Name, "td", strconv.Itoa(int(h.TD)))
	}
}

func (t *text) alg(b control.Backend, m *control.Metered) {
	st, err := b.IPsecStat("")
	if err != nil {
		return // only a profile that is not there is refused
	}
	f := t.family("ipsec_sessions", gauge, "Sessions of the IPsec ALG.")
	f.add(st.Active, "kind", "esp", "state", "established")
	f.add(st.ESPSessions-min(st.ESPSessions, st.Active), "kind", "esp", "state", "half")
	f.add(st.IKESessions-min(st.IKESessions, st.IKEHalfOpen), "kind", "ike", "state", "established")
	f.add(st.IKEHalfOpen, "kind", "ike", "state", "half")
	f = t.family("ipsec_gates", gauge, "Pairs of NAT address and server with a lock, an open gate or a waiter.")
	for _, n := range m.NAT {
		f.add(n.Gates, "td", strconv.Itoa(int(n.TD)))
	}
	t.gauge("ipsec_waiting_messages", "Phase-2 messages that wait for a lock.", st.Blocked)
	t.counter("ipsec_sessions_established_total", "ESP sessions that saw both directions.", st.Total)
	t.counter("ipsec_gate_timeouts_total", "Gates that closed without ESP in both directions.", st.GateTimeout)
	t.counter("ipsec_gate_failures_total", "Phase-2 requests without an answer, or with an error for one.", st.GateFail)
	t.counter("ipsec_late_bindings_total", "Sessions that found their SPI without a gate.", st.LateBind)
	t.counter("ipsec_held_messages_total", "Phase-2 messages that had to wait.", st.P2Held)
	f = t.family("ipsec_packets_total", counter, "ESP packets of sessions; those of the fast path are a second late.")
	f.add(st.RxPackets, "dir", "out2in")
	f.add(st.TxPackets, "dir", "in2out")
	f = t.family("ipsec_faults_total", counter, "What the IPsec ALG did not let pass, or wondered about.")
	for _, fault := range []struct {
		word string
		n    uint64
	}{
		{"esp_no_gate_in", st.ESPNoGateIn}, {"esp_no_gate_out", st.ESPNoGateOut}, {"ike_half_limit", st.IKEHalfLimit},
		{"malformed_ike", st.MalformedIKE}, {"p2_dropped", st.P2Dropped}, {"seq_reject", st.SeqReject},
		{"spi_collision_suspect", st.SPICollisionSuspect}, {"stale_spi", st.StaleSPI},
	} {
		f.add(fault.n, "fault", fault.word)
	}
}
