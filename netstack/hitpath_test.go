package netstack

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// null is a driver that takes everything and gives nothing: what remains is
// the router's own cost.
type null struct{ link.Driver }

func (null) Write(batch []frame.Frame) (int, drop.Reason) { return len(batch), drop.None }

// onNull puts null drivers over the world's ports.
func onNull(c *Config) {
	for i := range c.Ports {
		c.Ports[i].Driver = null{c.Ports[i].Driver}
	}
}

// frameTo is an IPv4 packet in a frame to a port of ours.
func frameTo(to frame.MAC, packet []byte) []byte {
	b := append([]byte(nil), to[:]...)
	b = append(b, hostMAC(frame.Addr(packet[12:16]))...)
	return append(append(b, 8, 0), packet...)
}

// loop is a batch that is filled with the same frames again and again.
type loop struct {
	port  *link.Port
	in    frame.Interface
	is    []byte
	mem   [][]byte
	batch []frame.Frame
}

func (w *world) loop(port, n int, packet []byte) *loop {
	l := &loop{
		port: w.r.Port(port), in: frame.Interface(port + 1), batch: make([]frame.Frame, n),
		is: frameTo([2]frame.MAC{lanMAC, wanMAC}[port], packet),
	}
	for range n {
		l.mem = append(l.mem, make([]byte, frame.TagLen+len(l.is)))
	}
	return l
}

func (l *loop) turn() {
	for i := range l.batch {
		copy(l.mem[i][frame.TagLen:], l.is)
		l.batch[i] = frame.New(l.mem[i], frame.TagLen, len(l.mem[i]), 0)
	}
	l.port.Input(l.batch)
}

// established is a world with all conversations, over null drivers, and a
// packet of each by name.
func established(t testing.TB) (*world, map[string]*loop) {
	real := newWorld(t).converse() // a twin tells what the NAT chooses: null shows nothing
	w := newWorld(t, onNull)
	s, me := at(server, 443), at(client1, 40000)
	w.fromLAN(udpTo(me, s, "question"))
	w.fromWAN(udpTo(s, real.udp, "answer"))
	w.fromLAN(udpTo(me, s, "question"))
	w.fromLAN(tcpTo(me, s, frame.TCPSyn, ""))
	w.fromWAN(tcpTo(s, real.tcp, frame.TCPSyn|0x10, ""))
	w.fromLAN(echo(client1, server, 8, 77, "ping"))
	w.fromWAN(echo(server, natAddr, 0, real.echo, "ping"))
	k := w.tunnel(client1, 0x1000)
	k.nat = real.esp.nat
	w.fromLAN(k.say(2, 0, ikeSAInit, flagV2Init, 0))
	w.fromWAN(k.answer(2, ikeSAInit, flagV2Resp, 0))
	w.fromLAN(k.say(2, k.id+1, ikeAuth, flagV2Init, 1))
	w.fromWAN(k.answer(2, ikeAuth, flagV2Resp, 1))
	w.fromLAN(k.out())
	w.fromWAN(k.in())
	payload := string(make([]byte, 1400))
	return w, map[string]*loop{
		"ESP out":  w.loop(0, frame.Batch, esp(client1, server, k.spiOut, 9, payload)),
		"ESP in":   w.loop(1, frame.Batch, esp(server, natAddr, k.spiIn, 9, payload)),
		"UDP out":  w.loop(0, frame.Batch, udpTo(me, s, payload)),
		"UDP in":   w.loop(1, frame.Batch, udpTo(s, real.udp, payload)),
		"TCP out":  w.loop(0, frame.Batch, tcpTo(me, s, 0x10, payload)),
		"TCP in":   w.loop(1, frame.Batch, tcpTo(s, real.tcp, 0x10, payload)),
		"ICMP out": w.loop(0, frame.Batch, echo(client1, server, 8, 77, payload)),
		"ICMP in":  w.loop(1, frame.Batch, echo(server, natAddr, 0, real.echo, payload)),
	}
}

func TestAHitAllocatesNothingFromPortToPort(t *testing.T) {
	w, loops := established(t)
	for name, l := range loops {
		l.turn() // the first ones are the slow path's
		l.turn()
		hits := w.r.flows.Stats().Hits
		const turns = 100
		if n := testing.AllocsPerRun(turns, l.turn); n != 0 {
			t.Errorf("%s: %.2f allocations for each batch", name, n)
		}
		if n := w.r.flows.Stats().Hits - hits; n != (turns+1)*frame.Batch {
			t.Errorf("%s: %d hits of %d packets: this is not the hit path", name, n, (turns+1)*frame.Batch)
		}
	}
	if d := w.dropped(); len(d) != 0 {
		t.Errorf("drops: %v", d)
	}
}

// BenchmarkFastPath is one packet of an established flow, 1400 bytes of
// payload, in batches of 64 from one null driver to the other: the router's
// own cost, on which the kernel's comes on top. The copy into the frame is
// included.
func BenchmarkFastPath(b *testing.B) {
	benchmarkPath(b, func(_ *world, l *loop) { l.turn() })
}

// BenchmarkSlowPath is the same packet through the stack and its hooks, as if
// the flow table did not know it, with the look for its entry there.
func BenchmarkSlowPath(b *testing.B) {
	benchmarkPath(b, func(w *world, l *loop) {
		for range l.batch {
			w.r.interfaces[l.in].Reinject(l.is[frame.HeaderLen:], 0)
		}
	})
}

func benchmarkPath(b *testing.B, turn func(*world, *loop)) {
	for _, name := range []string{"ESP out", "ESP in", "UDP out", "UDP in", "TCP out", "TCP in", "ICMP out", "ICMP in"} {
		b.Run(name, func(b *testing.B) {
			w, loops := established(b)
			l := loops[name]
			l.turn()
			b.ReportAllocs()
			b.SetBytes(int64(len(l.is)))
			b.ResetTimer()
			for i := 0; i < b.N; i += len(l.batch) {
				turn(w, l)
			}
		})
	}
}
