package wire

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// refusesPieces is what explain says of a fragment.
const refusesPieces = "ask about the whole packet"

// lossy is a port whose ring was full.
type lossy struct {
	*link.Memory
	lost *uint64
}

func (l lossy) Lost() uint64 { return *l.lost }

// ailing is a port on which the program fails.
type ailing struct{ *link.Memory }

func (a ailing) Write(batch []frame.Frame) (int, drop.Reason) {
	for k := range batch {
		if b := batch[k].Bytes(); len(b) > 14 && binary.BigEndian.Uint16(b[12:]) == frame.TypeIPv4 {
			panic("a fault of the program")
		}
	}
	return a.Memory.Write(batch)
}

const guests = "[vlan.guests]\nport = \"lan\"\nid = 99\naddresses = [\"192.0.9.1/24\"]\n"

// guest is a ping of the router by a host of VLAN 99.
func guest(tags ...uint16) func(u *ruined) (port, vlan string) {
	return func(u *ruined) (string, string) {
		p, vlan := u.from("client1", packetSpec{
			proto: frame.ProtoICMP, src: frame.Endpoint{Addr: frame.Addr{192, 0, 9, 5}, Port: 1}, dst: frame.Endpoint{Addr: frame.Addr{192, 0, 9, 1}, Port: 1},
			ttl: 64, icmp: [4]int{8}, payload: make([]byte, 8),
		}.bytes())
		u.ethernet = tagged(tags...)(u.ethernet)
		return p, vlan
	}
}

// meetsGuest lets the router learn the guest's address.
func meetsGuest(u *ruined) {
	h := &host{addr: frame.Addr{192, 0, 9, 5}}
	mac := frame.MAC{6, 0, 192, 0, 2, 11} // as client1's, whose frame it is
	b := tagged(99)(arp(1, h, frame.Addr{192, 0, 9, 1}, frame.MAC{255, 255, 255, 255, 255, 255}, frame.MAC{}))
	copy(b[6:], mac[:])
	copy(b[26:], mac[:])
	u.chassis.Port(0).Input([]frame.Frame{frame.Copy(b, 0)})
	u.collect()
}

// ruinsOfPorts are the reasons on the port.
func ruinsOfPorts() []ruin {
	lost := new(uint64)
	return []ruin{
		{reason: "frame_short", packet: "client1 udp", change: func(b []byte) []byte { return b[:9] },
			none: "what was cut off is gone"},
		{reason: "not_for_us", packet: "client1 udp", change: spoiled(5, 0x77),
			remedy: &remedy{what: "it is sent to our MAC address", whole: true}},
		{reason: "vlan_unknown", make: guest(99),
			remedy: &remedy{what: "a VLAN with this id", more: guests, fresh: true, do: meetsGuest, fate: "delivered"}},
		{reason: "double_tagged", more: guests, make: guest(99, 7), before: meetsGuest, line: "",
			remedy: &remedy{what: "the trunk's peer takes the outer tag off", make: guest(99), fate: "delivered"}},
		{reason: "ethertype", packet: "client1 udp", change: func(b []byte) []byte { b[12], b[13] = 0x86, 0xdd; return b },
			none: "only IPv4 is forwarded"},
		{reason: "rx_ring_full", wrap: func(near *link.Memory) link.Driver { return lossy{near, lost} },
			packet: "client1 udp", fate: "forwarded",
			send: func(u *ruined) { *lost += 3; u.advance(2e9); u.goes() },
			none: "nobody has seen the frame"},
		{reason: "tx_refused", packet: "client1 udp", fate: "forwarded",
			send: func(u *ruined) {
				u.quiet()
				for range 1025 {
					u.input0(u.ethernet) // and nobody takes what comes out
				}
			},
			remedy: &remedy{what: "it is sent again once the way out has room", do: func(u *ruined) { u.collect() }}},
		{reason: "port_down", packet: "client1 udp", before: func(u *ruined) { u.cables[1].far.SetUp(false) }, line: "[vlan.outside]",
			remedy: &remedy{what: "the cable is put in", do: func(u *ruined) { u.cables[1].far.SetUp(true) }}},
		{reason: "frame_too_big", base: sitesBase, packet: "office udp to=far size=1450", line: "[net.ipsec.selector.to-rio]",
			remedy: &remedy{what: "its sender makes it shorter, as ICMP tells it to", packet: "office udp to=far size=1400", fate: "sealed"}},
		{reason: "stack_panic", wrap: func(near *link.Memory) link.Driver { return ailing{near} }, packet: "client1 udp", fate: "forwarded",
			none: "a fault of the program"},
		{reason: "arp_malformed", make: func(u *ruined) (string, string) {
			p, vlan := u.from("client1", make([]byte, 28))
			u.ethernet[13] = 6
			return p, vlan
		}, none: "it names no station"},
	}
}

// ftpOpen is an FTP control connection of client1, seen by its helper.
const ftpOpen = "client1 tcp dport=21 flags=2 -> nat:n1\ngateway tcp sport=21 to=nat:n1 flags=12 seq=0 ack=1\nclient1 tcp dport=21 flags=10 seq=1 ack=1"

// ruinsOfHeaders are those in the IPv4 header, and of pieces.
func ruinsOfHeaders() []ruin {
	group := func(b []byte) []byte { copy(b, []byte{255, 255, 255, 255, 255, 255}); return b }
	piece := func(n, of int) string {
		return "client1 udp size=2000 piece=" + string(rune('0'+n)) + "/" + string(rune('0'+of))
	}
	const whole = "client1 udp size=1000"
	return []ruin{
		{reason: "ip_malformed", packet: "client1 udp", change: spoiled(frame.HeaderLen+2, 0xff),
			none: "nobody can tell what it was"},
		{reason: "l4_malformed", packet: "client1 udp", change: spoiled(frame.HeaderLen+20+5, 99),
			none: "nobody can tell what it was"},
		{reason: "fragment", lead: ftpOpen, packet: "client1 tcp dport=21 flags=18 seq=1 ack=1 text=USERanonymousanonymousanonymous piece=1/2", refuses: refusesPieces,
			remedy: &remedy{what: "the group has no FTP helper, or the host a smaller MTU", edit: []string{"[lsn.group.homes]", "[lsn.group.homes]\nftp = false"}, fresh: true}},
		{reason: "broadcast", packet: "client1 udp", change: group,
			remedy: &remedy{what: "it is sent to our MAC address", whole: true}},
		{reason: "ip_options", packet: "client1 ping", change: withOption(7, 7, 4, 0, 0, 0, 0, 0), line: "",
			remedy: &remedy{what: "it is sent without the option", whole: true}},
		{reason: "fragment_overflow", packet: piece(2, 2), refuses: refusesPieces, send: func(u *ruined) {
			for id := range uint16(2000) {
				h := header.IPv4(u.ethernet[frame.HeaderLen:])
				h.SetID(id)
				resummed(u.ethernet)
				u.input0(u.ethernet)
			}
		}, remedy: &remedy{what: "its sender sends whole packets", packet: whole}},
		{reason: "fragment_timeout", packet: piece(2, 2), refuses: refusesPieces, after: "advance 61s",
			remedy: &remedy{what: "its sender sends whole packets", packet: whole}},
		{reason: "fragment_malformed", packet: piece(1, 2), refuses: refusesPieces, change: func(b []byte) []byte {
			b = b[:frame.HeaderLen+24]
			b[frame.HeaderLen+2], b[frame.HeaderLen+3] = 0, 24
			return resummed(b)
		}, none: "its header is cut on purpose"},
		{reason: "fragment_duplicate", packet: piece(2, 3), refuses: refusesPieces, lead: piece(1, 3) + "\n" + piece(2, 3),
			none: "it has passed already"},
	}
}
