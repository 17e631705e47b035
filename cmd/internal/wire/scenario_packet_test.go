package wire

import (
	"encoding/binary"
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

// packetSpec is a packet as a script describes it. One that was sent and the
// one that should come out differ in addresses, ports and time to live only.
type packetSpec struct {
	proto    uint8
	src, dst frame.Endpoint // ports where the protocol has them; ICMP echo: the identifier
	ttl      uint8
	id       uint16
	mayCut   bool  // DF is clear
	tcpFlags uint8 // TCP only, as the two behind it
	tcpSeq   uint32
	tcpAck   uint32
	ours     bool   // the router itself has made it
	icmp     [4]int // ICMP only: type, code, and the two halves of the word behind the checksum
	payload  []byte // behind the transport header; for ESP and others everything
	piece    int    // from 1: only this IP fragment
	pieces   int    // 0: whole
	raw      []byte // the packet itself, if it is given as bytes
}

// bytes returns the packet with every checksum in place.
func (s packetSpec) bytes() []byte {
	if s.raw != nil {
		return s.raw
	}
	l4 := s.transport()
	b := make([]byte, 20, 20+len(l4))
	flags := uint8(header.IPv4FlagDontFragment)
	if s.mayCut || s.pieces > 0 || s.ourError() {
		flags = 0
	}
	offset := 0
	if s.pieces > 0 {
		size := (len(l4)/s.pieces + 7) &^ 7
		offset = min((s.piece-1)*size, len(l4))
		end := len(l4)
		if s.piece < s.pieces {
			end, flags = min(offset+size, end), header.IPv4FlagMoreFragments
		}
		l4 = l4[offset:end]
	}
	header.IPv4(b).Encode(&header.IPv4Fields{
		TOS: s.tos(), TotalLength: uint16(20 + len(l4)), ID: s.id, Flags: flags, FragmentOffset: uint16(offset), TTL: s.ttl,
		Protocol: s.proto, SrcAddr: tcpip.AddrFrom4(s.src.Addr), DstAddr: tcpip.AddrFrom4(s.dst.Addr),
	})
	header.IPv4(b).SetChecksum(^header.IPv4(b).CalculateChecksum())
	return append(b, l4...)
}

// ourError reports whether the router itself has made this ICMP error.
func (s *packetSpec) ourError() bool {
	return s.ours && s.proto == frame.ProtoICMP && s.icmp[0] != 0
}

// tos is that of internetwork control in refusals (RFC 1812, section 4.3.2.5).
// The stack's own errors have none.
func (s *packetSpec) tos() uint8 {
	if s.ourError() && s.icmp[1] == 13 {
		return 0xc0
	}
	return 0
}

// transport returns what is behind the IPv4 header of the whole datagram.
func (s packetSpec) transport() []byte {
	var b []byte
	at := 0
	switch s.proto {
	case frame.ProtoUDP:
		b, at = make([]byte, 8), 6
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(s.payload)))
	case frame.ProtoTCP:
		b, at = make([]byte, 20), 16
		binary.BigEndian.PutUint32(b[4:], s.tcpSeq)
		binary.BigEndian.PutUint32(b[8:], s.tcpAck)
		b[12], b[13] = 5<<4, s.tcpFlags
	case frame.ProtoICMP:
		b, at = []byte{byte(s.icmp[0]), byte(s.icmp[1]), 0, 0}, 2
		b = binary.BigEndian.AppendUint16(b, uint16(s.icmp[2]))
		b = binary.BigEndian.AppendUint16(b, uint16(s.icmp[3]))
	default:
		return s.payload
	}
	if s.proto != frame.ProtoICMP {
		binary.BigEndian.PutUint16(b, s.src.Port)
		binary.BigEndian.PutUint16(b[2:], s.dst.Port)
	} else if s.icmp[0] == 8 {
		binary.BigEndian.PutUint16(b[4:], s.src.Port)
	} else if s.icmp[0] == 0 {
		binary.BigEndian.PutUint16(b[4:], s.dst.Port)
	}
	b = append(b, s.payload...)
	sum := uint16(0)
	if s.proto != frame.ProtoICMP {
		sum = header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(s.proto),
			tcpip.AddrFrom4(s.src.Addr), tcpip.AddrFrom4(s.dst.Addr), uint16(len(b)))
	}
	binary.BigEndian.PutUint16(b[at:], ^checksum.Checksum(b, sum))
	return b
}

// ikeMessage is an IKE message as a script describes it.
type ikeMessage struct {
	version              byte
	initiator, responder uint64
	exchange, flags      byte
	id                   uint32
	size                 int    // of the message, bytes
	text                 string // makes it another message than its like
	frag, frags          uint16 // RFC 7383
}

func (m ikeMessage) bytes() []byte {
	b := make([]byte, max(28, m.size))
	binary.BigEndian.PutUint64(b, m.initiator)
	binary.BigEndian.PutUint64(b[8:], m.responder)
	b[16] = m.firstPayload()
	b[17], b[18], b[19] = m.version<<4, m.exchange, m.flags
	binary.BigEndian.PutUint32(b[20:], m.id)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	for i := range b[28:] {
		b[28+i] = byte(i)
	}
	if m.frags > 0 && len(b) >= 36 {
		binary.BigEndian.PutUint16(b[32:], m.frag)
		binary.BigEndian.PutUint16(b[34:], m.frags)
	}
	if len(m.text) > 0 && len(b) >= 36+len(m.text) {
		copy(b[36:], m.text)
	}
	return b
}

// firstPayload is the type of the first payload: security association, hash,
// encrypted, or encrypted fragment.
func (m ikeMessage) firstPayload() byte {
	switch {
	case m.frags > 0:
		return 53
	case m.version == 2 && m.exchange == 34:
		return 33
	case m.version == 2:
		return 46
	case m.exchange == 2 || m.exchange == 4:
		return 1
	}
	return 8
}

// ikeKinds are the messages that have a name: exchange type, and what tells
// the message from others of its exchange.
var ikeKinds = map[string]struct {
	version, exchange, flags byte
	text                     string
}{
	"mm1": {1, 2, 0, "mm1"}, "mm2": {1, 2, 0, "mm2"}, "mm3": {1, 2, 0, "mm3"}, "mm4": {1, 2, 0, "mm4"},
	"mm5": {1, 2, 1, "mm5"}, "mm6": {1, 2, 1, "mm6"},
	"ag1": {1, 4, 0, "ag1"}, "ag2": {1, 4, 0, "ag2"}, "ag3": {1, 4, 1, "ag3"},
	"qm1": {1, 32, 1, "qm1"}, "qm2": {1, 32, 1, "qm2"}, "qm3": {1, 32, 1, "qm3"},
	"connected": {1, 5, 1, "connected"}, "informational": {1, 5, 1, ""}, "xauth": {1, 6, 1, ""},
	"init": {2, 34, 0, ""}, "auth": {2, 35, 0, ""}, "child": {2, 36, 0, ""}, "info": {2, 37, 0, ""}, "followup": {2, 44, 0, ""},
}

// view is a packet in one line, for people.
func view(b []byte) string {
	var p frame.Packet
	if r := p.Parse(b); r != 0 {
		return fmt.Sprintf("%s: %x", r, b)
	}
	ends := fmt.Sprintf("%v > %v", p.Src, p.Dst)
	if p.Proto == frame.ProtoUDP || p.Proto == frame.ProtoTCP {
		ends = fmt.Sprintf("%v:%d > %v:%d", p.Src, p.SrcPort, p.Dst, p.DstPort)
	}
	if h := header.IPv4(b); p.Fragment {
		ends += fmt.Sprintf(" id=%d offset=%d more=%v", h.ID(), h.FragmentOffset(), h.More())
	}
	return fmt.Sprintf("%s %s ttl=%d len=%d", ends, viewProtocol(&p), p.TTL(), len(b))
}

func viewProtocol(p *frame.Packet) string {
	switch {
	case p.Fragment:
		return fmt.Sprintf("piece of protocol %d", p.Proto)
	case p.Proto == frame.ProtoESP:
		return fmt.Sprintf("esp spi=%x seq=%d", p.SPI, p.Seq)
	case p.ICMPError():
		if q, r := p.Quote(); r == 0 {
			return fmt.Sprintf("icmp type=%d quoting %v > %v spi=%x", p.ICMPType, q.Src, q.Dst, q.SPI)
		}
		return fmt.Sprintf("icmp type=%d", p.ICMPType)
	case p.Proto == frame.ProtoICMP:
		return fmt.Sprintf("icmp type=%d id=%d", p.ICMPType, p.ICMPID)
	case p.Proto == frame.ProtoTCP:
		t := header.TCP(p.Transport())
		return fmt.Sprintf("tcp flags=%x seq=%d ack=%d", p.TCPFlags, t.SequenceNumber(), t.AckNumber())
	case p.Proto == frame.ProtoUDP:
		return viewIKE(p.UDPPayload(), p.SrcPort == 4500 || p.DstPort == 4500)
	}
	return fmt.Sprintf("protocol %d", p.Proto)
}

// viewIKE names the message if it looks like IKE.
func viewIKE(b []byte, natt bool) string {
	if natt && len(b) > 4 && binary.BigEndian.Uint32(b) == 0 {
		b = b[4:]
	}
	if len(b) < 28 || b[17]>>4 < 1 || b[17]>>4 > 2 {
		return "udp"
	}
	name := fmt.Sprintf("exchange %d", b[18])
	for k, v := range ikeKinds {
		if v.version != b[17]>>4 || v.exchange != b[18] {
			continue
		}
		if v.text == "" && name[0] == 'e' || v.text != "" && len(b) > 46 && string(b[36:36+len(v.text)]) == v.text {
			name = k
		}
	}
	if b[17]>>4 == 2 && b[19]&0x20 != 0 {
		name += " resp"
	}
	return fmt.Sprintf("ike%d %s spi=%x:%x id=%d", b[17]>>4, name, binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]),
		binary.BigEndian.Uint32(b[20:]))
}
