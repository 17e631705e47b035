package commands

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// packet makes an IPv4 packet of words as "spigate explain --frame" takes them:
// udp,SRC:PORT,DST:PORT; tcp the same, and a SYN unless flags follow; icmp,SRC,
// DST,ID, an echo request; esp,SRC,DST,SPI; a number of another protocol. A fifth
// word is the whole packet's length in bytes; for UDP it is the fourth.
func packet(text string) ([]byte, error) {
	f := strings.Split(text, ",")
	if len(f) < 3 {
		return nil, fmt.Errorf("%q is not PROTOCOL,SOURCE,DESTINATION", text)
	}
	src, dst, err := ends(f[1], f[2])
	if err != nil {
		return nil, err
	}
	proto, body := map[string]uint8{"udp": 17, "tcp": 6, "icmp": 1, "esp": 50}[f[0]], []byte(nil)
	switch f[0] {
	case "udp":
		body = binary.BigEndian.AppendUint16(nil, src.Port())
		body = binary.BigEndian.AppendUint16(body, dst.Port())
		body = padded(append(body, 0, 0, 0, 0, 't', 'e', 'x', 't'), f, 3)
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
		sum(proto, src, dst, body, 6)
	case "tcp":
		body = padded(segment(src, dst, append(f, "syn")[3]), f, 4)
		sum(proto, src, dst, body, 16)
	case "icmp":
		id, err := strconv.ParseUint(append(f, "1")[3], 10, 16)
		if err != nil {
			return nil, err
		}
		body = append(binary.BigEndian.AppendUint16([]byte{8, 0, 0, 0}, uint16(id)), 0, 1)
		binary.BigEndian.PutUint16(body[2:], ^checksum.Checksum(body, 0))
	case "esp":
		spi, err := strconv.ParseUint(append(f, "")[3], 16, 32)
		if err != nil {
			return nil, err
		}
		body = append(binary.BigEndian.AppendUint32(nil, uint32(spi)), make([]byte, 60)...)
	default:
		n, err := strconv.ParseUint(f[0], 10, 8)
		if err != nil {
			return nil, fmt.Errorf("%q is not a protocol", f[0])
		}
		proto, body = uint8(n), make([]byte, 24)
	}
	return datagram(proto, src, dst, body), nil
}

// padded makes a packet as long as the word of that number says, if it is there.
func padded(b []byte, words []string, k int) []byte {
	if len(words) <= k {
		return b
	}
	n, err := strconv.Atoi(words[k])
	if err != nil || n < len(b)+header.IPv4MinimumSize || n > 1500 {
		return b
	}
	return append(b, make([]byte, n-header.IPv4MinimumSize-len(b))...)
}

// ends reads two ends; a port may be missing.
func ends(from, to string) (src, dst netip.AddrPort, err error) {
	var out [2]netip.AddrPort
	for k, text := range []string{from, to} {
		if !strings.Contains(text, ":") {
			text += ":0"
		}
		if out[k], err = netip.ParseAddrPort(text); err != nil {
			return src, dst, err
		}
	}
	return out[0], out[1], nil
}

// segment is a TCP header; flags are words between bars.
func segment(src, dst netip.AddrPort, flags string) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], 1000)
	binary.BigEndian.PutUint32(b[8:], 1001)
	b[12], b[14] = 5<<4, 0x20
	for word := range strings.SplitSeq(flags, "|") {
		b[13] |= map[string]byte{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16}[word]
	}
	if b[13]&16 == 0 {
		binary.BigEndian.PutUint32(b[8:], 0)
	}
	if b[13]&2 == 0 {
		binary.BigEndian.PutUint32(b[4:], 1001)
	}
	return b
}

// sum puts the checksum of UDP or TCP in its place.
func sum(proto uint8, src, dst netip.AddrPort, b []byte, at int) {
	pseudo := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(proto),
		tcpip.AddrFrom4(src.Addr().As4()), tcpip.AddrFrom4(dst.Addr().As4()), uint16(len(b)))
	binary.BigEndian.PutUint16(b[at:], ^checksum.Checksum(b, pseudo))
}

func datagram(proto uint8, src, dst netip.AddrPort, body []byte) []byte {
	b := make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(body))
	header.IPv4(b).Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b) + len(body)), TTL: 64, Protocol: proto,
		SrcAddr: tcpip.AddrFrom4(src.Addr().As4()), DstAddr: tcpip.AddrFrom4(dst.Addr().As4()),
	})
	header.IPv4(b).SetChecksum(^header.IPv4(b).CalculateChecksum())
	return append(b, body...)
}

// told is a packet in words.
func told(b []byte) string {
	if len(b) < header.IPv4MinimumSize {
		return "a stump"
	}
	ip := header.IPv4(b)
	src, dst, body := frame.Addr(b[12:16]).Netip(), frame.Addr(b[16:20]).Netip(), b[ip.HeaderLength():]
	switch p := ip.Protocol(); {
	case (p == 17 || p == 6) && len(body) >= 8:
		word := map[uint8]string{17: "udp", 6: "tcp"}[p]
		return fmt.Sprintf("%s %s:%d > %s:%d", word, src, binary.BigEndian.Uint16(body), dst, binary.BigEndian.Uint16(body[2:]))
	case p == 50 && len(body) >= 4:
		return fmt.Sprintf("esp %s > %s spi %08x", src, dst, binary.BigEndian.Uint32(body))
	case p == 1 && len(body) >= 8:
		return fmt.Sprintf("icmp %s > %s type %d code %d", src, dst, body[0], body[1])
	default:
		return fmt.Sprintf("protocol %d %s > %s", p, src, dst)
	}
}
