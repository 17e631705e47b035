package ipsec

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"spigate/alg"
	"spigate/netstack/frame"
)

// populate brings up n clients of one server behind 16 NAT addresses, each
// with one ESP session, and returns their packets.
func populate(t testing.TB, n int) (*world, []*peer) {
	w := newWorld(t)
	w.a = New(Config{MaxIKESessions: 2 * n, MaxESPSessions: 2 * n})
	peers := make([]*peer, n)
	for i := range peers {
		var inside frame.Addr
		binary.BigEndian.PutUint32(inside[:], 0x0a000000+uint32(i))
		p := w.client(inside, 2)
		p.nat = frame.Addr{203, 0, 113, byte(i % 16)}
		p.mapping, p.initiator, p.responder = uint64(i)+1, uint64(i)+1, uint64(i)+1
		p.spiIn, p.spiOut = 0x10000+uint32(i), 0x10000+uint32(i)
		peers[i] = p.tunnel()
		w.sent, w.lines = w.sent[:0], w.lines[:0]
	}
	return w, peers
}

// sizes are the numbers of tunnels at which look-ups are measured.
var sizes = []int{1000, 100000, 1000000}

func BenchmarkStepESP(b *testing.B) {
	for _, n := range sizes {
		w, peers := populate(b, n)
		for _, dir := range []alg.Direction{alg.Out2In, alg.In2Out} {
			b.Run(fmt.Sprintf("%v/%d", dir, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					p := peers[i*7919%n]
					e := ESPPacket{Dir: dir, Profile: w.profile, Inside: p.inside, NAT: p.nat, Server: p.server, SPI: p.spiIn, Len: 100}
					if r := w.a.StepESP(&e, w.now); r.Verdict != alg.Forward {
						b.Fatal(r.Why)
					}
				}
			})
		}
	}
}

func BenchmarkStepIKE(b *testing.B) {
	for _, n := range []int{1000, 100000} {
		w, peers := populate(b, n)
		b.Run(fmt.Sprintf("liveness/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			packets := make([]IKEPacket, n)
			for i, p := range peers {
				packets[i] = p.packet(ike{dir: alg.In2Out, initiator: p.initiator, responder: p.responder, exchange: 37, body: 60}, 500)
			}
			for i := 0; b.Loop(); i++ {
				w.a.StepIKE(&packets[i*7919%n], w.now)
			}
		})
	}
}

// BenchmarkExchange measures a whole CREATE_CHILD_SA of a client among a
// thousand: two IKE packets, the first ESP packet each way, and the lock, the
// gates, a session and the log lines that come of them.
func BenchmarkExchange(b *testing.B) {
	const n = 1000
	w, peers := populate(b, n)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := peers[i%64] // each soon enough again for its IKE session to live
		w.now += 4e9
		id := uint32(i) + 10
		m := ike{dir: alg.In2Out, initiator: p.initiator, responder: p.responder, exchange: exCreateChild, id: id, body: 200}
		pk := IKEPacket{Dir: m.dir, Profile: w.profile, Inside: p.inside, NAT: p.nat, Server: p.server, ServerPort: 500, Mapping: p.mapping}
		pk.Payload = m.bytes(2)
		w.a.StepIKE(&pk, w.now)
		m.dir, m.flags = alg.Out2In, flagResponse
		pk.Dir, pk.Payload = m.dir, m.bytes(2)
		w.a.StepIKE(&pk, w.now)
		e := ESPPacket{Dir: alg.In2Out, Profile: w.profile, Inside: p.inside, NAT: p.nat, Server: p.server, SPI: 0x1000000 + id, Seq: 1, Len: 100}
		w.a.StepESP(&e, w.now)
		in := ESPPacket{Dir: alg.Out2In, NAT: p.nat, Server: p.server, SPI: 0x1000000 + id, Seq: 1, Len: 100}
		if r := w.a.StepESP(&in, w.now); r.Inside != p.inside {
			b.Fatal(r.Why)
		}
		w.a.Tick(w.now)
	}
}

// TestManyPortsAtOnce is for the race detector: every entry point from several
// goroutines, over pairs and subscribers that they share.
func TestManyPortsAtOnce(t *testing.T) {
	w, peers := populate(t, 64)
	a := w.a
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				p, now := peers[(i*5+g)%len(peers)], int64(i)*1e7
				m := ike{dir: alg.Direction(i & 1), initiator: p.initiator, responder: p.responder, exchange: exCreateChild, id: uint32(i), body: 200}
				pk := IKEPacket{Dir: m.dir, Profile: w.profile, Inside: p.inside, NAT: p.nat, Server: p.server, ServerPort: 500,
					Mapping: p.mapping, Payload: m.bytes(2), Packet: m.bytes(2)}
				a.StepIKE(&pk, now)
				for _, dir := range []alg.Direction{alg.In2Out, alg.Out2In} {
					e := ESPPacket{Dir: dir, Profile: w.profile, Inside: p.inside, NAT: p.nat, Server: p.server, SPI: 0x20000 + uint32(i%50), Seq: 1}
					a.DecideESP(&e, now)
					a.StepESP(&e, now)
				}
				a.OwnerOfOutbound(p.nat, p.server, p.spiOut)
				a.NATOfInbound(p.inside, p.server, p.spiIn)
				a.FlowActive(uint64(i), alg.In2Out, now, 1, 1)
				if i%50 == g {
					everything(a, p, now)
				}
			}
		})
	}
	wg.Wait()
	m := &machine{w: w, owners: map[spiKey]owner{}}
	m.check()
	w.now = 5e9
	a.Flush(Filter{}, w.now, w.do) // what is held is dropped and not given back
	m.end()
}

// everything calls what operators and timers call.
func everything(a *ALG, p *peer, now int64) {
	a.Tick(now)
	a.NextDeadline()
	for range a.Sessions(Filter{}) {
	}
	for range a.Gates(Filter{}) {
	}
	for range a.IKESessions(Filter{}) {
	}
	a.Counters()
	a.MappingGone(p.mapping, now)
	a.SetProfile("P", *p.w.profile, now)
	a.Flush(Filter{Inside: p.inside}, now, func([]Action) {})
}
