package frag

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// check fails where the table's books do not agree with what is in it.
func (t *Table) check(tb testing.TB) {
	tb.Helper()
	total := 0
	for i := range t.shards {
		sh := &t.shards[i]
		total += len(sh.index)
		pools := []*pool{&sh.waiting, &sh.decided, &sh.gathering}
		n := 0
		for _, pl := range pools {
			pl.check(tb, sh)
			n += pl.n
		}
		if n != len(sh.index) {
			tb.Fatalf("shard %d: %d datagrams, %d in pools", i, len(sh.index), n)
		}
		if len(sh.spare)+n > maxWaiting+maxDecided+maxGathers+1 || len(sh.spareOwners) > maxWaiting+maxDecided+maxGathers {
			tb.Fatalf("shard %d: %d and %d are spare", i, len(sh.spare), len(sh.spareOwners))
		}
	}
	if total > 4096 {
		tb.Fatalf("%d datagrams", total)
	}
}

func (pl *pool) check(tb testing.TB, sh *shard) {
	tb.Helper()
	n, held := 0, 0
	for at, o := range pl.list {
		if o.at != at || o.pool != pl || pl.owners[o.name] != o || len(o.own) == 0 || len(o.own) > pl.perOwner {
			tb.Fatalf("owner %+v", o)
		}
		sum := 0
		for _, d := range o.own {
			bytes := 0
			for _, b := range d.pieces {
				bytes += cost(b)
			}
			if d.bytes != bytes || d.owner != o || sh.index[d.Key] != d || sh.poolOf(d.state) != pl || len(d.seen.spans) > maxSpans {
				tb.Fatalf("datagram %+v", d)
			}
			sum += bytes
		}
		if sum != o.bytes {
			tb.Fatalf("owner has %d bytes, says %d", sum, o.bytes)
		}
		n, held = n+len(o.own), held+sum
	}
	if n != pl.n || held != pl.held || n > pl.datagrams || held > pl.bytes || len(pl.owners) != len(pl.list) {
		tb.Fatalf("%d datagrams and %d bytes, says %d and %d", n, held, pl.n, pl.held)
	}
}

func TestAFloodOfPiecesWithoutAFirstOneCostsOthersNothing(t *testing.T) {
	for name, flood := range map[string]func(i int) datagramSpec{
		"one subscriber": func(i int) datagramSpec { return outbound(bob, uint16(i), 3000) },
		"many subscribers": func(i int) datagramSpec {
			return outbound(frame.Addr{10, 0, byte(i >> 8), byte(i)}, uint16(i), 3000)
		},
		"strangers": func(i int) datagramSpec {
			s := outbound(frame.Addr{10, 0, byte(i >> 8), byte(i)}, uint16(i), 3000)
			s.dst = nat
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter()
			s := outbound(alice, 7, 3000)
			pieces := inPieces(s.build(), 1480)
			r.send(pieces[0])
			in := datagramSpec{src: remote, dst: nat, sport: 53, dport: natPort, proto: frame.ProtoUDP, id: 9, payload: filler(3000, 1)}
			inward := inPieces(in.build(), 1480)
			r.send(inward[0])
			for i := range 20_000 {
				r.send(inPieces(flood(i).build(), 1480)[1+i%2])
				if i%1000 == 0 {
					r.check(t)
				}
			}
			if st := r.Stats(); st.Waiting > 1536 || st.Bytes > 2<<20 {
				t.Errorf("%+v", st)
			}
			r.send(pieces[1:]...)
			r.send(inward[1:]...)
			in.dst, in.dport = alice, 5353
			r.arrives(t, s.outside(), in)
		})
	}
}

func TestAFloodOfUnfinishedDatagramsCostsTheFlooderOnly(t *testing.T) {
	r := newRouter()
	s := outbound(alice, 7, 3000)
	pieces := inPieces(s.build(), 1480)
	r.send(pieces[0])
	for i := range 10_000 {
		r.send(inPieces(outbound(sharing(r.Table, alice), uint16(i), 3000).build(), 1480)[0])
	}
	r.check(t)
	if st := r.Stats(); st.Decided != 65 {
		t.Errorf("%+v, want 64 of the flooder and 1", st)
	}
	r.out = r.out[:1]
	r.send(pieces[1:]...)
	r.arrives(t, s.outside())
}

func TestWhereAShardIsFullTheBiggestOwnerLoses(t *testing.T) {
	r := newRouter()
	s, late := outbound(alice, 7, 3000), outbound(alice, 8, 3000)
	pieces := inPieces(s.build(), 1480)
	r.send(pieces[0])
	r.send(inPieces(late.build(), 1480)[1])
	want := r.shardOf(Key{Src: alice})
	flooders := 0
	for i := byte(0); flooders < 6; i++ { // together six times 64, of 256 and 192
		src := frame.Addr{10, 0, 0, i}
		if r.shardOf(Key{Src: src}) != want {
			continue
		}
		flooders++
		for id := range uint16(64) {
			r.now++
			r.send(inPieces(outbound(src, id, 3000).build(), 1480)[0])
			r.send(inPieces(outbound(src, 1000+id, 3000).build(), 1480)[1])
		}
	}
	r.check(t)
	if st := r.Stats(); st.Decided != maxDecided || st.Bytes > maxWaitBytes {
		t.Errorf("%+v", st)
	}
	r.out = r.out[:1]
	r.send(pieces[1:]...)
	r.send(inPieces(late.build(), 1480)[0])
	r.send(inPieces(late.build(), 1480)[2])
	r.arrives(t, s.outside(), late.outside())
}

func TestASubscriberHolds64DatagramsAndTheOldestGoes(t *testing.T) {
	r := newRouter()
	for id := range uint16(66) {
		r.now++
		r.send(inPieces(outbound(alice, id, 3000).build(), 1480)[1])
	}
	r.count(t, map[drop.Reason]uint64{drop.FragmentOverflow: 2})
	if st := r.Stats(); st.Waiting != 64 {
		t.Errorf("%+v", st)
	}
	r.send(inPieces(outbound(alice, 2, 3000).build(), 1480)[0])
	if len(r.out) != 2 {
		t.Errorf("%d pieces of the third left, want 2", len(r.out))
	}
}

func TestInboundOnesAreChargedToTheSubscriberOnceItIsKnown(t *testing.T) {
	tb := New(Config{})
	for id := range uint16(100) {
		inside := alice
		if id == 0 {
			inside = bob
		}
		s := datagramSpec{src: remote, dst: nat, sport: 53, dport: natPort, proto: frame.ProtoUDP, id: id, payload: filler(3000, 1)}
		var p frame.Packet
		p.Parse(inPieces(s.build(), 1480)[0])
		res := tb.Piece(KeyOf(&p, 1, Out2In), &p, 0)
		if _, why := tb.Decide(res.Datagram, Translation{Addr: inside, Port: 1}, 0); why != drop.None {
			t.Fatal(why)
		}
	}
	tb.check(t)
	if st := tb.Stats(); st.Decided != 17 { // one's share of this shard, and the other's single one in spite of them
		t.Errorf("%+v", st)
	}
}

func TestForgedServersAtOneMappingCostItsOwnerOnly_R29(t *testing.T) {
	for name, gather := range map[string]bool{"carried": false, "gathered": true} {
		t.Run(name, func(t *testing.T) {
			var drops drop.Counters
			tb := New(Config{Drops: &drops})
			first := func(src frame.Addr, inside frame.Addr, id uint16) (Key, [][]byte) {
				s := datagramSpec{src: src, dst: nat, sport: 53, dport: natPort, proto: frame.ProtoUDP, id: id, payload: filler(3000, 1)}
				pieces := inPieces(s.build(), 1480)
				var p frame.Packet
				p.Parse(pieces[0])
				k := KeyOf(&p, 1, Out2In)
				res := tb.Piece(k, &p, int64(id))
				switch {
				case gather:
					tb.Gather(res.Datagram, inside, &p, int64(id))
				default:
					if _, why := tb.Decide(res.Datagram, Translation{Addr: inside, Port: 1}, int64(id)); why != drop.None {
						t.Fatal(why)
					}
				}
				return k, pieces
			}
			// Two of each of many others, more than any forger has.
			var keys []Key
			var rest [][]byte
			for i := range byte(20) {
				for id := range uint16(2) {
					k, pieces := first(remote, frame.Addr{10, 0, 1, i}, uint16(i)*2+id)
					keys, rest = append(keys, k), append(rest, pieces[1])
				}
			}
			for i := range 20_000 {
				first(frame.Addr{198, 18, byte(i >> 8), byte(i)}, alice, 1000)
			}
			tb.check(t)
			bound := 64
			if gather {
				bound = 16
			}
			if st := tb.Stats(); st.Decided+st.Gathering != len(keys)+bound {
				t.Errorf("%+v, want %d of the others and %d", st, len(keys), bound)
			}
			for i, b := range rest {
				var p frame.Packet
				p.Parse(b)
				want := Follow
				if gather {
					want = Kept
				}
				if res := tb.Piece(keys[i], &p, 1000); res.Verdict != want {
					t.Fatalf("a piece of datagram %d of the others: %+v", i, res)
				}
			}
		})
	}
}

func TestTinyPiecesAreBoundedByWhatTheyCost(t *testing.T) {
	r := newRouter()
	for id := range uint16(64) {
		pieces := inPieces(outbound(alice, id, 4000).build(), 8)
		for i := 1; i < len(pieces); i += 2 {
			r.send(pieces[i]) // gaps everywhere
		}
	}
	r.check(t)
	n := r.drops.Get(drop.FragmentOverflow)
	if st := r.Stats(); st.Bytes > maxWaitBytes || n == 0 {
		t.Errorf("%+v, %d dropped", st, n)
	}
}

func TestSixtyFourKilobytesInSmallPiecesPassInTheWorstOrder(t *testing.T) {
	r := newRouter()
	s := outbound(alice, 7, 65507)
	pieces := inPieces(s.build(), 552)
	for parity := range 2 {
		for i := parity; i < len(pieces); i += 2 {
			r.send(pieces[i])
		}
	}
	r.arrives(t, s.outside())
}

func TestOneDatagramHoldsFewPieces(t *testing.T) {
	r := newRouter()
	pieces := inPieces(outbound(alice, 7, 4000).build(), 8)
	r.send(pieces[1:]...)
	if st, n := r.Stats(), r.drops.Get(drop.FragmentOverflow); st.Waiting != 1 || int(n) != len(pieces)-1-maxPieces {
		t.Errorf("%+v, %d of %d dropped", st, n, len(pieces)-1)
	}
	r.check(t)
}
