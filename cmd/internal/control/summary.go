package control

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// EtherTypes that Summary knows.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherVLAN = 0x8100
)

const (
	etherHeader = 14
	ipv4Header  = 20
)

// Summary describes the start of a dropped packet in one line. b begins with
// its IPv4 or its Ethernet header, and may be cut anywhere. It reads for
// people only: nothing is decided by it.
func Summary(b []byte) string {
	switch {
	case len(b) == 0:
		return "empty"
	case LooksIPv4(b):
		return summaryIPv4(b)
	case len(b) < etherHeader:
		return fmt.Sprintf("%d bytes", len(b))
	}
	return summaryEther(b)
}

// LooksIPv4 tells an IPv4 header from an Ethernet header whose destination
// happens to begin with 0x45: the EtherType stands where the source address
// does, and a MAC address as a header length rarely fits.
func LooksIPv4(b []byte) bool {
	if len(b) == 0 || b[0]>>4 != 4 || b[0]&15 < 5 {
		return false
	}
	if len(b) < ipv4Header {
		return len(b) < etherHeader || !looksEther(b)
	}
	return checksum(b[:min(len(b), int(b[0]&15)*4)]) == 0xffff || !looksEther(b)
}

func looksEther(b []byte) bool {
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherIPv4, etherARP, etherVLAN:
		return true
	}
	return false
}

// checksum is the ones' complement sum over a header; 0xffff for a good one.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

func summaryEther(b []byte) string {
	kind, rest := binary.BigEndian.Uint16(b[12:]), b[etherHeader:]
	var vlan string
	if kind == etherVLAN && len(rest) >= 4 {
		vlan = fmt.Sprintf("vlan %d ", binary.BigEndian.Uint16(rest)&0xfff)
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	head := fmt.Sprintf("%s > %s %s", net.HardwareAddr(b[6:12]), net.HardwareAddr(b[:6]), vlan)
	switch {
	case kind == etherIPv4 && len(rest) > 0:
		return head + summaryIPv4(rest)
	case kind == etherARP:
		return head + summaryARP(rest)
	}
	return head + fmt.Sprintf("ethertype 0x%04x", kind)
}

func summaryARP(b []byte) string {
	if len(b) < 28 {
		return "arp, cut"
	}
	sender, target := addr(b[14:]), addr(b[24:])
	switch binary.BigEndian.Uint16(b[6:]) {
	case 1:
		return fmt.Sprintf("arp who-has %s tell %s", target, sender)
	case 2:
		return fmt.Sprintf("arp reply %s is-at %s", sender, net.HardwareAddr(b[8:14]))
	}
	return "arp"
}

func addr(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }

func summaryIPv4(b []byte) string {
	if len(b) < ipv4Header {
		return fmt.Sprintf("ipv4, cut after %d bytes", len(b))
	}
	src, dst := addr(b[12:]), addr(b[16:])
	length := fmt.Sprintf("length %d", binary.BigEndian.Uint16(b[2:]))
	name := strings.ToLower(ProtocolName(b[9]))
	fragment := binary.BigEndian.Uint16(b[6:])
	offset := fragment & 0x1fff
	if fragment&0x2000 != 0 || offset != 0 {
		length += fmt.Sprintf(" fragment id %d offset %d", binary.BigEndian.Uint16(b[4:]), int(offset)*8)
	}
	header := int(b[0]&15) * 4
	if offset != 0 || header < ipv4Header || len(b) < header {
		return fmt.Sprintf("%s > %s %s %s", src, dst, name, length)
	}
	return fmt.Sprintf("%s %s", summaryTransport(b[9], src, dst, b[header:]), length)
}

func summaryTransport(protocol uint8, src, dst netip.Addr, b []byte) string {
	name := strings.ToLower(ProtocolName(protocol))
	switch {
	case (protocol == protoTCP || protocol == protoUDP) && len(b) >= 4:
		from := netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
		to := netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
		return fmt.Sprintf("%s > %s %s%s", from, to, name, tcpFlags(protocol, b))
	case protocol == protoESP && len(b) >= 8:
		return fmt.Sprintf("%s > %s esp spi %08x seq %d", src, dst,
			binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]))
	case protocol == protoICMP && len(b) >= 2:
		return fmt.Sprintf("%s > %s icmp type %d code %d", src, dst, b[0], b[1])
	}
	return fmt.Sprintf("%s > %s %s", src, dst, name)
}

// tcpFlags returns the flags of a TCP segment as " [SA]", in the letters that
// packet tools use.
func tcpFlags(protocol uint8, b []byte) string {
	if protocol != protoTCP || len(b) < 14 {
		return ""
	}
	var set []byte
	for bit, letter := range []byte("FSRPAU") {
		if b[13]&(1<<bit) != 0 {
			set = append(set, letter)
		}
	}
	return " [" + string(set) + "]"
}
