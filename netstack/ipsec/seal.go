package ipsec

import "encoding/binary"

// Seal makes ESP of the IPv4 packet b[off:off+n], in place. The result is the
// IPv4 packet b[start:end], ready to be sent to Remote; there must be Headroom
// before off and Tailroom behind the packet. mtu is that of the interface it
// leaves by, 0: any.
//
// A packet that is too long for the way once it is sealed is TooBig if it has
// DF (VR35); the caller answers with ICMP 3/4 and MTU. Without DF it is sealed
// whole, and the caller cuts the result, which has no DF either. TTL is not
// touched: who forwards has counted down. For every verdict but Pass the packet
// is as it was.
func (sa *SA) Seal(b []byte, off, n, mtu int, now int64) (start, end int, v Verdict) {
	if v = sa.ready(now); v != Pass {
		return 0, 0, sa.count(v)
	}
	f, v := sa.plan(b, off, n, mtu, now)
	if v != Pass {
		return 0, 0, sa.count(v)
	}
	l := sa.crypt.take()
	if l == nil {
		return 0, 0, sa.count(Expired)
	}
	defer sa.crypt.put(l)
	number, v := sa.next(f.body - espHeader - sa.Suite.ivLen())
	if v != Pass {
		return 0, 0, sa.count(v)
	}
	sa.write(b, off, f)
	esp := b[f.esp:f.end]
	binary.BigEndian.PutUint32(esp, sa.SPI)
	binary.BigEndian.PutUint32(esp[4:], uint32(number))
	sa.crypt.iv(l, esp[espHeader:espHeader+sa.Suite.ivLen()], number)
	sa.crypt.seal(l, esp, uint32(number>>32), sa.ESN)
	sa.touch(now)
	return f.start, f.end, sa.count(Pass)
}

// form is where the parts of a sealed packet stand in its memory.
type form struct {
	start, esp, payload, trailer, end int

	hlen    int // of the inner header
	body    int // from the SPI to the ICV
	padding int
	next    uint8 // next header
}

// plan looks at a packet and says what becomes of it. It changes nothing.
func (sa *SA) plan(b []byte, off, n, mtu int, now int64) (f form, v Verdict) {
	if off < 0 || n < 0 || off+n > len(b) {
		return f, NoRoom
	}
	p := b[off : off+n]
	hlen, total, ok := ipv4(p)
	if !ok || total != n {
		return f, InnerMalformed
	}
	f = form{hlen: hlen, payload: off, trailer: off + n, next: protoIPv4}
	outer := 20
	if sa.Mode == Transport {
		if fragment(p) {
			return f, Fragment
		}
		outer, f.payload, f.next = hlen, off+hlen, p[9]
	}
	f.padding = sa.padding(f.trailer - f.payload)
	f.esp = f.payload - espHeader - sa.Suite.ivLen()
	f.start = f.payload - sa.before() - outer
	f.end = f.trailer + f.padding + espTrailer + sa.Suite.icvLen()
	f.body = f.end - sa.Suite.icvLen() - f.esp
	if length := f.end - f.start; length > maxIPv4 || dontFragment(p) && length > sa.narrow(mtu, now) {
		return f, TooBig
	}
	if f.start < 0 || f.end > len(b) {
		return f, NoRoom
	}
	return f, Pass
}

// next draws a sequence number and counts bytes. The last number ends the SA
// (RFC 4303 section 3.3.3); a manual one, whose receiver has no window, begins
// again.
func (sa *SA) next(bytes int) (uint64, Verdict) {
	if !sa.charge(bytes) {
		return 0, Expired
	}
	n := sa.sent.Add(1)
	if n > maxShort && !sa.ESN && !sa.Manual {
		sa.spent.Store(true)
		return 0, Exhausted
	}
	return n, Pass
}

// write puts everything around the payload that is not secret: the header, UDP,
// padding and trailer.
func (sa *SA) write(b []byte, off int, f form) {
	p := b[off:]
	proto, tos, df := uint8(protoESP), p[1], dontFragment(p)
	pad := b[f.trailer : f.trailer+f.padding+espTrailer]
	for i := range f.padding {
		pad[i] = byte(i + 1)
	}
	pad[f.padding], pad[f.padding+1] = byte(f.padding), f.next
	peer := sa.peer.Load() // as Redirect packs it
	if sa.port != 0 {
		proto = protoUDP
	}
	if sa.Mode == Transport {
		copy(b[f.start:], b[off:off+f.hlen])
		patch(b[f.start:f.end], proto)
	} else {
		id := uint16(0)
		if !df { // only what may be cut needs one (RFC 6864 section 4.1)
			id = uint16(sa.ids.Add(1))
		}
		putOuter(b[f.start:f.end], proto, tos, df, id, number(sa.Local), uint32(peer>>16))
	}
	if sa.port != 0 {
		putUDP(b[f.esp-udpHeader:f.end], sa.port, uint16(peer))
	}
}
