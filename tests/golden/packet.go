package golden

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// Packet returns step i as an IPv4 packet between the conversation's own
// addresses, as it looks on the inside.
func (c Conversation) Packet(i int) []byte {
	s := &c.Steps[i]
	client, gateway := netip.AddrPortFrom(c.Client, Port), netip.AddrPortFrom(c.Gateway, Port)
	if s.From == Client {
		return s.Packet(client, gateway)
	}
	return s.Packet(gateway, client)
}

// Frame returns step i as an untagged Ethernet frame between the
// conversation's own addresses.
func (c Conversation) Frame(i int, src, dst frame.MAC) []byte {
	f := make([]byte, 0, frame.HeaderLen+header.IPv4MaximumHeaderSize)
	f = append(f, dst[:]...)
	f = append(f, src[:]...)
	f = binary.BigEndian.AppendUint16(f, uint16(header.IPv4ProtocolNumber))
	return append(f, c.Packet(i)...)
}

// Packet returns the step as an IPv4 packet from src to dst, all checksums
// computed, identification 0. Ports are used for IKE only. It panics on
// addresses that are not IPv4.
func (s *Step) Packet(src, dst netip.AddrPort) []byte {
	body := s.Payload
	proto := uint8(50)
	if s.Kind == IKE {
		proto = uint8(header.UDPProtocolNumber)
		body = datagram(src, dst, s.Payload)
	}
	p := make([]byte, header.IPv4MinimumSize+len(body))
	ip := header.IPv4(p)
	flags := uint8(0)
	if s.DF {
		flags = header.IPv4FlagDontFragment
	}
	ip.Encode(&header.IPv4Fields{
		TOS:         s.TOS,
		TotalLength: uint16(len(p)),
		Flags:       flags,
		TTL:         s.TTL,
		Protocol:    proto,
		SrcAddr:     tcpip.AddrFrom4(src.Addr().As4()),
		DstAddr:     tcpip.AddrFrom4(dst.Addr().As4()),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	copy(p[header.IPv4MinimumSize:], body)
	return p
}

func datagram(src, dst netip.AddrPort, payload []byte) []byte {
	d := make([]byte, header.UDPMinimumSize+len(payload))
	udp := header.UDP(d)
	udp.Encode(&header.UDPFields{SrcPort: src.Port(), DstPort: dst.Port(), Length: uint16(len(d))})
	copy(d[header.UDPMinimumSize:], payload)
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber,
		tcpip.AddrFrom4(src.Addr().As4()), tcpip.AddrFrom4(dst.Addr().As4()), uint16(len(d)))
	// The payload is part of the checksum, so it goes in first.
	udp.SetChecksum(^udp.CalculateChecksum(checksum.Checksum(payload, sum)))
	return d
}
