package lsn

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// control opens a control connection of the subscriber to a server's port.
func (f *fixture) control(proto uint8, port uint16, now int64) Binding {
	f.t.Helper()
	b := f.mustOut(Tuple{proto, at(subscriber, 50000), at(serverY, port)}, frame.TCPSyn, now)
	if proto == frame.ProtoTCP {
		f.reply(b, frame.TCPSyn|tcpACK, now, drop.None)
	}
	return b
}

func (f *fixture) mustExpect(b Binding, port uint16, now int64) frame.Endpoint {
	f.t.Helper()
	e, why := f.Expect(b.Session, port, now)
	if why != drop.None {
		f.t.Fatalf("expect %d: %v", port, why)
	}
	f.check()
	return e
}

// everyProfile calls fn for each mapping, filtering and pooling.
func everyProfile(t *testing.T, proto uint8, fn func(*testing.T, AppProfile)) {
	for m := APDM; m <= EIM; m++ {
		for l := APDF; l <= EIF; l++ {
			for p := Random; p <= Paired; p++ {
				a := AppProfile{Name: "A", Proto: proto, Mapping: m, Filtering: l, Pooling: p}
				t.Run(fmt.Sprint(m, l, p), func(t *testing.T) { fn(t, a) })
			}
		}
	}
}

func TestAnExpectedConnectionComesInOnce(t *testing.T) {
	everyProfile(t, frame.ProtoTCP, func(t *testing.T, a AppProfile) {
		f := build(t, config(nat7, a))
		c := f.control(frame.ProtoTCP, 21, 0)
		e := f.mustExpect(c, 40001, second)
		if e.Addr != c.Outside.Addr || e.Port < FirstPort {
			t.Fatalf("on %v, the control connection on %v", e, c.Outside)
		}
		if _, why := f.in(frame.ProtoTCP, e, at(serverZ, 20), frame.TCPSyn, 2*second); why == drop.None {
			t.Error("another server comes in")
		}
		if _, why := f.in(frame.ProtoTCP, e, at(serverY, 0), frame.TCPSyn, 2*second); why == drop.None {
			t.Error("port 0 comes in")
		}
		if _, why := f.in(frame.ProtoTCP, e, at(serverY, 1234), tcpACK, 2*second); why != drop.NotSYN {
			t.Errorf("without SYN: %v", why)
		}
		b, why := f.in(frame.ProtoTCP, e, at(serverY, 1234), frame.TCPSyn, 3*second)
		if why != drop.None || b.Inside != at(subscriber, 40001) || b.Established {
			t.Fatalf("%v, %+v", why, b)
		}
		f.check()
		if again, _ := f.in(frame.ProtoTCP, e, at(serverY, 1234), frame.TCPSyn, 3*second); again.Session != b.Session {
			t.Error("a repeated SYN has another session")
		}
		back := f.mustOut(b.Tuple, frame.TCPSyn|tcpACK, 3*second)
		if back.Session != b.Session || back.Outside != e || !back.Established {
			t.Errorf("the answer: %+v", back)
		}
		f.check()
		if _, why := f.in(frame.ProtoTCP, e, at(serverY, 1235), frame.TCPSyn, 4*second); why != drop.Filtered {
			t.Errorf("a second connection: %v", why)
		}
		if got := f.Expectations(); got != (ExpectStats{Opened: 1, Used: 1}) {
			t.Errorf("%+v", got)
		}
		f.Sweep(1000 * second)
		f.check()
	})
}

func TestAnExpectedConnectionHasItsOwnTimers(t *testing.T) {
	f := build(t, config(nat7))
	c := f.control(frame.ProtoTCP, 21, 0)
	e := f.mustExpect(c, 40001, 0)
	f.in(frame.ProtoTCP, e, at(serverY, 20), frame.TCPSyn, minute) // at the last instant (R22)
	if _, why := f.in(frame.ProtoTCP, e, at(serverY, 20), frame.TCPSyn, minute+60*second); why != drop.None {
		t.Errorf("its SYN again: %v", why)
	}
	f.Sweep(minute + 60*second)
	f.check()
	f.Sweep(minute + 121*second) // nobody answered
	if _, why := f.in(frame.ProtoTCP, e, at(serverY, 20), frame.TCPSyn, minute+121*second); why != drop.NoMapping {
		t.Errorf("after the idle time: %v", why)
	}
	f.check()
}

func TestAnExpectedConnectionThatNobodyAnswersEndsEarly(t *testing.T) {
	c := config(nat7)
	c.Groups[0].Transports = []TransportProfile{{Name: "T", Proto: frame.ProtoTCP, SynIdleTimeout: 30 * time.Second}}
	f := build(t, c)
	e := f.mustExpect(f.control(frame.ProtoTCP, 21, 0), 40001, 0)
	f.in(frame.ProtoTCP, e, at(serverY, 20), frame.TCPSyn, second)
	f.check()
	f.gone = nil
	f.Sweep(33 * second)
	if f.check(); len(f.gone) != 1 {
		t.Errorf("%d sessions ended", len(f.gone))
	}
}

func TestNobodyComesAndTheExpectationEnds(t *testing.T) {
	f := build(t, config(nat7))
	c := f.control(frame.ProtoTCP, 21, 0)
	e := f.mustExpect(c, 40001, 0)
	if again := f.mustExpect(c, 40001, 30*second); again != e { // the command was repeated
		t.Errorf("%v, then %v", e, again)
	}
	f.Sweep(80 * second)
	if _, why := f.DecideIn(frame.ProtoTCP, e, at(serverY, 20), Hints{TCPFlags: frame.TCPSyn}, 90*second); why != drop.None {
		t.Errorf("a minute after the second time: %v", why)
	}
	if _, why := f.in(frame.ProtoTCP, e, at(serverY, 20), frame.TCPSyn, 90*second+1); why != drop.NoMapping {
		t.Errorf("after that: %v", why)
	}
	if f.Expectations().Waiting != 1 {
		t.Error("ended before the sweep")
	}
	f.Sweep(92 * second)
	f.check()
	if got := f.Expectations(); got != (ExpectStats{Opened: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestAnAnswerFromAnotherPortFindsTheSamePort(t *testing.T) {
	everyProfile(t, frame.ProtoUDP, func(t *testing.T, a AppProfile) {
		f := build(t, config(nat7, a))
		c := f.control(frame.ProtoUDP, 69, 0)
		e := f.mustExpect(c, 50000, 0)
		if e != c.Outside {
			t.Fatalf("%v, asked from %v", e, c.Outside)
		}
		b, why := f.in(frame.ProtoUDP, e, at(serverY, 3000), 0, second)
		if why != drop.None || b.Inside != c.Inside {
			t.Fatalf("%v %+v", why, b)
		}
		if back := f.mustOut(b.Tuple, 0, second); back.Outside != c.Outside {
			t.Errorf("acknowledged from %v", back.Outside)
		}
		f.check()
		if _, why := f.in(frame.ProtoUDP, e, at(serverY, 3001), 0, second); (why == drop.None) != (a.Filtering != APDF) {
			t.Errorf("a second answer: %v", why)
		}
		f.Sweep(1000 * second)
		f.check()
	})
}

// Two subscribers may share one outside port towards different servers; the
// one's expectation must not let the other's server in.
func TestAnExpectationOnASharedPort(t *testing.T) {
	c := config(nat1)
	c.Rand = always(7)
	f := build(t, c)
	mine := f.mustOut(udp(at(subscriber, 4000), at(serverY, 69)), 0, 0)
	theirs := f.mustOut(udp(at(other, 4000), at(serverZ, 69)), 0, 0)
	if mine.Outside != theirs.Outside {
		t.Fatal("the ports are not shared")
	}
	f.mustExpect(mine, 4000, 0)
	f.mustExpect(theirs, 4000, 0)
	for _, tc := range []struct {
		from frame.Addr
		want frame.Addr
	}{{serverY, subscriber}, {serverZ, other}} {
		if b, why := f.in(frame.ProtoUDP, mine.Outside, at(tc.from, 3000), 0, second); why != drop.None || b.Inside.Addr != tc.want {
			t.Errorf("from %v to %v: %v", tc.from, b.Inside, why)
		}
	}
	f.check()
}

func TestWhatCannotBeExpected(t *testing.T) {
	f := build(t, config(nat7))
	c := f.control(frame.ProtoTCP, 21, 0)
	for name, tc := range map[string]struct {
		session uint64
		now     int64
		want    drop.Reason
	}{
		"no session":           {0, 0, drop.NoMapping},
		"a session that ended": {c.Session + 1<<32, 0, drop.NoMapping},
		"one that is over":     {c.Session, 121 * second, drop.NoMapping},
	} {
		if _, why := f.Expect(tc.session, 40001, tc.now); why != tc.want {
			t.Errorf("%s: %v", name, why)
		}
	}
	f.mustOut(tcp(at(subscriber, 40002), at(serverY, 0)), frame.TCPSyn, 0) // odd, but its own
	if _, why := f.Expect(c.Session, 40002, 0); why != drop.Filtered {
		t.Errorf("a port that already sends to port 0: %v", why)
	}
	small := config(nat7)
	small.MaxSessions = 1
	f = build(t, small)
	c = f.control(frame.ProtoTCP, 21, 0)
	if _, why := f.Expect(c.Session, 40001, 0); why != drop.SessionTableFull {
		t.Errorf("a full table: %v", why)
	}
	f.check()
}

// The data connection has the address of the control connection, whatever else
// is free (R14).
func TestAnExpectationStaysOnItsAddress(t *testing.T) {
	c := config(nat7, AppProfile{Name: "A", Proto: frame.ProtoTCP, Mapping: EIM, Filtering: EIF})
	f := build(t, c)
	b := f.control(frame.ProtoTCP, 21, 0)
	for port := range uint16(300) {
		if e := f.mustExpect2(b, 1024+port, 0); e.Addr != b.Outside.Addr {
			t.Fatalf("on %v, the control connection on %v", e, b.Outside)
		}
	}
	f.check()
}

// mustExpect2 is mustExpect without the look at all tables.
func (f *fixture) mustExpect2(b Binding, port uint16, now int64) frame.Endpoint {
	f.t.Helper()
	e, why := f.Expect(b.Session, port, now)
	if why != drop.None {
		f.t.Fatalf("expect %d: %v", port, why)
	}
	return e
}

func TestAnExpectationIsDrawnFromTheSubscribersBlocks(t *testing.T) {
	for _, typ := range []NATType{Dynamic, Deterministic} {
		t.Run(typ.String(), func(t *testing.T) {
			c := config(nat1)
			c.Pools[0].PortBlocks, c.Pools[0].Type = true, typ
			c.Groups[0].BlockSize, c.Groups[0].Type = 256, typ
			if typ == Deterministic {
				c.Clients[0].Networks = prefixes("192.0.2.0/26")
			}
			f := build(t, c)
			b := f.control(frame.ProtoTCP, 21, 0)
			number, _ := f.cfg().addrs[0].blocks.of(b.Outside.Port)
			e := f.mustExpect(b, 40001, 0)
			if got, _ := f.cfg().addrs[0].blocks.of(e.Port); got != number {
				t.Errorf("block %d, the subscriber has %d", got, number)
			}
			if e := f.mustExpect(b, 50000, 0); e != b.Outside { // its own port, as RFC 959 has it by default
				t.Errorf("%v beside %v", e, b.Outside)
			}
			if b, why := f.in(frame.ProtoTCP, e, at(serverY, 20), frame.TCPSyn, 0); why != drop.None || b.Inside.Port != 40001 {
				t.Errorf("%v %+v", why, b)
			}
			f.check()
			f.Sweep(1000 * second)
			f.check()
			if k := f.cfg().addrs[0].blocks.list[number]; k.claims != 0 {
				t.Errorf("%d claims on a block that nobody uses", k.claims)
			}
		})
	}
}

// A port that no block leads back to its subscriber is said to be so (R17): here
// beside a static mapping on an address that is in no pool.
func TestTheJournalKnowsWhichPortsLieInNoBlock(t *testing.T) {
	c := config(nat1)
	c.Pools[0].PortBlocks, c.Groups[0].BlockSize = true, 256
	c.Statics = []Static{{Name: "S", Proto: frame.ProtoTCP, Inside: at(subscriber, 50000), Outside: at(nat2, 2021)}}
	inBlock := map[frame.Endpoint]bool{}
	c.OnEvent = func(e Event) {
		if e.Kind == MappingCreated || e.Kind == MappingDeleted {
			inBlock[e.Outside] = e.InBlock
		}
	}
	f := build(t, c)
	drawn := f.mustOut(udp(at(subscriber, 7000), at(serverY, 53)), 0, 0).Outside
	b := f.control(frame.ProtoTCP, 21, 0)
	beside := f.mustExpect(b, 40001, 0)
	want := map[frame.Endpoint]bool{drawn: true, b.Outside: false, beside: false}
	if b.Outside != at(nat2, 2021) || beside.Addr != nat2 || !maps.Equal(inBlock, want) {
		t.Errorf("%v, %v: in a block are %v, want %v", b.Outside, beside, inBlock, want)
	}
	clear(inBlock)
	f.Sweep(1000 * second)
	if !maps.Equal(inBlock, want) {
		t.Errorf("at their end %v, want %v", inBlock, want)
	}
}

// The journal tells of the session when its remote is known, and not at all if
// nobody comes.
func TestTheJournalKnowsWhoCame(t *testing.T) {
	c := config(nat7)
	var told []string
	c.OnEvent = func(e Event) {
		if e.Kind == SessionCreated || e.Kind == SessionDeleted {
			told = append(told, fmt.Sprint(e.Kind == SessionCreated, e.Remote))
		}
	}
	f := build(t, c)
	b := f.control(frame.ProtoTCP, 21, 0)
	told = nil
	e := f.mustExpect(b, 40001, 0)
	f.mustExpect(b, 40002, 0)
	f.in(frame.ProtoTCP, e, at(serverY, 1234), frame.TCPSyn, 0)
	f.Sweep(115 * second)
	if got, want := fmt.Sprint(told), fmt.Sprint([]string{"true " + at(serverY, 1234).String(), "false " + at(serverY, 1234).String()}); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}
