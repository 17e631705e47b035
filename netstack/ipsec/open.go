package ipsec

import "encoding/binary"

// Open makes an IPv4 packet of ESP, in place: p is a whole IPv4 packet with ESP
// for this SA, bare or in UDP. The result borrows p's memory. In transport mode
// it is the same packet without ESP; in tunnel mode the inner one, with the
// congestion that was marked outside (RFC 6040). p's bytes are spoilt in either
// case, also by a packet that is not authentic.
//
// Whether the SA was made for what is inside is not asked here (Admits).
func (sa *SA) Open(p []byte, now int64) (inner []byte, v Verdict) {
	inner, _, v = sa.take(p, now)
	return inner, v
}

// take is Open. newest says that the packet is authentic and that its number is
// the highest so far.
func (sa *SA) take(p []byte, now int64) (inner []byte, newest bool, v Verdict) {
	if v = sa.ready(now); v != Pass {
		return nil, false, sa.count(v)
	}
	inner, newest, v = sa.open(p)
	if v == Pass || v == Dummy {
		sa.touch(now)
	}
	return inner, newest, sa.count(v)
}

func (sa *SA) open(p []byte) (inner []byte, newest bool, v Verdict) {
	esp, hlen, udp, ok := locate(p)
	if !ok || !sa.fits(esp) {
		return nil, false, Malformed
	}
	body, newest, v := sa.authentic(esp)
	if v != Pass {
		return nil, false, v
	}
	if !sa.charge(len(body)) {
		return nil, newest, Expired
	}
	payload, next, v := trailer(body)
	switch {
	case v != Pass:
		return nil, newest, v
	case next == protoDummy:
		return nil, newest, Dummy
	case sa.Mode == Transport:
		return sa.bare(p, len(payload), hlen, next, udp), newest, Pass
	case next != protoIPv4:
		return nil, newest, NextHeader
	}
	inner, v = unwrap(payload, p[1])
	return inner, newest, v
}

// fits reports whether the lengths can be: a trailer at least, in whole blocks.
func (sa *SA) fits(esp []byte) bool {
	n := len(esp) - espHeader - sa.Suite.ivLen() - sa.Suite.icvLen()
	return n > 0 && n&(sa.Suite.align()-1) == 0
}

// authentic checks number and ICV, and decrypts: the window is asked before and
// moved after (VR33).
func (sa *SA) authentic(esp []byte) (body []byte, newest bool, v Verdict) {
	number, fresh := sa.window.check(binary.BigEndian.Uint32(esp[4:]))
	if !fresh {
		return nil, false, Replay
	}
	l := sa.crypt.take()
	if l == nil {
		return nil, false, Expired
	}
	defer sa.crypt.put(l)
	body, ok := sa.crypt.open(l, esp, uint32(number>>32), sa.ESN)
	if !ok {
		return nil, false, ICV
	}
	fresh, newest = sa.window.accept(number)
	if !fresh {
		return nil, false, Replay
	}
	return body, newest, Pass
}

// trailer takes padding and trailer off. The padding of an authentic packet is
// what the sender wrote; that it counts 1, 2, 3, … is checked all the same (RFC
// 4303 section 2.4).
func trailer(body []byte) (payload []byte, next uint8, v Verdict) {
	n := len(body) - espTrailer
	pad, next := int(body[n]), body[n+1]
	if pad > n {
		return nil, 0, Padding
	}
	for i, x := range body[n-pad : n] {
		if int(x) != i+1 {
			return nil, 0, Padding
		}
	}
	return body[:n-pad], next, Pass
}

// unwrap is the end of tunnel mode: what is behind the inner packet is padding
// against traffic analysis (RFC 4303 section 2.7). The inner header's checksum
// is for whoever forwards the packet to verify.
func unwrap(payload []byte, outerTOS uint8) ([]byte, Verdict) {
	_, total, ok := ipv4(payload)
	if !ok {
		return nil, InnerMalformed
	}
	inner := payload[:total:total]
	ecn, ok := decapECN(inner[1], outerTOS)
	if !ok {
		return nil, ECNInvalid
	}
	if tos := inner[1]&^ecnMask | ecn; tos != inner[1] {
		setTOS(inner, tos)
	}
	return inner, Pass
}

// bare is the end of transport mode: the header moves up to the n bytes of
// payload.
func (sa *SA) bare(p []byte, n, hlen int, next uint8, udp bool) []byte {
	start := espHeader + sa.Suite.ivLen()
	if udp {
		start += udpHeader
	}
	inner := p[start : start+hlen+n : start+hlen+n]
	copy(inner, p[:hlen])
	patch(inner, next)
	if udp {
		mendTransport(inner, hlen)
	}
	return inner
}
