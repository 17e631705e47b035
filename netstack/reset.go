package netstack

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// What a listener answers by itself: RST to TCP, ICMP to everything else.

// maxRejects bounds how many refusals are answered in a second, as BIG-IP's
// tm.maxrejectrate: somebody who floods is not paid back packet for packet.
const maxRejects = 250

// rejects counts the answers of the running second.
type rejects struct {
	mu    sync.Mutex
	since int64 // its start, monotonic ns
	n     int
}

func (j *rejects) allow(now int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now-j.since >= int64(sweepEvery) {
		j.since, j.n = now, 0
	}
	j.n++
	return j.n <= maxRejects
}

// answerRefusal tells the sender of a flow's first packet that it is refused: by
// RST, or with ICMP 3/13 (VR9, VR18).
func (r *Router) answerRefusal(p *packet) {
	if p.Proto == frame.ProtoTCP {
		r.answerReset(p)
		return
	}
	from, ok := r.addressOn(p.in, p.Src)
	if ok && r.answerable(p) && r.rejects.allow(p.now) {
		r.unreachable(codeProhibited, from, p.Bytes(), mostQuoted)
	}
}

// answerReset answers a TCP segment with a RST that its sender believes (RFC
// 9293 section 3.5.2); a RST is not answered.
func (r *Router) answerReset(p *packet) {
	if p.TCPFlags&frame.TCPRst == 0 && r.answerable(p) && r.rejects.allow(p.now) {
		r.answerSegment(p)
	}
}

func (r *Router) answerSegment(p *packet) {
	s := vserver.SegmentOf(&p.Packet)
	answer := vserver.Reset{Key: vserver.KeyOf(&p.Packet).Reversed(), Seq: s.Ack}
	if s.Flags&tcpACK == 0 {
		answer.Seq, answer.Ack, answer.HasAck = 0, s.Seq+s.Size, true
	}
	r.sendReset(answer)
}

// outward gives a 5-tuple that leaves a subscriber the source that its session
// has outside. Without one there is nothing that the remote side would believe.
func (r *Router) outward(k *vserver.Key) bool {
	t := lsn.Tuple{Proto: k.Proto, Inside: frame.Endpoint{Addr: k.Src, Port: k.SrcPort}, Remote: frame.Endpoint{Addr: k.Dst, Port: k.DstPort}}
	b, ok := r.lsn.FindOut(t)
	if ok {
		k.Src, k.SrcPort = b.Outside.Addr, b.Outside.Port
		return true
	}
	return r.lsn.Exempt(t)
}

// reset tells one side of a connection that it has ended (VR17).
func (r *Router) reset(x vserver.Reset) {
	if x.ByLSN && x.To == vserver.Remote && !r.outward(&x.Key) {
		return
	}
	r.sendReset(x)
}

// sendReset sends a RST to its side.
func (r *Router) sendReset(x vserver.Reset) {
	from, to := tcpip.AddrFrom4(x.Key.Src), tcpip.AddrFrom4(x.Key.Dst)
	b := make([]byte, header.IPv4MinimumSize+header.TCPMinimumSize)
	header.IPv4(b).Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b)), TTL: 64, Protocol: frame.ProtoTCP, Flags: header.IPv4FlagDontFragment, SrcAddr: from, DstAddr: to,
	})
	t := header.TCP(b[header.IPv4MinimumSize:])
	binary.BigEndian.PutUint16(t[0:], x.Key.SrcPort)
	binary.BigEndian.PutUint16(t[2:], x.Key.DstPort)
	binary.BigEndian.PutUint32(t[4:], x.Seq)
	t[12], t[13] = header.TCPMinimumSize<<2, frame.TCPRst
	if x.HasAck {
		binary.BigEndian.PutUint32(t[8:], x.Ack)
		t[13] |= tcpACK
	}
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, from, to, uint16(len(t)))
	binary.BigEndian.PutUint16(t[16:], ^checksum.Checksum(t, sum))
	r.originate(b)
}
