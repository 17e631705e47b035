package inside

import (
	"cmp"
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// packet describes a frame to build; ports are ESP's SPI or ICMP's identifier
// where those stand in their place.
type packet struct {
	proto            uint8
	srcMAC, dstMAC   frame.MAC
	src, dst         netip.Addr
	srcPort, dstPort uint16
	length           int             // of the IPv4 packet, in bytes
	flags            header.TCPFlags // TCP only; 0: ACK
	seq, ack         uint32
}

// build makes the frame, with every checksum right.
func (p packet) build() []byte {
	b := make([]byte, frame.HeaderLen+p.length)
	copy(b, p.dstMAC[:])
	copy(b[6:], p.srcMAC[:])
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv4)
	ip := header.IPv4(b[frame.HeaderLen:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(p.length), TTL: 64, Protocol: p.proto,
		SrcAddr: tcpip.AddrFrom4(p.src.As4()), DstAddr: tcpip.AddrFrom4(p.dst.As4()),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	p.transport(b[frame.HeaderLen+header.IPv4MinimumSize:])
	return b
}

func (p packet) transport(t []byte) {
	switch p.proto {
	case frame.ProtoESP:
		binary.BigEndian.PutUint16(t, p.srcPort)
		binary.BigEndian.PutUint16(t[2:], p.dstPort)
		t[7] = 1
	case frame.ProtoICMP:
		ic := header.ICMPv4(t)
		ic.SetType(header.ICMPv4Echo)
		ic.SetIdent(p.srcPort)
		ic.SetChecksum(^checksum.Checksum(t, 0))
	case frame.ProtoUDP:
		u := header.UDP(t)
		u.Encode(&header.UDPFields{SrcPort: p.srcPort, DstPort: p.dstPort, Length: uint16(len(t))})
		u.SetChecksum(^checksum.Checksum(t, p.pseudo(header.UDPProtocolNumber, len(t))))
	case frame.ProtoTCP:
		h := header.TCP(t)
		h.Encode(&header.TCPFields{
			SrcPort: p.srcPort, DstPort: p.dstPort, SeqNum: p.seq, AckNum: p.ack, DataOffset: header.TCPMinimumSize,
			Flags: cmp.Or(p.flags, header.TCPFlagAck),
		})
		h.SetChecksum(^checksum.Checksum(t, p.pseudo(header.TCPProtocolNumber, len(t))))
	}
}

func (p packet) pseudo(proto tcpip.TransportProtocolNumber, n int) uint16 {
	return header.PseudoHeaderChecksum(proto, tcpip.AddrFrom4(p.src.As4()), tcpip.AddrFrom4(p.dst.As4()), uint16(n))
}
