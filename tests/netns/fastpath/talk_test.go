package fastpath

import (
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// talk is one established flow, the same in every bed: what its packets look
// like as they go into the router on each side.
type talk struct {
	name   string
	out    frame.Addr // who speaks outside
	packet func(side int, data []byte) []byte
	end    func(side int, flags uint8) []byte // TCP alone: a segment that ends it
	heard  func(side int, p *frame.Packet)    // TCP alone: what arrived on a side
}

// talks sets up a flow of each kind and returns them. Everything here must come
// through, one packet at a time.
func (b *bed) talks() []*talk {
	b.t.Helper()
	return []*talk{
		b.datagrams("UDP", at(client1, 40000), at(upstream, 443)),
		b.datagrams("UDP of an own address", at(own, 40001), at(upstream, 443)),
		b.datagrams("UDP of a virtual server", at(client2, 40002), at(served, 53)),
		b.stream("TCP", at(client2, 40003), at(server2, 443)),
		b.stream("TCP of a virtual server", at(client1, 40004), at(served, 80)),
		b.pings(),
		b.tunnel(),
		b.ownTunnel(),
	}
}

// goes sends a packet into a side and returns what comes out at the other.
func (b *bed) goes(side int, packet []byte) frame.Packet {
	b.t.Helper()
	b.put(side, packet)
	return b.one(1 - side)
}

// thrice sends packets both ways until the flow table has both directions.
func (b *bed) thrice(k *talk) *talk {
	b.t.Helper()
	for range 3 {
		for _, side := range []int{lan, wan} {
			b.goes(side, k.packet(side, []byte("established")))
		}
	}
	return k
}

func (b *bed) datagrams(name string, in, out frame.Endpoint) *talk {
	b.t.Helper()
	p := b.goes(lan, udp(in, out, []byte("question")))
	nat := at(p.Src, p.SrcPort)
	return b.thrice(&talk{name: name, out: out.Addr, packet: func(side int, data []byte) []byte {
		if side == lan {
			return udp(in, out, data)
		}
		return udp(out, nat, data)
	}})
}

// stream opens a TCP connection. Its packets have the numbers that real ones
// would have, if all arrived.
func (b *bed) stream(name string, in, out frame.Endpoint) *talk {
	b.t.Helper()
	next := [2]uint32{1000, 7000} // what each side sends next
	heard := next                 // what of it has arrived, and may be acknowledged
	from, to := [2]frame.Endpoint{in, out}, [2]frame.Endpoint{out, {}}
	segment := func(side int, flags uint8, data []byte) []byte {
		acked := heard[1-side]
		if flags&ack == 0 {
			acked = 0
		}
		p := tcp(from[side], to[side], next[side], acked, flags, data)
		next[side] += uint32(len(data))
		if flags&(syn|fin) != 0 {
			next[side]++
		}
		return p
	}
	p := b.goes(lan, segment(lan, syn, nil))
	to[wan] = at(p.Src, p.SrcPort)
	heard = next
	b.goes(wan, segment(wan, syn|ack, nil))
	heard = next
	b.goes(lan, segment(lan, ack, nil))
	return b.thrice(&talk{
		name: name, out: out.Addr, heard: func(side int, p *frame.Packet) {
			s := vserver.SegmentOf(p)
			mine := at(p.Dst, p.DstPort) == from[side] && at(p.Src, p.SrcPort) == to[side]
			if end := s.Seq + s.Size; mine && int32(end-heard[1-side]) > 0 {
				heard[1-side] = end
			}
		},
		packet: func(side int, data []byte) []byte { return segment(side, ack, data) },
		end:    func(side int, flags uint8) []byte { return segment(side, flags|ack, nil) },
	})
}

func (b *bed) pings() *talk {
	b.t.Helper()
	p := b.goes(lan, echo(client1, upstream, 8, 77, []byte("ping")))
	return b.thrice(&talk{name: "ICMP echo", out: upstream, packet: func(side int, data []byte) []byte {
		if side == lan {
			return echo(client1, upstream, 8, 77, data)
		}
		return echo(upstream, natAddr, 0, p.ICMPID, data)
	}})
}

// tunnel is ESP of a subscriber that shares its NAT address: the ALG learns from
// IKE who it is for.
func (b *bed) tunnel() *talk {
	b.t.Helper()
	const id, spiOut, spiIn = 0x1000, 0xd0001000, 0xc0001000
	me, gateway := at(client1, 500), at(server, 500)
	p := b.goes(lan, udp(me, gateway, ike(id, 0, ikeSAInit, asking, 0)))
	nat := at(natAddr, p.SrcPort)
	b.goes(wan, udp(gateway, nat, ike(id, id+1, ikeSAInit, answering, 0)))
	b.goes(lan, udp(me, gateway, ike(id, id+1, ikeAuth, asking, 1)))
	b.goes(wan, udp(gateway, nat, ike(id, id+1, ikeAuth, answering, 1)))
	return b.thrice(sealed("ESP", client1, server, natAddr, spiOut, spiIn))
}

// ownTunnel is ESP of a subscriber with a NAT address of its own: nobody need
// know of the SPIs (R27).
func (b *bed) ownTunnel() *talk {
	b.t.Helper()
	return b.thrice(sealed("ESP of an own address", own, upstream, ownNAT, 0x7777, 0x8888))
}

func sealed(name string, in, out, nat frame.Addr, spiOut, spiIn uint32) *talk {
	var seq [2]uint32
	return &talk{name: name, out: out, packet: func(side int, data []byte) []byte {
		seq[side]++
		if side == lan {
			return esp(in, out, spiOut, seq[side], data)
		}
		return esp(out, nat, spiIn, seq[side], data)
	}}
}
