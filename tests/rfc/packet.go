package rfc

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// at makes an endpoint of "address:port".
func at(s string) frame.Endpoint {
	e := netip.MustParseAddrPort(s)
	return frame.Endpoint{Addr: e.Addr().As4(), Port: e.Port()}
}

// datagram is a packet as a test thinks of it. Ports of an ICMP query: the
// identifier stands in Src, or for a reply in Dst.
type datagram struct {
	Proto    uint8
	Src, Dst frame.Endpoint
	Flags    uint8  // TCP
	Type     uint8  // ICMP
	Code     uint8  // ICMP
	MTU      uint16 // ICMP type 3 code 4
	Body     []byte // payload; for an ICMP error the packet that it quotes
	TTL      uint8  // 0: 64
	DF       bool
	ID       uint16
	Options  []byte // of IPv4, a multiple of four bytes
	NoSum    bool   // UDP without a checksum
	More     bool   // a fragment follows
	Offset   uint16 // of a fragment, in bytes
	Raw      bool   // Body is all that follows the IPv4 header
}

func (d datagram) String() string {
	return fmt.Sprintf("proto %d %v>%v flags %x icmp %d/%d ttl %d df %v, %d bytes", d.Proto, d.Src, d.Dst, d.Flags, d.Type, d.Code, d.TTL, d.DF, len(d.Body))
}

func udp(src, dst frame.Endpoint, body ...byte) datagram {
	return datagram{Proto: frame.ProtoUDP, Src: src, Dst: dst, Body: append([]byte("hello"), body...)}
}

func tcp(src, dst frame.Endpoint, flags uint8) datagram {
	return datagram{Proto: frame.ProtoTCP, Src: src, Dst: dst, Flags: flags}
}

// Flags of TCP segments, in the order of a connection's life.
const (
	syn    = frame.TCPSyn
	synAck = frame.TCPSyn | 0x10
	ack    = 0x10
	fin    = frame.TCPFin | 0x10
	rst    = frame.TCPRst
)

// ping is an echo request; the identifier is src's port.
func ping(src frame.Endpoint, dst frame.Addr) datagram {
	return datagram{Proto: frame.ProtoICMP, Type: 8, Src: src, Dst: frame.Endpoint{Addr: dst}, Body: []byte("ping")}
}

// pong answers a ping that came from dst.
func pong(src frame.Addr, dst frame.Endpoint) datagram {
	return datagram{Proto: frame.ProtoICMP, Type: 0, Src: frame.Endpoint{Addr: src}, Dst: dst, Body: []byte("ping")}
}

// about is an ICMP error that from sends to the source of what it has seen.
func about(from frame.Addr, seen datagram, kind, code uint8) datagram {
	return datagram{
		Proto: frame.ProtoICMP, Type: kind, Code: code,
		Src: frame.Endpoint{Addr: from}, Dst: frame.Endpoint{Addr: seen.Src.Addr}, Body: seen.bytes(),
	}
}

// bytes is the packet on the wire, with all checksums.
func (d datagram) bytes() []byte {
	payload := d.Body
	if !d.Raw {
		payload = d.transport()
	}
	head := header.IPv4MinimumSize + len(d.Options)
	b := make([]byte, head+len(payload))
	copy(b[header.IPv4MinimumSize:], d.Options)
	copy(b[head:], payload)
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b)), ID: d.ID, TTL: max(d.TTL, 1), Protocol: d.Proto,
		SrcAddr: tcpip.AddrFrom4(d.Src.Addr), DstAddr: tcpip.AddrFrom4(d.Dst.Addr),
	})
	if d.TTL == 0 {
		b[8] = 64
	}
	b[0] = 4<<4 | uint8(head/4)
	flags := d.Offset / 8
	if d.More {
		flags |= 1 << 13
	}
	if d.DF {
		flags |= 1 << 14
	}
	binary.BigEndian.PutUint16(b[6:], flags)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	return b
}

func (d datagram) transport() []byte {
	pseudo := func(n int) uint16 {
		return header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(d.Proto), tcpip.AddrFrom4(d.Src.Addr), tcpip.AddrFrom4(d.Dst.Addr), uint16(n))
	}
	switch d.Proto {
	case frame.ProtoUDP:
		b := make([]byte, 8, 8+len(d.Body))
		binary.BigEndian.PutUint16(b, d.Src.Port)
		binary.BigEndian.PutUint16(b[2:], d.Dst.Port)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(d.Body)))
		b = append(b, d.Body...)
		if !d.NoSum {
			binary.BigEndian.PutUint16(b[6:], ^checksum.Checksum(b, pseudo(len(b))))
		}
		return b
	case frame.ProtoTCP:
		b := make([]byte, 20, 20+len(d.Body))
		binary.BigEndian.PutUint16(b, d.Src.Port)
		binary.BigEndian.PutUint16(b[2:], d.Dst.Port)
		b[12], b[13] = 5<<4, d.Flags
		b = append(b, d.Body...)
		binary.BigEndian.PutUint16(b[16:], ^checksum.Checksum(b, pseudo(len(b))))
		return b
	case frame.ProtoICMP:
		b := make([]byte, 8, 8+len(d.Body))
		b[0], b[1] = d.Type, d.Code
		switch {
		case d.Type == 8:
			binary.BigEndian.PutUint16(b[4:], d.Src.Port)
		case d.Type == 0:
			binary.BigEndian.PutUint16(b[4:], d.Dst.Port)
		default:
			binary.BigEndian.PutUint16(b[6:], d.MTU)
		}
		b = append(b, d.Body...)
		binary.BigEndian.PutUint16(b[2:], ^checksum.Checksum(b, 0))
		return b
	}
	return d.Body
}

// parse reads a packet and checks every checksum in it.
func parse(b []byte) (d datagram, err error) {
	ip := header.IPv4(b)
	if !ip.IsValid(len(b)) || !ip.IsChecksumValid() {
		return d, fmt.Errorf("bad IPv4 header: % x", b)
	}
	d = datagram{
		Proto: ip.Protocol(), TTL: ip.TTL(), ID: ip.ID(), DF: b[6]&0x40 != 0,
		More: ip.More(), Offset: ip.FragmentOffset(), Options: append([]byte(nil), ip.Options()...),
	}
	d.Src.Addr, d.Dst.Addr = frame.Addr(b[12:16]), frame.Addr(b[16:20])
	t := b[ip.HeaderLength():ip.TotalLength()]
	if d.Offset > 0 {
		d.Body, d.Raw = t, true
		return d, nil
	}
	return d, d.readTransport(t)
}

func (d *datagram) readTransport(t []byte) error {
	if least := map[uint8]int{frame.ProtoUDP: 8, frame.ProtoTCP: 20, frame.ProtoICMP: 8}[d.Proto]; len(t) < least {
		return fmt.Errorf("transport header of %d bytes", len(t))
	}
	sum := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(d.Proto), tcpip.AddrFrom4(d.Src.Addr), tcpip.AddrFrom4(d.Dst.Addr), uint16(len(t)))
	switch d.Proto {
	case frame.ProtoUDP:
		d.Src.Port, d.Dst.Port = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
		d.NoSum = t[6] == 0 && t[7] == 0
		d.Body = t[8:]
		if d.NoSum {
			return nil
		}
	case frame.ProtoTCP:
		d.Src.Port, d.Dst.Port = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
		d.Flags, d.Body = t[13], t[t[12]>>4*4:]
	case frame.ProtoICMP:
		sum = 0
		d.Type, d.Code, d.Body = t[0], t[1], t[8:]
		switch d.Type {
		case 8:
			d.Src.Port = binary.BigEndian.Uint16(t[4:])
		case 0:
			d.Dst.Port = binary.BigEndian.Uint16(t[4:])
		default:
			d.MTU = binary.BigEndian.Uint16(t[6:])
		}
	default:
		d.Body = t
		return nil
	}
	if !d.More && checksum.Checksum(t, sum) != 0xffff {
		return fmt.Errorf("bad checksum of protocol %d: % x", d.Proto, t)
	}
	return nil
}

// quoted reads the packet in an ICMP error, which may be cut and whose
// checksums need not be right but for the IPv4 header's.
func (d datagram) quoted() (q datagram, err error) {
	ip := header.IPv4(d.Body)
	if len(d.Body) < 28 || !ip.IsChecksumValid() {
		return q, fmt.Errorf("bad quote: % x", d.Body)
	}
	q = datagram{Proto: ip.Protocol(), TTL: ip.TTL(), ID: ip.ID()}
	q.Src.Addr, q.Dst.Addr = frame.Addr(d.Body[12:16]), frame.Addr(d.Body[16:20])
	t := d.Body[ip.HeaderLength():]
	if q.Proto == frame.ProtoICMP {
		q.Type, q.Code, q.Src.Port = t[0], t[1], binary.BigEndian.Uint16(t[4:])
		return q, nil
	}
	q.Src.Port, q.Dst.Port = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	return q, nil
}
