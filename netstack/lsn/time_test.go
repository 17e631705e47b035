package lsn

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

const (
	syn = frame.TCPSyn
	ack = tcpACK
	fin = frame.TCPFin | tcpACK
	rst = frame.TCPRst
)

func TestASessionLivesAtExactlyItsTimeoutAndNotLonger(t *testing.T) {
	x, y := at(subscriber, 1000), at(serverY, 80)
	const out, in = true, false
	type packet struct {
		out   bool
		flags uint8
	}
	tests := []struct {
		name    string
		proto   uint8
		packets []packet // one a second, from second 0 on
		last    int64    // when the idle time begins, seconds
		idle    int64    // seconds
	}{
		{"UDP one way", frame.ProtoUDP, []packet{{out, 0}}, 0, 120},
		{"UDP both ways: inbound refreshes with APDF", frame.ProtoUDP, []packet{{out, 0}, {in, 0}}, 1, 120},
		{"ICMP query", frame.ProtoICMP, []packet{{out, 0}}, 0, 120},
		{"TCP SYN", frame.ProtoTCP, []packet{{out, syn}}, 0, 60},
		{"TCP SYN twice", frame.ProtoTCP, []packet{{out, syn}, {out, syn}}, 1, 60},
		{"TCP answered", frame.ProtoTCP, []packet{{out, syn}, {in, syn | ack}}, 1, 120},
		{"TCP simultaneous open", frame.ProtoTCP, []packet{{out, syn}, {in, syn}}, 1, 120},
		{"TCP refused", frame.ProtoTCP, []packet{{out, syn}, {in, rst | ack}}, 1, 30},
		{"TCP FIN from inside", frame.ProtoTCP, []packet{{out, syn}, {in, syn | ack}, {out, fin}}, 2, 30},
		{"TCP FIN from outside", frame.ProtoTCP, []packet{{out, syn}, {in, syn | ack}, {in, fin}}, 2, 30},
		{"TCP last ACK after FIN", frame.ProtoTCP, []packet{{out, syn}, {in, syn | ack}, {in, fin}, {out, ack}}, 3, 30},
		{"TCP RST from outside", frame.ProtoTCP, []packet{{out, syn}, {in, syn | ack}, {in, rst}}, 2, 30},
		{"TCP same ports again", frame.ProtoTCP, []packet{{out, syn}, {in, syn | ack}, {out, fin}, {out, syn}}, 3, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := func() (*fixture, Binding) {
				f := build(t, config(nat7))
				remote := y
				if tt.proto == frame.ProtoICMP {
					remote.Port = 0
				}
				b := Binding{Tuple: Tuple{tt.proto, x, remote}}
				for i, p := range tt.packets {
					if p.out {
						b = f.mustOut(b.Tuple, p.flags, int64(i)*second)
					} else {
						b = f.reply(b, p.flags, int64(i)*second, drop.None)
					}
				}
				if want := time.Duration(tt.idle) * time.Second; b.Idle != want {
					t.Errorf("idle time %v, want %v", b.Idle, want)
				}
				return f, b
			}
			end := (tt.last + tt.idle) * second
			f, b := start()
			f.Sweep(end)
			if got := f.mustOut(b.Tuple, 0, end); got.Session != b.Session {
				t.Error("at exactly the timeout the session was another one")
			}
			f, b = start()
			f.reply(b, 0, end, drop.None)
			f, b = start()
			f.reply(b, 0, end+1, drop.NoMapping)
			if got := f.mustOut(b.Tuple, syn, end+1); got.Session == b.Session || len(f.gone) != 1 || f.gone[0] != b.Session {
				t.Errorf("after the timeout session %x again, gone %x", got.Session, f.gone)
			}
			f, b = start()
			f.Sweep(end + 1)
			if f.Stats().Pools[0].Used != [3]int{} {
				t.Error("the sweep left the port in use")
			}
			f.check()
		})
	}
}

func TestInboundPacketsRefreshWhereTheProfileLetsThem(t *testing.T) {
	tests := []struct {
		name      string
		filtering Filtering
		knob      Switch
		refreshes bool
	}{
		{"APDF by default", APDF, Unset, true},
		{"APDF switched off", APDF, Disabled, false},
		{"ADF by default", ADF, Unset, false},
		{"EIF by default", EIF, Unset, false},
		{"EIF switched on", EIF, Enabled, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM, Filtering: tt.filtering, InboundRefresh: tt.knob}))
			b := f.mustOut(udp(at(subscriber, 1), at(serverY, 2)), 0, 0)
			f.reply(b, 0, 100*second, drop.None)
			want := drop.NoMapping
			if tt.refreshes {
				want = drop.None
			}
			f.FlowActive(b.Session, false, 101*second, 1, 1) // the fast path follows the same rule
			f.reply(b, 0, 221*second, want)
		})
	}
}

func TestFlowTrafficRefreshesAndIsCounted(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM, Filtering: EIF}))
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 2)), 0, 0)
	f.FlowActive(b.Session, true, 90*second, 10, 1000)
	f.FlowActive(b.Session, true, 80*second, 1, 1) // a late report does not turn time back
	f.FlowActive(b.Session, false, 91*second, 3, 30)
	f.FlowActive(b.Session+1<<32, true, 500*second, 1, 1)
	f.FlowActive(^uint64(0), true, 500*second, 1, 1)
	f.reply(b, 0, 210*second, drop.None)
	var got []SessionInfo
	f.Walk(func(s SessionInfo) bool { got = append(got, s); return true })
	if len(got) != 1 || got[0].PacketsOut != 12 || got[0].BytesOut != 1101 || got[0].PacketsIn != 4 || got[0].BytesIn != 80 {
		t.Errorf("sessions %+v", got)
	}
	if idle := got[0].IdleFor(100 * second); idle != 10*time.Second {
		t.Errorf("idle %v, want 10 s", idle)
	}
	f.reply(b, 0, 210*second+1, drop.NoMapping)
}

func TestTheALGSetsTheIdleTimeOfAMappingAndItsSessions(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM, Ports: []PortRange{{500, 500}}}))
	x := at(subscriber, 500)
	y := f.mustOut(udp(x, at(serverY, 500)), 0, 0)
	z := f.mustOut(udp(x, at(serverZ, 500)), 0, 0)
	f.SetIdle(y.Mapping, time.Hour)
	f.SetIdle(y.Mapping+1<<32, time.Second) // gone: nothing happens
	f.SetIdle(0, time.Second)
	f.Sweep(3600 * second)
	if got := f.reply(z, 0, 3600*second, drop.None); got.Idle != time.Hour {
		t.Errorf("idle %v, want one hour", got.Idle)
	}
	f.reply(y, 0, 3600*second+1, drop.Filtered) // the mapping lives on, for the other server
	f.SetIdle(y.Mapping, 0)
	f.reply(z, 0, 3721*second, drop.NoMapping)
}

func TestATCPFlowMayBeCachedBetweenHandshakeAndFIN(t *testing.T) {
	f := build(t, config(nat1))
	tup := tcp(at(subscriber, 1), at(serverY, 80))
	steps := []struct {
		out   bool
		flags uint8
		want  bool
	}{{true, syn, false}, {false, syn | ack, true}, {true, ack, true}, {false, ack, true}, {false, fin, false}, {true, ack, false}, {true, syn, false}, {false, syn | ack, true}}
	b := Binding{Tuple: tup}
	for i, s := range steps {
		if s.out {
			b = f.mustOut(tup, s.flags, int64(i))
		} else {
			b = f.reply(b, s.flags, int64(i), drop.None)
		}
		if b.Established != s.want {
			t.Errorf("step %d: established %v, want %v", i, b.Established, s.want)
		}
	}
	if b := f.mustOut(udp(at(subscriber, 1), at(serverY, 80)), 0, 0); !b.Established {
		t.Error("a UDP flow may be cached at once")
	}
}

func TestTheFINOfAServerDoesNotCutTheSubscriberOff(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoTCP, Mapping: EIM, Filtering: EIF})) // no inbound refresh
	tup := tcp(at(subscriber, 1), at(serverY, 80))
	b := f.mustOut(tup, syn, 0)
	f.reply(b, syn|ack, 0, drop.None)
	f.mustOut(tup, ack, 0)
	f.reply(b, fin, 100*second, drop.None)
	f.mustOut(tup, fin, 101*second)
	f.reply(b, ack, 131*second, drop.None)
	f.reply(b, ack, 131*second+1, drop.NoMapping)
}

func TestAMappingThatHasExpiredIsReplacedBeforeTheSweep(t *testing.T) {
	f := build(t, config(nat1, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM}))
	x := at(subscriber, 1)
	a := f.mustOut(udp(x, at(serverY, 2)), 0, 0)
	b := f.mustOut(udp(x, at(serverZ, 2)), 0, 121*second)
	if a.Mapping == b.Mapping || len(f.gone) != 1 {
		t.Errorf("mapping %x after %x, %d sessions gone", b.Mapping, a.Mapping, len(f.gone))
	}
	f.check()
	f.Sweep(121 * second)
	if c := f.mustOut(udp(x, at(serverY, 3)), 0, 122*second); c.Mapping != b.Mapping {
		t.Error("the new mapping is not shared")
	}
	f.check()
}

// A session that idles out by its profile again must not count for longer than
// that, though it was put to its place by the longer time.
func TestWhatRemainsAfterEndSessionsIsSweptInTime(t *testing.T) {
	f := build(t, config(nat7, AppProfile{Proto: frame.ProtoUDP, Mapping: EIM}))
	ike := f.mustOut(udp(at(subscriber, 500), at(serverY, 500)), 0, 0)
	f.mustOut(udp(at(subscriber, 500), at(serverY, 53)), 0, 0)
	f.SetIdle(ike.Mapping, time.Hour)
	f.EndSessions(ike.Mapping, func(remote frame.Endpoint, _ int64) bool { return remote.Port == 500 })
	f.Sweep(120 * second)
	if n := f.Stats().Sessions[protoUDP]; n != 1 {
		t.Errorf("%d sessions at the last instant", n)
	}
	f.Sweep(121 * second)
	if n := f.Stats().Sessions[protoUDP]; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	f.check()
}
