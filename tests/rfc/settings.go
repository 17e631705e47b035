package rfc

import (
	"net/netip"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// Hosts of these tests: two subscribers, two ports of one server, a second
// server on the spot and one behind the default route.
var (
	alice = at("192.0.2.11:5000")
	bob   = at("192.0.2.12:5000")
	yes   = at("203.0.113.77:7000")
	yes2  = at("203.0.113.77:7001")
	zed   = at("203.0.113.78:7000")
	far   = at("198.51.100.7:7000")
	nat   = [2]frame.Addr{{203, 0, 113, 3}, {203, 0, 113, 4}}
)

// group is one group over 192.0.2.0/25 with two NAT addresses, paired, with
// NetScaler's timers.
func group(m lsn.Mapping, f lsn.Filtering, change ...func(*lsn.Config)) settings {
	c := lsn.Config{
		Clients: []lsn.Client{{Name: "C", Networks: []netip.Prefix{homes}}},
		Pools:   []lsn.Pool{{Name: "P", Ranges: []lsn.Range{{First: nat[0], Last: nat[1]}}, MaxReallocQueue: lsn.MaxReallocQueue}},
		Groups:  []lsn.Group{{Name: "G", Client: "C", Pools: []string{"P"}}},
	}
	for _, proto := range []uint8{frame.ProtoTCP, frame.ProtoUDP, frame.ProtoICMP} {
		c.Groups[0].Apps = append(c.Groups[0].Apps, lsn.AppProfile{Name: "A", Proto: proto, Pooling: lsn.Paired, Mapping: m, Filtering: f})
	}
	for _, fn := range change {
		fn(&c)
	}
	return settings{lsn: c}
}

// one takes the second NAT address away.
func one(c *lsn.Config) { c.Pools[0].Ranges[0].Last = nat[0] }

// transport sets the transport profile of a protocol.
func transport(p lsn.TransportProfile) func(*lsn.Config) {
	return func(c *lsn.Config) { c.Groups[0].Transports = append(c.Groups[0].Transports, p) }
}

const tick = time.Nanosecond
