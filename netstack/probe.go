package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// Probe describes a packet for Explain.
type Probe struct {
	Proto    uint8
	Src, Dst frame.Endpoint // ports of TCP and UDP
	TCPFlags uint8          // as in the header
	Answer   bool           // ICMP: an echo reply, not a request
	ID       uint16         // of an ICMP echo
	SPI      uint32         // of ESP
	TTL      uint8          // 0: 64
	DF       bool           // must not be cut
	Payload  []byte         // behind the transport header
}

// Packet makes the packet, with its checksums.
func (q *Probe) Packet() []byte {
	t := q.transport()
	b := make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(t))
	b = append(b, t...)
	h := header.IPv4(b)
	fields := header.IPv4Fields{
		TotalLength: uint16(len(b)), TTL: q.TTL, Protocol: q.Proto,
		SrcAddr: tcpip.AddrFrom4(q.Src.Addr), DstAddr: tcpip.AddrFrom4(q.Dst.Addr),
	}
	if fields.TTL == 0 {
		fields.TTL = 64
	}
	if q.DF {
		fields.Flags = header.IPv4FlagDontFragment
	}
	h.Encode(&fields)
	h.SetChecksum(^h.CalculateChecksum())
	return b
}

// transport is the packet behind its IPv4 header.
func (q *Probe) transport() []byte {
	var t []byte
	sumAt := 0
	switch q.Proto {
	case frame.ProtoTCP:
		t, sumAt = make([]byte, header.TCPMinimumSize), 16
		t[12], t[13] = header.TCPMinimumSize<<2, q.TCPFlags
	case frame.ProtoUDP:
		t, sumAt = make([]byte, header.UDPMinimumSize), 6
		binary.BigEndian.PutUint16(t[4:], uint16(header.UDPMinimumSize+len(q.Payload)))
	case frame.ProtoICMP:
		t, sumAt = make([]byte, header.ICMPv4MinimumSize), 2
		if !q.Answer {
			t[0] = uint8(header.ICMPv4Echo)
		}
		binary.BigEndian.PutUint16(t[4:], q.ID)
	case frame.ProtoESP:
		t = binary.BigEndian.AppendUint32(make([]byte, 0, 8), q.SPI)
		t = binary.BigEndian.AppendUint32(t, 1)
	}
	if q.Proto == frame.ProtoTCP || q.Proto == frame.ProtoUDP {
		binary.BigEndian.PutUint16(t, q.Src.Port)
		binary.BigEndian.PutUint16(t[2:], q.Dst.Port)
	}
	t = append(t, q.Payload...)
	if sumAt == 0 {
		return t
	}
	sum := uint16(0)
	if q.Proto != frame.ProtoICMP {
		sum = header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(q.Proto), tcpip.AddrFrom4(q.Src.Addr), tcpip.AddrFrom4(q.Dst.Addr), uint16(len(t)))
	}
	binary.BigEndian.PutUint16(t[sumAt:], ^checksum.Checksum(t, sum))
	return t
}
