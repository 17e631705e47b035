package flow

import (
	"encoding/binary"
	"math/bits"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

const (
	ipLen = header.IPv4MinimumSize
	// minTransport is ESP's, UDP's and ICMP's header length, and the least
	// that any flow's packet has behind its IPv4 header.
	minTransport = 8
	minFrame     = frame.HeaderLen + ipLen + minTransport
)

// The UDP ports of IKE (rule R50). The ALG must see every IKE message.
const (
	portIKE     = 500
	portIKENATT = 4500
)

// parse is KeyOf in the form that the table compares.
func parse(f *frame.Frame) (k bucket.Key, ok bool) {
	b := f.Bytes()
	if len(b) < minFrame {
		return k, false
	}
	h := (*[minFrame]byte)(b)
	if h[0]&1 != 0 || binary.BigEndian.Uint32(h[12:])>>8 != frame.TypeIPv4<<8|0x45 {
		return k, false
	}
	ip := b[frame.HeaderLen:]
	total := int(binary.BigEndian.Uint16(h[16:]))
	if total < ipLen+minTransport || total > len(ip) || h[20]&0x3f|h[21] != 0 || h[22] <= 1 || !sumsUp((*[ipLen]byte)(ip)) {
		return k, false
	}
	id, proto := binary.NativeEndian.Uint32(h[frame.HeaderLen+ipLen:]), h[23]
	if proto != frame.ProtoESP {
		if id, ok = transportID(proto, ip[ipLen:total]); !ok {
			return k, false
		}
	}
	return bucket.MakeKey(binary.NativeEndian.Uint64(h[26:]), id, proto, uint8(f.In)), true
}

// sumsUp reports whether the header's checksum is right. A one's complement sum
// may be taken in words of any length and byte order (RFC 1071 section 2).
func sumsUp(ip *[ipLen]byte) bool {
	a, carry := bits.Add64(binary.NativeEndian.Uint64(ip[0:]), binary.NativeEndian.Uint64(ip[8:]), 0)
	a, carry = bits.Add64(a, uint64(binary.NativeEndian.Uint32(ip[16:])), carry)
	sum := a>>32 + a&0xffffffff + carry // a header is not all zeros: nor is this
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	return sum>>16+sum&0xffff == 0xffff
}

// transportID reads a bucket.Key's ID from a transport header of at least
// minTransport bytes.
func transportID(proto uint8, t []byte) (uint32, bool) {
	id := binary.NativeEndian.Uint32(t)
	switch proto {
	case frame.ProtoESP:
		return id, true
	case frame.ProtoTCP:
		return id, len(t) >= header.TCPMinimumSize &&
			t[header.TCPFlagsOffset]&(frame.TCPFin|frame.TCPSyn|frame.TCPRst) == 0
	case frame.ProtoUDP:
		n := int(binary.BigEndian.Uint16(t[4:]))
		return id, n >= header.UDPMinimumSize && n <= len(t) && !isIKE(binary.BigEndian.Uint32(t))
	case frame.ProtoICMP:
		return EchoID(binary.BigEndian.Uint16(t[4:]), t[0]), isEcho(t[0])
	}
	return 0, false
}

func isIKE(ports uint32) bool {
	src, dst := ports>>16, ports&0xffff
	return src == portIKE || src == portIKENATT || dst == portIKE || dst == portIKENATT
}

func isEcho(icmpType uint8) bool {
	return icmpType == uint8(header.ICMPv4Echo) || icmpType == uint8(header.ICMPv4EchoReply)
}
