package netstack

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/vserver"
)

// flood is what many flows say at once through all lanes of both ports, while
// the tables are swept, emptied and read. Every packet has one end: each comes
// out once, translated, in the order of its flow, and is counted once wherever
// packets are counted; or it is dropped for the reason that it has.
type flood struct {
	w     *world
	flows []*floodFlow
	pause sync.RWMutex // held while the clock moves

	mu      sync.Mutex // guards what came out
	came    [2]int     // frames, by port
	pieces  int
	given   [2]volume // to each port
	refused map[drop.Reason]uint64
}

type volume struct{ frames, bytes uint64 }

func (v *volume) add(b []byte) {
	v.frames++
	v.bytes += uint64(frame.HeaderLen + len(b))
}

// floodFlow is one flow: what both sides send, by port. Each packet ends with the
// flow's number and its own.
type floodFlow struct {
	proto uint8
	makes [2]func(text string) []byte
	sent  [2]vserver.Traffic
	next  [2]uint32 // to be sent
	came  [2]uint32 // under flood.mu: numbers that have come
}

const floodMark = 12 // bytes at the end of a packet: a word, the flow, the number

// packet makes the next one of a side.
func (f *flood) packet(n, side, extra int) []byte {
	k := f.flows[n]
	text := make([]byte, extra+floodMark)
	mark := text[extra:]
	copy(mark, "mark")
	binary.BigEndian.PutUint32(mark[4:], uint32(n))
	binary.BigEndian.PutUint32(mark[8:], k.next[side])
	k.next[side]++
	b := k.makes[side](string(text))
	count(&k.sent[side], b)
	return b
}

// look takes what has come out.
func (f *flood) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for side, got := range [2][][]byte{f.w.atWAN(), f.w.atLAN()} { // of what the port with this number got
		f.came[1-side] += len(got)
		for _, b := range got {
			f.one(side, b)
		}
	}
}

func (f *flood) one(side int, b []byte) {
	p := f.w.parsed(b)
	mark := b[max(len(b)-floodMark, 0):]
	switch {
	case p.Fragment:
		f.pieces++
		return
	case string(mark[:4]) != "mark":
		f.w.t.Errorf("from port %d: % x", side, b)
		return
	}
	n, number := binary.BigEndian.Uint32(mark[4:]), binary.BigEndian.Uint32(mark[8:])
	k := f.flows[n]
	if number != k.came[side] {
		f.w.t.Errorf("flow %d from port %d: packet %d came, want %d", n, side, number, k.came[side])
	}
	k.came[side] = number + 1
	if side == 0 && inOffice(p.Src) || side == 1 && !inOffice(p.Dst) {
		f.w.t.Errorf("flow %d: %v > %v", n, p.Src, p.Dst)
	}
}

// give lets packets into a port, each at its lane.
func (f *flood) give(port int, packets ...[]byte) {
	f.pause.RLock()
	defer f.pause.RUnlock()
	frames := make([]frame.Frame, 0, len(packets))
	f.mu.Lock()
	for _, b := range packets {
		frames = append(frames, framed([2]frame.MAC{lanMAC, wanMAC}[port], b))
		f.given[port].add(b)
	}
	f.mu.Unlock()
	f.w.lanes[port].give(frames)
	f.look()
}

// add makes a flow that is established on both sides, from what its first
// packets show outside.
func (f *flood) add(proto uint8, out func(text string) []byte, in func(p *frame.Packet) func(text string) []byte) {
	n := len(f.flows)
	k := &floodFlow{proto: proto, makes: [2]func(string) []byte{out, nil}}
	f.flows = append(f.flows, k)
	b := f.packet(n, 0, 0)
	f.given[0].add(b)
	f.w.fromLAN(b)
	p := f.w.one(f.w.atWAN())
	k.came[0], f.came[1] = 1, f.came[1]+1
	k.makes[1] = in(&p)
	f.give(1, f.packet(n, 1, 0))
	f.give(0, f.packet(n, 0, 0))
}

// talk is a flow of a protocol with ports, or pings.
func (f *flood) talk(proto uint8, me, peer frame.Endpoint) {
	switch proto {
	case frame.ProtoUDP:
		f.add(proto, func(s string) []byte { return udpTo(me, peer, s) }, func(p *frame.Packet) func(string) []byte {
			back := at(p.Src, p.SrcPort)
			return func(s string) []byte { return udpTo(peer, back, s) }
		})
	case frame.ProtoTCP:
		seen := [2]bool{}
		flags := func(side int) uint8 {
			if !seen[side] {
				seen[side] = true
				return []uint8{syn, synAck}[side]
			}
			return ack
		}
		f.add(proto, func(s string) []byte { return tcpTo(me, peer, flags(0), s) }, func(p *frame.Packet) func(string) []byte {
			back := at(p.Src, p.SrcPort)
			return func(s string) []byte { return tcpTo(peer, back, flags(1), s) }
		})
	case frame.ProtoICMP:
		f.add(proto, func(s string) []byte { return echo(me.Addr, peer.Addr, 8, me.Port, s) }, func(p *frame.Packet) func(string) []byte {
			back, id := p.Src, p.ICMPID
			return func(s string) []byte { return echo(peer.Addr, back, 0, id, s) }
		})
	}
}

// esp adds the two flows of a tunnel.
func (f *flood) esp(client frame.Addr, id uint64) {
	k := f.w.tunnel(client, id)
	for n, exchange := range []uint8{ikeSAInit, ikeAuth} {
		ask := k.say(2, []uint64{0, k.id + 1}[n], exchange, flagV2Init, uint32(n))
		f.w.fromLAN(ask)
		k.nat = f.w.one(f.w.atWAN()).SrcPort
		answer := k.answer(2, exchange, flagV2Resp, uint32(n))
		f.w.fromWAN(answer)
		f.w.one(f.w.atLAN())
		f.given[0].add(ask)
		f.given[1].add(answer)
		f.came[0], f.came[1] = f.came[0]+1, f.came[1]+1
	}
	f.add(frame.ProtoESP, func(s string) []byte {
		k.seqOut++
		return esp(k.client, k.server, k.spiOut, k.seqOut, s)
	}, func(*frame.Packet) func(string) []byte {
		return func(s string) []byte {
			k.seqIn++
			return esp(k.server, natAddr, k.spiIn, k.seqIn, s)
		}
	})
}

// send lets a part of the flows talk from one side: never two packets of a flow
// in one batch, of which the fast path could take the second one first.
func (f *flood) send(side, part, parts int, seed uint64) {
	r := rand.New(rand.NewPCG(seed, uint64(side*parts+part)))
	for range floodRounds {
		var packets [][]byte
		for n := part; n < len(f.flows); n += parts {
			if r.IntN(3) == 0 {
				packets = append(packets, f.packet(n, side, r.IntN(60)))
			}
		}
		r.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
		for part := range slices.Chunk(packets, frame.Batch) {
			f.give(side, part...)
		}
	}
}

const floodRounds = 150

// noise is datagrams in pieces, in any order, and what nobody may send.
func (f *flood) noise(seed uint64) (pieces int, sent vserver.Traffic) {
	r := rand.New(rand.NewPCG(seed, 99))
	me, peer := at(floodClient(0), 30000), at(server, 443)
	for n := range uint16(2 * floodRounds) {
		cut := withID(fragments(udpTo(me, peer, text(60+r.IntN(200))), 20+8*(2+r.IntN(6))), n)
		count(&sent, cut...)
		pieces += len(cut)
		r.Shuffle(len(cut), func(i, j int) { cut[i], cut[j] = cut[j], cut[i] })
		f.give(0, cut...)
		f.give(0, udpTo(at(natAddr, 1), peer, "forged")) // spoofed
		f.give(1, udpTo(peer, at(natAddr, 1), "nobody asked"))
	}
	f.look()
	return pieces, sent
}

// operate moves the clock by less than anything lives, and does what other
// goroutines of a router do meanwhile. Between two sweeps every lane comes to the
// end of a batch, as in a second it does.
func (f *flood) operate(done <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		f.pause.Lock()
		if n%8 == 0 && n < 8*40 {
			f.w.advance(700 * time.Millisecond)
		}
		f.pause.Unlock()
		f.w.r.sweep(f.w.r.now())
		switch n % 8 {
		case 2:
			f.w.r.flows.Flush()
		case 4:
			f.w.r.flows.InvalidateInterface(wanIf)
		case 6:
			f.w.r.fabric.Counters()
			f.w.r.LSN().Walk(func(lsn.SessionInfo) bool { return true })
			f.w.r.conns.Walk(f.w.r.now(), func(vserver.Info) bool { return true })
		}
	}
}

func floodClient(n int) frame.Addr { return frame.Addr{192, 0, 2, byte(11 + n)} }

// run lets everything go at once.
func (f *flood) run() (pieces int, inPieces vserver.Traffic) {
	const parts = 3
	var all, side sync.WaitGroup
	done := make(chan struct{})
	side.Go(func() { f.operate(done) })
	for n := range 2 * parts {
		all.Go(func() { f.send(n%2, n/2, parts, 7) })
	}
	all.Go(func() { pieces, inPieces = f.noise(8) })
	all.Wait()
	close(done)
	side.Wait()
	f.look()
	for range 4 { // what the fast path carried is told
		f.w.advance(time.Second)
	}
	return pieces, inPieces
}

// settled checks what has come and what was counted on the way.
func (f *flood) settled(pieces int) {
	w := f.w
	w.t.Helper()
	for n, k := range f.flows {
		if k.came != k.next {
			w.t.Errorf("flow %d of protocol %d: %v came of %v", n, k.proto, k.came, k.next)
		}
	}
	if f.pieces != pieces {
		w.t.Errorf("%d pieces came of %d", f.pieces, pieces)
	}
	for r, n := range w.r.drops.Snapshot() {
		if n != f.refused[drop.Reason(r)] {
			w.t.Errorf("%v: %d drops, want %d", drop.Reason(r), n, f.refused[drop.Reason(r)])
		}
	}
	st := w.r.flows.Stats()
	var rx, fast uint64
	for i, c := range w.r.fabric.Counters() {
		if got := (volume{c.RxFrames, c.RxBytes}); got != f.given[i] {
			w.t.Errorf("%s received %+v, given were %+v", c.Name, got, f.given[i])
		}
		if c.Fast+c.Slow != c.RxFrames || c.TxFrames != uint64(f.came[i]) {
			w.t.Errorf("%s: %+v, %d came out", c.Name, c, f.came[i])
		}
		rx, fast = rx+c.RxFrames, fast+c.Fast
	}
	if st.Hits != fast || st.Hits+st.Misses+st.Punts != rx || st.Hits == 0 {
		w.t.Errorf("%+v of %d frames, %d of them fast", st, rx, fast)
	}
	w.t.Logf("%d frames, %d of them fast, %d inserts too late", rx, fast, st.Stale)
}

func newFlood(t *testing.T, w *world) *flood {
	for n := range 8 {
		if a := floodClient(n); a != client1 && a != client2 {
			w.neighbor(lanIf, a)
		}
	}
	return &flood{w: w, refused: map[drop.Reason]uint64{}}
}

func TestEveryPacketOfAFloodThroughManyLanesHasOneEnd(t *testing.T) {
	for _, kind := range []string{"LSN", "SNAT"} {
		for n := range 4 { // lanes
			t.Run(fmt.Sprintf("%s, %d lanes", kind, n+1), func(t *testing.T) {
				if kind == "LSN" {
					floodOfSubscribers(t, lanes(n+1))
				} else {
					floodOfConnections(t, lanes(n+1))
				}
			})
		}
	}
}

func (f *flood) talks() {
	for n := range 8 {
		for port := range uint16(3) {
			me := at(floodClient(n), 40000+port)
			f.talk(frame.ProtoUDP, me, at(server, 443))
			f.talk(frame.ProtoTCP, me, at(server2, 443))
		}
		f.talk(frame.ProtoICMP, at(floodClient(n), uint16(n)), at(server, 0))
	}
}

func floodOfSubscribers(t *testing.T, o option) {
	w := newWorld(t, o)
	f := newFlood(t, w)
	for n := range 8 {
		f.esp(floodClient(n), uint64(n+1)<<12)
	}
	f.talks()
	pieces, _ := f.run()
	f.refused[drop.NATAddressSpoofed], f.refused[drop.NoMapping] = 2*floodRounds, 2*floodRounds
	f.settled(pieces)
	want, got := map[uint8]*both{}, map[uint8]*both{}
	for _, proto := range []uint8{frame.ProtoUDP, frame.ProtoTCP, frame.ProtoICMP, frame.ProtoESP} {
		want[proto], got[proto] = &both{}, &both{}
	}
	for _, k := range f.flows {
		want[k.proto].add(k.sent[0].Packets, k.sent[0].Bytes, k.sent[1].Packets, k.sent[1].Bytes)
	}
	w.r.lsn.Walk(func(s lsn.SessionInfo) bool {
		if s.Remote.Port != 500 && s.Inside.Port != 30000 {
			got[s.Proto].add(s.PacketsOut, s.BytesOut, s.PacketsIn, s.BytesIn)
		}
		return true
	})
	for s := range w.r.alg.Sessions(ipsec.Filter{}) {
		got[frame.ProtoESP].add(s.TxPackets, s.TxBytes, s.RxPackets, s.RxBytes)
	}
	for proto := range want {
		if *got[proto] != *want[proto] {
			t.Errorf("protocol %d: sessions count %+v, sent were %+v", proto, *got[proto], *want[proto])
		}
	}
}

// both is what passed outwards and inwards.
type both [2]vserver.Traffic

func (b *both) add(packetsOut, bytesOut, packetsIn, bytesIn uint64) {
	b[0].Packets, b[0].Bytes = b[0].Packets+packetsOut, b[0].Bytes+bytesOut
	b[1].Packets, b[1].Bytes = b[1].Packets+packetsIn, b[1].Bytes+bytesIn
}

func floodOfConnections(t *testing.T, o option) {
	w := office(t, o, snatting(to(snatOut)))
	f := newFlood(t, w)
	f.talks()
	pieces, cut := f.run()
	f.refused[drop.NoListener] = 4 * floodRounds
	f.settled(pieces)
	var want both
	want.add(cut.Packets, cut.Bytes, 0, 0)
	for _, k := range f.flows {
		want.add(k.sent[0].Packets, k.sent[0].Bytes, k.sent[1].Packets, k.sent[1].Bytes)
	}
	w.counted(vserver.KindSNAT, "s", want[0], want[1])
}
