package control

import "net/netip"

// Connection is a row of "show sys connection": a connection that a virtual
// server, a NAT or a SNAT admitted. CS is the side of the client, who sent the
// first packet, with the addresses as they stand in its packets; SS is the
// other side, with the addresses as they are sent on to it. Ports are 0 where
// the protocol has none; for ICMP queries the client's is the identifier.
type Connection struct {
	CSClientIP   netip.Addr `json:"cs_client_ip"`
	CSClientPort uint16     `json:"cs_client_port"`
	CSServerIP   netip.Addr `json:"cs_server_ip"`
	CSServerPort uint16     `json:"cs_server_port"`
	SSClientIP   netip.Addr `json:"ss_client_ip"`
	SSClientPort uint16     `json:"ss_client_port"`
	SSServerIP   netip.Addr `json:"ss_server_ip"`
	SSServerPort uint16     `json:"ss_server_port"`
	Protocol     string     `json:"protocol"`
	State        string     `json:"state"` // handshake, established or closing
	Idle         Seconds    `json:"idle_seconds"`
	Age          Seconds    `json:"age_seconds"`
	Left         *Seconds   `json:"expires_seconds"` // without another packet; null: never
	PacketsIn    uint64     `json:"packets_in"`      // from the client
	BytesIn      uint64     `json:"bytes_in"`        // of IP
	PacketsOut   uint64     `json:"packets_out"`
	BytesOut     uint64     `json:"bytes_out"`
	Kind         string     `json:"kind"`    // of the object that admitted it: NounVirtual, NounNAT or NounSNAT
	Virtual      string     `json:"virtual"` // its name
	TD           uint16     `json:"td"`
}

// FiltersOfConnections returns the filters of "show sys connection". A source
// or destination is one on either side: before translation or after it.
func FiltersOfConnections() []string { return []string{BySourceIP, ByDestIP, ByVirtual, ByTD} }

func (c Connection) passes(f *Filter) bool {
	return (is(f.SourceIP, c.CSClientIP) || is(f.SourceIP, c.SSClientIP)) &&
		(is(f.DestIP, c.CSServerIP) || is(f.DestIP, c.SSServerIP)) &&
		(f.Virtual == "" || f.Virtual == c.Virtual) && f.in(c.TD)
}
