package ipsec

// Headroom is how many bytes Seal writes in front of a packet at most: an outer
// header, UDP, ESP and an IV. Tailroom is how many behind it: padding, trailer
// and ICV.
const (
	Headroom = 20 + 8 + espHeader + 16
	Tailroom = 15 + espTrailer + 32
)

// minPath is the least path MTU that is believed (RFC 791: every host takes
// datagrams of 576 bytes). A forged ICMP message cannot do more harm than that.
const minPath = 576

// before is what stands between the outer IPv4 header and the payload.
func (sa *SA) before() int {
	n := espHeader + sa.Suite.ivLen()
	if sa.port != 0 {
		n += udpHeader
	}
	return n
}

// padding is how many bytes fill a payload up, so that the trailer ends where
// the cipher wants (RFC 4303 section 2.4).
func (sa *SA) padding(payload int) int {
	return -(payload + espTrailer) & (sa.Suite.align() - 1)
}

// SealedLen is how long an IPv4 packet of n bytes with a header of hlen is once
// it is sealed.
func (sa *SA) SealedLen(n, hlen int) int {
	outer, payload := 20, n
	if sa.Mode == Transport {
		outer, payload = hlen, n-hlen
	}
	return outer + sa.before() + payload + sa.padding(payload) + espTrailer + sa.Suite.icvLen()
}

// InnerMTU is how long an IPv4 packet may be that is at most path bytes long
// once it is sealed (VR35): the value of an ICMP 3/4, and the MTU of a tunnel's
// interface. With a header of hlen bytes; 20 is right for tunnels. 0: nothing
// fits.
func (sa *SA) InnerMTU(path, hlen int) int {
	outer, add := 20, 0
	if sa.Mode == Transport {
		outer, add = hlen, hlen
	}
	room := path - outer - sa.before() - sa.Suite.icvLen()
	room -= room % sa.Suite.align()
	return max(room-espTrailer+add, 0)
}

// LearnMTU takes over what an ICMP 3/4 said about the way of the SA's packets
// (RFC 4301 section 8.2.1). It is believed for ten minutes; a wider one only
// when that time is over.
func (sa *SA) LearnMTU(mtu int, now int64) {
	mtu = max(mtu, minPath)
	if known := sa.pathMTU(now); known != 0 && known <= mtu || mtu > maxIPv4 {
		return
	}
	// Milliseconds and 16 bits of length in one word: always of one message.
	sa.path.Store(now/1e6<<16 | int64(mtu))
}

// pathMTU is what is known of the way, 0: nothing.
func (sa *SA) pathMTU(now int64) int {
	p := sa.path.Load()
	if p == 0 || now-p>>16*1e6 > int64(pathAge) {
		return 0
	}
	return int(p & 0xffff)
}

// narrow is the lesser of an interface's MTU (0: not asked) and the way's.
func (sa *SA) narrow(mtu int, now int64) int {
	if p := sa.pathMTU(now); p != 0 && (mtu == 0 || p < mtu) {
		return p
	}
	if mtu == 0 {
		return maxIPv4
	}
	return min(mtu, maxIPv4)
}
