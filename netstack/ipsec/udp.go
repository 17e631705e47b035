package ipsec

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// PortNATT is where IKE and ESP share UDP (RFC 3948).
const PortNATT = 4500

// UDPKind is what a datagram on port 4500 is (RFC 3948 section 2).
type UDPKind uint8

// The kinds.
const (
	UDPShort     UDPKind = iota // nothing that could be anything
	UDPKeepalive                // one byte 0xff, only there to keep NATs awake: drop it silently
	UDPIKE                      // IKE, behind the non-ESP marker
	UDPESP                      // ESP: hand its IPv4 packet to Receive
)

// Keepalive is the payload of a keepalive (RFC 3948 section 2.3). Who is behind
// a NAT sends one after 20 seconds without anything else.
const Keepalive = "\xff"

// NonESPMarker stands before IKE on port 4500: the SPI 0, which no ESP has.
const NonESPMarker = "\x00\x00\x00\x00"

// ClassifyUDP tells what the payload of a datagram on port 4500 is. For IKE the
// message begins behind the marker.
func ClassifyUDP(payload []byte) UDPKind {
	switch {
	case len(payload) == 1 && payload[0] == Keepalive[0]:
		return UDPKeepalive
	case len(payload) >= len(NonESPMarker) && string(payload[:len(NonESPMarker)]) == NonESPMarker:
		return UDPIKE
	case len(payload) >= espHeader:
		return UDPESP
	}
	return UDPShort
}

// putUDP writes a UDP header for what is behind it. Its checksum is 0 (RFC 3948
// section 2.1): ESP has its own, and a NAT may not be able to mend it.
func putUDP(b []byte, from, to uint16) {
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[6:], 0)
}

// locate finds ESP in an IPv4 packet, bare or in UDP. hlen is the IPv4 header's
// length; esp begins with the SPI, and the packet ends with it. It is false for
// anything that is not a whole ESP packet.
func locate(p []byte) (esp []byte, hlen int, udp, ok bool) {
	hlen, total, ok := ipv4(p)
	if !ok || fragment(p) {
		return nil, 0, false, false
	}
	t := p[hlen:total]
	switch p[9] {
	case protoESP:
	case protoUDP:
		if len(t) < header.UDPMinimumSize {
			return nil, 0, false, false
		}
		n := int(binary.BigEndian.Uint16(t[4:]))
		if n < header.UDPMinimumSize || n > len(t) {
			return nil, 0, false, false
		}
		t, udp = t[header.UDPMinimumSize:n], true
	default:
		return nil, 0, false, false
	}
	return t, hlen, udp, len(t) >= espHeader
}

// SPIOf is the SPI of an IPv4 packet with ESP, bare or in UDP; ok is false for
// anything else.
func SPIOf(p []byte) (spi uint32, ok bool) {
	esp, _, _, ok := locate(p)
	if !ok {
		return 0, false
	}
	return binary.BigEndian.Uint32(esp), true
}
