package wire

import (
	"encoding/binary"
	"strconv"
	"strings"

	"spigate/netstack/frame"
)

// spoken is a packet as a line of the script describes it.
type spoken struct {
	packetSpec
	from, to end    // as written; zero where the line says nothing
	ports    bool   // the protocol has ports
	name     string // name=, to be quoted later
	word     string // ipid=
}

// readPacket reads the words behind a host's name, or behind "expect PORT".
// fromInside tells which side sends.
func (w *world) readPacket(in *words, fromInside bool) spoken {
	s := spoken{packetSpec: packetSpec{ttl: 64, id: 7}}
	if text, ok := in.key("from"); ok {
		s.from = w.end(in, text)
	}
	if text, ok := in.key("to"); ok {
		s.to = w.end(in, text)
	}
	s.name, _ = in.key("name")
	s.word, _ = in.key("ipid")
	s.mayCut, s.ours = in.flag("cut"), in.flag("ours")
	switch kind := in.next("what kind of packet"); kind {
	case "ike1", "ike2":
		w.readIKE(in, &s, kind[3]-'0', fromInside)
	case "esp":
		s.proto = frame.ProtoESP
		b := make([]byte, in.number("size", 100, 10, 16))
		if len(b) >= 8 {
			binary.BigEndian.PutUint32(b, uint32(in.number("spi", 0, 16, 32)))
			binary.BigEndian.PutUint32(b[4:], uint32(in.number("seq", 1, 10, 32)))
		}
		s.payload = b
	case "ah":
		s.proto, s.payload = frame.ProtoAH, make([]byte, 24)
	case "udp":
		w.readPorts(in, &s, frame.ProtoUDP, 40000, 53)
		text, _ := in.key("text")
		s.payload = append([]byte(text), make([]byte, in.number("size", 0, 10, 16))...)
		if text, ok := in.key("hex"); ok {
			s.payload = in.hex(text)
		}
	case "tcp":
		w.readPorts(in, &s, frame.ProtoTCP, 40000, 443)
		s.tcpFlags = byte(in.number("flags", 2, 16, 8))
		s.tcpSeq, s.tcpAck = uint32(in.number("seq", 0, 10, 32)), uint32(in.number("ack", 0, 10, 32))
		text, _ := in.key("text")
		s.payload = []byte(text)
	case "ping", "pong":
		s.proto, s.ports = frame.ProtoICMP, true
		s.icmp[0] = map[string]int{"ping": 8, "pong": 0}[kind]
		s.src.Port = uint16(in.number("id", 1, 10, 16))
		s.dst.Port = s.src.Port
		s.payload = make([]byte, 8)
	case "icmp":
		w.readError(in, &s)
	case "ip":
		s.raw = in.hex(in.next("the packet in hexadecimal"))
	default:
		in.fail("no packet is called %q", kind)
	}
	if n := in.number("ttl", 64, 10, 8); n != 64 {
		s.ttl = uint8(n)
	}
	piece, pieces := in.two("piece", "/", 10)
	s.piece, s.pieces = int(piece), int(pieces)
	return s
}

func (w *world) readPorts(in *words, s *spoken, proto uint8, src, dst uint64) {
	s.proto, s.ports = proto, true
	s.src.Port = uint16(in.number("sport", src, 10, 16))
	s.dst.Port = uint16(in.number("dport", dst, 10, 16))
}

// readIKE reads an IKE message, on port 4500 behind its marker.
func (w *world) readIKE(in *words, s *spoken, version byte, fromInside bool) {
	natt := in.flag("natt")
	port := uint64(500)
	if natt {
		port = 4500
	}
	w.readPorts(in, s, frame.ProtoUDP, port, port)
	m := ikeMessage{version: version}
	kind := in.next("the exchange")
	if k, ok := ikeKinds[kind]; ok && k.version == version {
		m.exchange, m.flags, m.text = k.exchange, k.flags, k.text
	} else if n, err := strconv.ParseUint(kind, 10, 8); err == nil {
		m.exchange = byte(n)
	} else {
		in.fail("IKEv%d has no message called %q", version, kind)
	}
	if version == 2 && fromInside {
		m.flags |= 0x08
	}
	if in.flag("resp") {
		m.flags |= 0x20
	}
	m.initiator, m.responder = in.two("spi", ":", 16)
	m.id = uint32(in.number("id", 0, 10, 32))
	m.size = int(in.number("size", 328, 10, 16))
	if text, ok := in.key("text"); ok {
		m.text = text
	}
	frag, frags := in.two("frag", "/", 10)
	m.frag, m.frags = uint16(frag), uint16(frags)
	s.payload = m.bytes()
	if text, ok := in.key("claims"); ok { // a length field that lies
		binary.BigEndian.PutUint32(s.payload[24:], uint32(in.parse("claims", text, 10, 32)))
	}
	if natt {
		s.payload = append(make([]byte, 4), s.payload...)
	}
}

// readError reads an ICMP error and the start of the packet that it quotes.
func (w *world) readError(in *words, s *spoken) {
	s.proto = frame.ProtoICMP
	switch kind := in.next("which ICMP error"); kind {
	case "too-big":
		s.icmp = [4]int{3, 4, 0, int(in.number("mtu", 1300, 10, 16))}
	case "unreachable":
		s.icmp = [4]int{3, 1}
	case "prohibited":
		s.icmp = [4]int{3, 13}
	case "expired":
		s.icmp = [4]int{11, 0}
	default:
		in.fail("no ICMP error is called %q", kind)
	}
	quote, _ := in.key("quote")
	name, side, _ := strings.Cut(quote, ".")
	c, ok := w.named[name]
	b := c.outside
	if side == "inside" {
		b = c.inside
	}
	if !ok || side != "inside" && side != "outside" {
		in.fail("quote=%s: want quote=NAME.inside or NAME.outside of a packet with name=NAME", quote)
	}
	s.payload = b[:min(len(b), int(in.number("first", 28, 10, 16)))]
}

// conversation is a packet as it looks on both sides, behind the router.
type conversation struct{ inside, outside []byte }
