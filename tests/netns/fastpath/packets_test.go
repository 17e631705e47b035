package fastpath

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

func addr(s string) frame.Addr { return netip.MustParseAddr(s).As4() }

func at(a frame.Addr, port uint16) frame.Endpoint { return frame.Endpoint{Addr: a, Port: port} }

// macOf is the MAC address of a machine: made from its address, so that a frame
// for the wrong next hop shows.
func macOf(a frame.Addr) frame.MAC { return frame.MAC{6, 0, a[0], a[1], a[2], a[3]} }

// ip makes an IPv4 packet (TTL 64, DF) around a transport segment, with all
// checksums.
func ip(src, dst frame.Addr, proto uint8, l4 []byte) []byte {
	b := make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(l4))
	header.IPv4(b).Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b) + len(l4)), ID: 7, Flags: header.IPv4FlagDontFragment, TTL: 64, Protocol: proto,
		SrcAddr: tcpip.AddrFrom4(src), DstAddr: tcpip.AddrFrom4(dst),
	})
	b = append(b, l4...)
	sumUp(b)
	if at := sumAt(b); at != 0 {
		clear(b[at : at+2])
		sum := ^transportSum(b)
		if sum == 0 && proto == frame.ProtoUDP {
			sum = 0xffff // 0 would mean none
		}
		binary.BigEndian.PutUint16(b[at:], sum)
	}
	return b
}

// sumUp writes the checksum of an IPv4 header.
func sumUp(b []byte) {
	h := header.IPv4(b)
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
}

// sumAt is where a packet without options has its transport checksum, 0 for
// protocols that have none.
func sumAt(b []byte) int {
	at := map[uint8]int{frame.ProtoTCP: 36, frame.ProtoUDP: 26, frame.ProtoICMP: 22}[b[9]]
	if len(b) < at+2 {
		return 0
	}
	return at
}

func transportSum(b []byte) uint16 {
	h := header.IPv4(b)
	t := b[h.HeaderLength():]
	if b[9] == frame.ProtoICMP {
		return checksum.Checksum(t, 0)
	}
	return checksum.Checksum(t, header.PseudoHeaderChecksum(h.TransportProtocol(), h.SourceAddress(), h.DestinationAddress(), uint16(len(t))))
}

func udp(src, dst frame.Endpoint, data []byte) []byte {
	t := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(t, src.Port)
	binary.BigEndian.PutUint16(t[2:], dst.Port)
	binary.BigEndian.PutUint16(t[4:], uint16(8+len(data)))
	return ip(src.Addr, dst.Addr, frame.ProtoUDP, append(t, data...))
}

const (
	syn = frame.TCPSyn
	ack = 0x10
	fin = frame.TCPFin
	rst = frame.TCPRst
)

func tcp(src, dst frame.Endpoint, seq, acked uint32, flags uint8, data []byte) []byte {
	t := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(t, src.Port)
	binary.BigEndian.PutUint16(t[2:], dst.Port)
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], acked)
	t[12], t[13] = 5<<4, flags
	binary.BigEndian.PutUint16(t[14:], 0xffff)
	return ip(src.Addr, dst.Addr, frame.ProtoTCP, append(t, data...))
}

func echo(src, dst frame.Addr, typ uint8, id uint16, data []byte) []byte {
	t := make([]byte, 8, 8+len(data))
	t[0] = typ
	binary.BigEndian.PutUint16(t[4:], id)
	return ip(src, dst, frame.ProtoICMP, append(t, data...))
}

// unreachable is an ICMP error that quotes a packet.
func unreachable(src, dst frame.Addr, code uint8, mtu uint16, about []byte) []byte {
	t := make([]byte, 8, 8+len(about))
	t[0], t[1] = 3, code
	binary.BigEndian.PutUint16(t[6:], mtu)
	return ip(src, dst, frame.ProtoICMP, append(t, about...))
}

func esp(src, dst frame.Addr, spi, seq uint32, data []byte) []byte {
	t := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint32(t, spi)
	binary.BigEndian.PutUint32(t[4:], seq)
	return ip(src, dst, frame.ProtoESP, append(t, data...))
}

// The exchanges of IKEv2 that the tests speak, and who speaks.
const (
	ikeSAInit = 34
	ikeAuth   = 35
	createSA  = 36
	asking    = 0x08 // from the initiator
	answering = 0x20
)

// ike makes an IKEv2 message of 300 bytes.
func ike(initiator, responder uint64, exchange, flags uint8, id uint32) []byte {
	b := make([]byte, 300)
	binary.BigEndian.PutUint64(b, initiator)
	binary.BigEndian.PutUint64(b[8:], responder)
	b[16], b[17], b[18], b[19] = 46, 2<<4, exchange, flags
	binary.BigEndian.PutUint32(b[20:], id)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

// piece is the part of a packet from byte from to byte to of what is behind its
// header, as a fragment.
func piece(b []byte, from, to int, more bool) []byte {
	h := header.IPv4(append(append([]byte(nil), b[:20]...), b[20+from:20+to]...))
	h.SetTotalLength(uint16(len(h)))
	flags := uint8(0)
	if more {
		flags = header.IPv4FlagMoreFragments
	}
	h.SetFlagsFragmentOffset(flags, uint16(from))
	sumUp(h)
	return h
}

// arp makes an ARP message in a frame.
func arp(op header.ARPOp, from frame.Addr, mac frame.MAC, about frame.Addr, to frame.MAC) []byte {
	dst := to
	if op == header.ARPRequest {
		dst = frame.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		to = frame.MAC{}
	}
	b := make([]byte, frame.HeaderLen+header.ARPSize)
	copy(b, dst[:])
	copy(b[6:], mac[:])
	binary.BigEndian.PutUint16(b[12:], frame.TypeARP)
	h := header.ARP(b[frame.HeaderLen:])
	h.SetIPv4OverEthernet()
	h.SetOp(op)
	copy(h.HardwareAddressSender(), mac[:])
	copy(h.ProtocolAddressSender(), from[:])
	copy(h.HardwareAddressTarget(), to[:])
	copy(h.ProtocolAddressTarget(), about[:])
	return b
}

// inFrame puts a packet into a frame from its source's machine.
func inFrame(to frame.MAC, from frame.Addr, packet []byte) []byte {
	mac := macOf(from)
	b := append(append(append([]byte(nil), to[:]...), mac[:]...), 8, 0)
	return append(b, packet...)
}

// withTag puts an 802.1Q tag into a frame; tci has priority, DEI and VLAN id.
func withTag(b []byte, tci uint16) []byte {
	out := append(append([]byte(nil), b[:12]...), 0x81, 0, byte(tci>>8), byte(tci))
	return append(out, b[12:]...)
}
