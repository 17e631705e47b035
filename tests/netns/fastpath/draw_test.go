package fastpath

import (
	"encoding/binary"
	"math/rand/v2"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// draw makes the packets of the steps: mostly ones that the fast path should
// take, some that it must not, and some that nobody should send.
type draw struct {
	*rand.Rand
	shape shape
	talks []*talk
	spi   uint32
}

// step is what goes into every bed next. Only packets that change nothing but
// counters go in together, as their order is nobody's promise.
func (d *draw) step() []drawn {
	if d.IntN(10) < 6 {
		var out []drawn
		for range 1 + d.IntN(24) {
			side, p := d.established()
			out = append(out, d.framed(side, d.oddHarmless(p)))
		}
		return out
	}
	return d.wild()
}

// heard tells the TCP flows what arrived on each side.
func (d *draw) heard(frames [2][][]byte) {
	for side, list := range frames {
		for _, b := range list {
			var p frame.Packet
			if p.Parse(untagged(b)[frame.HeaderLen:]) != drop.None || p.Proto != frame.ProtoTCP || p.Fragment || transportSum(p.Bytes()) != 0xffff {
				continue
			}
			for _, k := range d.talks {
				if k.heard != nil {
					k.heard(side, &p)
				}
			}
		}
	}
}

func pick[T any](d *draw, list ...T) T { return list[d.IntN(len(list))] }

// established is a packet of one of the flows, and where it goes in.
func (d *draw) established() (side int, packet []byte) {
	side = d.IntN(2)
	k := pick(d, d.talks...)
	data := make([]byte, d.size(k, side))
	for i := range data {
		data[i] = byte(d.Uint32())
	}
	return side, k.packet(side, data)
}

// size is how much data a packet of the flow carries, so that whole packets have
// lengths where something may change: the shortest frame, the MTU of either
// port.
func (d *draw) size(k *talk, side int) int {
	if d.IntN(3) > 0 {
		return d.IntN(200)
	}
	headers := len(k.packet(side, nil))
	edge := pick(d, 46, d.shape.mtu[lan], d.shape.mtu[wan], 1500)
	total := edge + pick(d, -1, 0, 0, 1)
	if longest := d.shape.mtu[side] + 4; total > longest { // the kernel gives no longer one to the port
		total = longest
	}
	return max(0, total-headers)
}

// oddHarmless changes a packet in ways that no state depends on.
func (d *draw) oddHarmless(b []byte) []byte {
	h := header.IPv4(b)
	if d.IntN(4) == 0 {
		h.SetTOS(uint8(d.Uint32()), 0)
	}
	if d.IntN(4) == 0 {
		h.SetFlagsFragmentOffset(0, 0)
	}
	h.SetID(pick[uint16](d, 0, 1, 0x1234, 0xffff, uint16(d.Uint32())))
	h.SetTTL(pick[uint8](d, 64, 64, 64, 2, 3, 128, 255))
	sumUp(b)
	at := sumAt(b)
	switch d.IntN(12) {
	case 0:
		if at != 0 && b[9] == frame.ProtoUDP {
			clear(b[at : at+2]) // none
		}
	case 1:
		if at != 0 && b[9] != frame.ProtoICMP {
			b[at] ^= 1 << d.IntN(8) // wrong, and the receiver's business
		}
	case 2:
		b = d.zeroSum(b)
	}
	return b
}

// zeroSum gives a UDP packet the data with which its checksum comes out as zero
// once it is translated, or nearly so: both zeros of one's complement appear.
func (d *draw) zeroSum(b []byte) []byte {
	if b[9] != frame.ProtoUDP || len(b) < 30 {
		return b
	}
	target := pick[uint16](d, 0xffff, 0, 1, 0xfffe)
	have := ^binary.BigEndian.Uint16(b[26:])
	word := binary.BigEndian.Uint16(b[28:])
	sum := uint32(word) + uint32(target) + uint32(^have)
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[28:], uint16(sum))
	binary.BigEndian.PutUint16(b[26:], 0)
	if s := ^transportSum(b); s != 0 {
		binary.BigEndian.PutUint16(b[26:], s)
	} else {
		binary.BigEndian.PutUint16(b[26:], 0xffff)
	}
	return b
}

// framed puts a packet into a frame for the router, tagged as its network is.
func (d *draw) framed(side int, packet []byte) drawn {
	if n := 46 - len(packet); n > 0 && d.IntN(2) == 0 {
		packet = append(packet, make([]byte, n)...) // what Ethernet adds
	}
	return drawn{side, d.tagged(side, inFrame(routerMAC[side], frame.Addr(packet[12:16]), packet))}
}

// tagged puts the tag of a side's network into a frame, with any priority; where
// there is none, sometimes one that is of priority alone.
func (d *draw) tagged(side int, b []byte) []byte {
	priority := uint16(d.IntN(16)) << 12
	switch tag := d.shape.tag[side]; {
	case tag != 0:
		return withTag(b, priority|tag)
	case d.IntN(8) == 0:
		return withTag(b, priority)
	}
	return b
}

// wild is a packet, or the pieces of one, that may do anything.
func (d *draw) wild() []drawn {
	side, b := d.established()
	if d.IntN(5) == 0 {
		b = d.stranger(side)
	}
	b = d.oddHarmless(b)
	switch d.IntN(14) {
	case 0:
		header.IPv4(b).SetTTL(pick[uint8](d, 0, 1))
		sumUp(b)
	case 1:
		b[10+d.IntN(2)] ^= 1 << d.IntN(8) // a wrong header checksum
	case 2:
		b = d.options(b)
	case 3, 4:
		return d.pieces(side, b)
	case 5:
		b = d.lying(b)
	case 6:
		return []drawn{d.oddFrame(side, b)}
	case 7:
		return []drawn{d.framed(side, d.ended(side))}
	case 8:
		return []drawn{d.framed(1-side, d.complaint(b))}
	case 9:
		d.flip(b)
	}
	if len(b) < 20 {
		b = append(b, make([]byte, 20-len(b))...)
	}
	return []drawn{d.framed(side, b)}
}

// flip turns one bit around, but not in the numbers of TCP: which forged ones
// are believed is for the stack to say as long as it sees the packets, and the
// fast path keeps the greatest (VR17).
func (d *draw) flip(b []byte) {
	at := d.IntN(len(b))
	if b[9] == frame.ProtoTCP && at >= 24 && at < 32 {
		at = 14
	}
	b[at] ^= 1 << d.IntN(8)
}

// options puts IPv4 options into a packet: a router alert, no-operations, or a
// route to be recorded.
func (d *draw) options(b []byte) []byte {
	opts := pick(d, []byte{148, 4, 0, 0}, []byte{1, 1, 1, 1}, []byte{7, 7, 4, 0, 0, 0, 0, 0})
	p := append(append(append([]byte(nil), b[:20]...), opts...), b[20:]...)
	p[0] = 0x40 | byte((20+len(opts))/4)
	header.IPv4(p).SetTotalLength(uint16(len(p)))
	sumUp(p)
	return p
}

// pieces cuts a packet in two or three, in any order, or loses some.
func (d *draw) pieces(side int, b []byte) (out []drawn) {
	behind := len(b) - 20
	cut := []int{0, 8 * (1 + d.IntN(4))}
	if d.IntN(2) == 0 {
		cut = append(cut, cut[1]+8*(1+d.IntN(4)))
	}
	for i, from := range cut {
		to := behind
		if i+1 < len(cut) {
			to = min(cut[i+1], behind)
		}
		if from < to {
			out = append(out, d.framed(side, piece(b, from, to, to < behind)))
		}
	}
	d.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:len(out)-min(d.IntN(4)/3, len(out)-1)]
}

// lying is a packet whose lengths are wrong.
func (d *draw) lying(b []byte) []byte {
	off := pick(d, -20, -9, -8, -1, 1, 8, 1000)
	switch d.IntN(4) {
	case 0:
		header.IPv4(b).SetTotalLength(uint16(len(b) + off))
		sumUp(b)
	case 1:
		if b[9] == frame.ProtoUDP {
			binary.BigEndian.PutUint16(b[24:], pick(d, 0, 7, 8, uint16(len(b)-20+off), 0xffff))
		}
	case 2:
		b[0] = pick[byte](d, 0x44, 0x46, 0x55, 0x4f)
		b[10], b[11] = 0, 0
		header.IPv4(b).SetChecksum(^header.IPv4(append([]byte{0x45}, b[1:]...)).CalculateChecksum())
	case 3:
		b = append(b, "trailer"...)
	}
	return b
}

// oddFrame is a packet in a frame that is odd: for somebody else, for everybody,
// of another VLAN, with two tags.
func (d *draw) oddFrame(side int, b []byte) drawn {
	f := inFrame(routerMAC[side], frame.Addr(b[12:16]), b)
	switch d.IntN(6) {
	case 0:
		copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	case 1:
		f[0] |= 1
	case 2:
		f[5] ^= 0x80
	case 3:
		return drawn{side, withTag(f, d.shape.tag[side]+pick[uint16](d, 1, 7))}
	case 4:
		return drawn{side, withTag(withTag(f, d.shape.tag[side]), d.shape.tag[side])}
	case 5:
		copy(f[6:], routerMAC[side][:])
	}
	return drawn{side, d.tagged(side, f)}
}

// stranger is a packet of no flow that is established.
func (d *draw) stranger(side int) []byte {
	in, out := at(pick(d, client1, client2, own), uint16(d.Uint32())), at(pick(d, upstream, server2, served), pick[uint16](d, 53, 80, 500, 4500))
	if side == wan {
		in, out = out, at(pick(d, natAddr, ownNAT, wanAddr, client1), uint16(d.Uint32()))
	}
	d.spi++
	data := make([]byte, d.IntN(64))
	switch d.IntN(7) {
	case 0:
		return esp(in.Addr, out.Addr, 0x5000+d.spi, 1, data)
	case 1:
		return tcp(in, out, d.Uint32(), d.Uint32(), pick[uint8](d, syn, syn|ack, ack, rst, fin|ack), data)
	case 2:
		return udp(at(in.Addr, pick[uint16](d, 500, 4500)), at(out.Addr, pick[uint16](d, 500, 4500)), data)
	case 3:
		return ip(in.Addr, out.Addr, pick[uint8](d, 47, 51, 2), data)
	case 4:
		return echo(in.Addr, out.Addr, pick[uint8](d, 0, 8, 13), in.Port, data)
	}
	return udp(in, out, data)
}

// ended is a segment that ends a TCP flow, or a SYN where nobody expects one.
func (d *draw) ended(side int) []byte {
	var streams []*talk
	for _, k := range d.talks {
		if k.end != nil {
			streams = append(streams, k)
		}
	}
	return pick(d, streams...).end(side, pick[uint8](d, fin, rst, syn, fin|rst))
}

// complaint is an ICMP error of the other side's about a packet as it came in
// here, which is not how it left: nothing may match, or all of it.
func (d *draw) complaint(b []byte) []byte {
	about := b[:min(len(b), 28+d.IntN(20))]
	return unreachable(frame.Addr(b[16:20]), frame.Addr(b[12:16]), pick[uint8](d, 0, 1, 3, 4), 1300, about)
}
