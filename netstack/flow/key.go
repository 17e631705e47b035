package flow

import (
	"encoding/binary"

	"spigate/netstack/flow/bucket"
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

// KeyOf returns the key under which f would be looked up, or false if f is
// not for the fast path: not IPv4, options, a fragment, TTL 1 or less, a bad
// header checksum, a cut or lying transport header, TCP with SYN, FIN or RST,
// ICMP other than echo, IKE, or a link-layer broadcast.
func KeyOf(f *frame.Frame) (Key, bool) {
	k, ok := parse(f)
	if !ok {
		return Key{}, false
	}
	return unpacked(k), true
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

// packed is the key in the form that the table compares. The ID of an ICMP query
// is a number there, the others' are as on the wire.
func (k Key) packed() bucket.Key {
	var addrs [8]byte
	copy(addrs[:], k.Src[:])
	copy(addrs[4:], k.Dst[:])
	return bucket.MakeKey(binary.NativeEndian.Uint64(addrs[:]), wireID(k.ID, k.Proto), k.Proto, uint8(k.In))
}

// unpacked is the inverse of packed.
func unpacked(b bucket.Key) Key {
	k := Key{ID: wireID(b.ID(), b.Proto()), Proto: b.Proto(), In: frame.Interface(b.Context())}
	var addrs [8]byte
	binary.NativeEndian.PutUint64(addrs[:], b.Addrs())
	copy(k.Src[:], addrs[:])
	copy(k.Dst[:], addrs[4:])
	return k
}

// wireID turns an ID in host byte order into what the machine reads from the
// wire, and back.
func wireID(id uint32, proto uint8) uint32 {
	if proto == frame.ProtoICMP {
		return id
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], id)
	return binary.NativeEndian.Uint32(b[:])
}
