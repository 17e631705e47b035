package wire

import (
	"encoding/binary"
	"runtime"

	"spigate/netstack/frame"
)

// unmoved are words of the stack's that no packet of these worlds moves.
var unmoved = map[string]string{
	"stack_disabled":         "interfaces are up before the first frame",
	"stack_link_local":       "such addresses are nobody's, and no listener admits them",
	"stack_no_interface":     "interfaces last as long as their router",
	"stack_icmp_send_failed": "the router's own answers have their route",
	"stack_unwanted":         "what is for the router is refused by its own steps first",
	"stack_arp_malformed":    "arp_malformed comes first",
	"stack_arp_send_failed":  "a VLAN without an address has no neighbours",
}

// arpOf is an ARP message of a host.
func arpOf(op byte, about, sender frame.Addr) func(u *ruined) (port, vlan string) {
	return func(u *ruined) (string, string) {
		p, vlan := u.from("client1", nil)
		u.ethernet = arp(op, &host{addr: sender}, about, u.cables[0].near.MAC(), frame.MAC{})
		return p, vlan
	}
}

// ruinsOfStack are those of the TCP/IP stack's own words.
func ruinsOfStack() []ruin {
	const silent = "client1 udp to=203.0.113.77"
	const there = "host late wan 203.0.113.77"
	route := "[route.\"0.0.0.0/0\"]\nvia = \"203.0.113.254\"\n"
	broken := func(b []byte) []byte { b[len(b)-1] ^= 0x55; return b }
	return []ruin{
		{reason: "stack_ip_malformed", packet: "client1 udp", change: spoiled(frame.HeaderLen+10, 0x77),
			remedy: &remedy{what: "its sender repeats it, undamaged", whole: true}},
		{reason: "stack_source_invalid", packet: "client1 udp from=127.0.0.1", none: "such an address is nobody's"},
		{reason: "stack_destination_invalid", packet: "client1 udp to=239.1.1.1", none: "groups are not forwarded"},
		{reason: "stack_source_initializing", packet: "client1 udp from=0.0.0.5", more: "[ltm.virtual.any]\ndestination = \"203.0.113.0/24:any\"\nip_forward = true\n",
			remedy: &remedy{what: "the host waits until it has an address", packet: "client1 udp"}},
		{reason: "stack_ttl_exceeded", packet: "client1 udp ttl=1",
			remedy: &remedy{what: "a longer time to live", packet: "client1 udp ttl=2"}},
		{reason: "stack_no_route", edit: []string{route, ""}, packet: "client1 udp to=198.51.100.66",
			remedy: &remedy{what: "a route", more: route, fresh: true}},
		{reason: "stack_too_big", packet: "client1 udp size=1480",
			remedy: &remedy{what: "its sender makes it shorter, as ICMP tells it to", packet: "client1 udp size=1470"}},
		{reason: "stack_host_unreachable", packet: silent, fate: "forwarded", after: "advance 10s", also: true,
			remedy: &remedy{what: "the next hop is there", lead: there, fresh: true}},
		{reason: "stack_send_failed", packet: silent, fate: "forwarded", also: true, send: func(u *ruined) {
			for n := range uint16(300) {
				binary.BigEndian.PutUint16(u.ethernet[frame.HeaderLen+4:], n)
				resummed(u.ethernet)
				u.input0(u.ethernet)
			}
			u.collect()
		}, remedy: &remedy{what: "the next hop is there", lead: there, fresh: true}},
		{reason: "stack_fragment_malformed", packet: "client1 ping to=192.0.2.1 piece=1/2", change: func(b []byte) []byte {
			b = b[:frame.HeaderLen+21]
			b[frame.HeaderLen+3] = 21
			return resummed(b)
		}, refuses: refusesPieces, also: true, none: "a piece of one byte fits nowhere"},
		{reason: "stack_l4_malformed", packet: "client1 udp to=192.0.2.1 text=hello", change: broken, fate: "delivered", also: true, none: "nobody can tell what it was"},
		{reason: "stack_no_listener", packet: "client1 udp to=192.0.2.1", fate: "delivered", none: "nobody listens there"},
		{reason: "stack_icmp_invalid", packet: "client1 ping to=192.0.2.1", change: broken, fate: "delivered",
			remedy: &remedy{what: "its sender repeats it, undamaged", whole: true, fate: "delivered"}},
		{reason: "stack_icmp_rate_limited", packet: "client1 udp ttl=1", fate: "stack_ttl_exceeded", also: true, send: func(u *ruined) {
			for range 60 {
				u.input0(u.ethernet)
			}
			u.collect()
		}, none: "the limit is there for our neighbours' sake"},
		{reason: "stack_arp_not_ours", make: arpOf(1, frame.Addr{192, 0, 2, 99}, frame.Addr{192, 0, 2, 11}), fate: "delivered", none: "we have not that address"},
		{reason: "stack_arp_unasked", make: arpOf(2, frame.Addr{192, 0, 2, 1}, frame.Addr{192, 0, 2, 98}), fate: "delivered", none: "nobody asked for it"},
	}
}

// soon waits until a reason is counted: the stack gives up on a neighbour in a
// goroutine of its own, for which there is nothing to wait on.
func (u *ruined) soon(reason string) {
	for range 1_000_000 {
		if u.newDrops()[reason] > 0 {
			return
		}
		runtime.Gosched()
	}
}
