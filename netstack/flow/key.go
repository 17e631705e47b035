package flow

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// Key names one direction of one flow as it looks when it comes in, before
// any rewriting. It holds no pointer and is comparable.
type Key struct {
	Src, Dst frame.Addr
	ID       uint32 // host byte order: ESP's SPI, or PortsID, or EchoID
	Proto    uint8
	In       frame.Interface
}

// PortsID is the ID of a TCP or UDP key, from ports in host byte order.
func PortsID(src, dst uint16) uint32 { return uint32(src)<<16 | uint32(dst) }

// EchoID is the ID of an ICMP query's key. The type is in it because a
// request and a reply with the same identifier are different flows.
func EchoID(identifier uint16, icmpType uint8) uint32 {
	return uint32(identifier)<<16 | uint32(icmpType)
}

// The UDP ports of IKE (rule R50). The ALG must see every IKE message.
const (
	portIKE     = 500
	portIKENATT = 4500
)

const (
	ipLen = header.IPv4MinimumSize
	// minTransport is ESP's, UDP's and ICMP's header length, and the least
	// that any flow's packet has behind its IPv4 header.
	minTransport = 8
)

// KeyOf returns the key under which f would be looked up, or false if f is
// not for the fast path: not IPv4, options, a fragment, TTL 1 or less, a bad
// header checksum, a cut or lying transport header, TCP with SYN, FIN or RST,
// ICMP other than echo, IKE, or a link-layer broadcast.
func KeyOf(f *frame.Frame) (Key, bool) {
	w0, w1, ok := parse(f)
	if !ok {
		return Key{}, false
	}
	return keyOfWords(w0, w1), true
}

// KeyOfPacket returns the key of the flow that p belongs to, coming in on in,
// or false if no packet of that flow is for the fast path. Unlike KeyOf it
// does not judge this very packet: a SYN, or a packet with TTL 1, has the key
// of the packets that follow it. p must be as it came in, not rewritten.
func KeyOfPacket(p *frame.Packet, in frame.Interface) (Key, bool) {
	k := Key{Src: p.Src, Dst: p.Dst, Proto: p.Proto, In: in}
	if p.Fragment {
		return Key{}, false
	}
	switch p.Proto {
	case frame.ProtoESP:
		k.ID = p.SPI
		return k, true
	case frame.ProtoTCP:
		k.ID = PortsID(p.SrcPort, p.DstPort)
		return k, true
	case frame.ProtoUDP:
		k.ID = PortsID(p.SrcPort, p.DstPort)
		return k, !isIKE(k.ID)
	case frame.ProtoICMP:
		k.ID = EchoID(p.ICMPID, p.ICMPType)
		return k, isEcho(p.ICMPType)
	}
	return Key{}, false
}

// words packs the key into two words; the low 16 bits of the second are free.
func (k Key) words() (w0, w1 uint64) {
	w0 = uint64(binary.BigEndian.Uint32(k.Src[:]))<<32 | uint64(binary.BigEndian.Uint32(k.Dst[:]))
	return w0, uint64(k.ID)<<32 | uint64(k.Proto)<<24 | uint64(k.In)<<16
}

func keyOfWords(w0, w1 uint64) Key {
	k := Key{ID: uint32(w1 >> 32), Proto: uint8(w1 >> 24), In: frame.Interface(w1 >> 16)}
	binary.BigEndian.PutUint32(k.Src[:], uint32(w0>>32))
	binary.BigEndian.PutUint32(k.Dst[:], uint32(w0))
	return k
}

// parse is KeyOf in the words that the table compares.
func parse(f *frame.Frame) (w0, w1 uint64, ok bool) {
	b := f.Bytes()
	if len(b) < frame.HeaderLen+ipLen+minTransport || b[0]&1 != 0 ||
		binary.BigEndian.Uint16(b[12:]) != frame.TypeIPv4 {
		return 0, 0, false
	}
	ip := b[frame.HeaderLen:]
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0] != 0x45 || total < ipLen+minTransport || total > len(ip) ||
		binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 || ip[8] <= 1 {
		return 0, 0, false
	}
	if checksum.Checksum(ip[:ipLen], 0) != 0xffff {
		return 0, 0, false
	}
	id, ok := transportID(ip[9], ip[ipLen:total])
	if !ok {
		return 0, 0, false
	}
	w0 = binary.BigEndian.Uint64(ip[12:])
	return w0, uint64(id)<<32 | uint64(ip[9])<<24 | uint64(f.In)<<16, true
}

// transportID reads a key's ID from a transport header of at least
// minTransport bytes.
func transportID(proto uint8, t []byte) (uint32, bool) {
	id := binary.BigEndian.Uint32(t)
	switch proto {
	case frame.ProtoESP:
		return id, true
	case frame.ProtoTCP:
		return id, len(t) >= header.TCPMinimumSize &&
			t[header.TCPFlagsOffset]&(frame.TCPFin|frame.TCPSyn|frame.TCPRst) == 0
	case frame.ProtoUDP:
		n := int(binary.BigEndian.Uint16(t[4:]))
		return id, n >= header.UDPMinimumSize && n <= len(t) && !isIKE(id)
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
