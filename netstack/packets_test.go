package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// ip makes an IPv4 packet (TTL 64, DF) around a transport segment, whose
// checksum it computes for the protocols that have one.
func ip(src, dst frame.Addr, proto uint8, l4 []byte) []byte {
	b := make([]byte, 20+len(l4))
	header.IPv4(b).Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b)), ID: 7, Flags: header.IPv4FlagDontFragment, TTL: 64, Protocol: proto,
		SrcAddr: tcpip.AddrFrom4(src), DstAddr: tcpip.AddrFrom4(dst),
	})
	header.IPv4(b).SetChecksum(^header.IPv4(b).CalculateChecksum())
	t := b[20:]
	copy(t, l4)
	sum := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(proto), tcpip.AddrFrom4(src), tcpip.AddrFrom4(dst), uint16(len(t)))
	at := map[uint8]int{frame.ProtoTCP: 16, frame.ProtoUDP: 6, frame.ProtoICMP: 2}[proto]
	if at == 0 || len(t) < at+2 {
		return b
	}
	if proto == frame.ProtoICMP {
		sum = 0
	}
	clear(t[at : at+2])
	binary.BigEndian.PutUint16(t[at:], ^checksum.Checksum(t, sum))
	return b
}

// ttl returns the packet with another time to live.
func ttl(b []byte, n uint8) []byte {
	h := header.IPv4(append([]byte(nil), b...))
	h.SetTTL(n)
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	return h
}

func udpTo(src, dst frame.Endpoint, payload string) []byte {
	t := make([]byte, 8+len(payload))
	binary.BigEndian.PutUint16(t, src.Port)
	binary.BigEndian.PutUint16(t[2:], dst.Port)
	binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	copy(t[8:], payload)
	return ip(src.Addr, dst.Addr, frame.ProtoUDP, t)
}

func tcpTo(src, dst frame.Endpoint, flags uint8, payload string) []byte {
	t := make([]byte, 20+len(payload))
	binary.BigEndian.PutUint16(t, src.Port)
	binary.BigEndian.PutUint16(t[2:], dst.Port)
	t[12], t[13] = 5<<4, flags
	copy(t[20:], payload)
	return ip(src.Addr, dst.Addr, frame.ProtoTCP, t)
}

func echo(src, dst frame.Addr, typ uint8, id uint16, payload string) []byte {
	t := make([]byte, 8+len(payload))
	t[0] = typ
	binary.BigEndian.PutUint16(t[4:], id)
	copy(t[8:], payload)
	return ip(src, dst, frame.ProtoICMP, t)
}

// icmpError makes an error that quotes the first n bytes of packet.
func icmpError(src, dst frame.Addr, typ, code uint8, packet []byte, n int) []byte {
	t := make([]byte, 8, 8+n)
	t[0], t[1] = typ, code
	return ip(src, dst, frame.ProtoICMP, append(t, packet[:min(n, len(packet))]...))
}

func esp(src, dst frame.Addr, spi, seq uint32, payload string) []byte {
	t := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint32(t, spi)
	binary.BigEndian.PutUint32(t[4:], seq)
	return ip(src, dst, frame.ProtoESP, append(t, payload...))
}

// IKE exchange types that the tests speak.
const (
	mainMode   = 2
	quickMode  = 32
	ikeSAInit  = 34
	ikeAuth    = 35
	createSA   = 36
	flagV1Enc  = 0x01
	flagV2Init = 0x08
	flagV2Resp = 0x20
)

// ike makes an IKE message with n bytes behind its header.
func ike(version uint8, initiator, responder uint64, exchange, flags uint8, id uint32, n int) string {
	b := make([]byte, 28+n)
	binary.BigEndian.PutUint64(b, initiator)
	binary.BigEndian.PutUint64(b[8:], responder)
	b[16] = 46
	b[17], b[18], b[19] = version<<4, exchange, flags
	binary.BigEndian.PutUint32(b[20:], id)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	for i := range n {
		b[28+i] = byte(i) ^ exchange ^ flags
	}
	return string(b)
}

func at(a frame.Addr, port uint16) frame.Endpoint { return frame.Endpoint{Addr: a, Port: port} }
