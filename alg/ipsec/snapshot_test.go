package ipsec

import (
	"cmp"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// restored returns a world that goes on from a snapshot of w.
func (w *world) restored(change ...func(*Config)) *world {
	w.t.Helper()
	n := newWorld(w.t)
	var c Config
	for _, f := range change {
		f(&c)
	}
	n.a, n.now, n.profile = New(c), w.now, w.profile
	got, actions, err := n.a.Restore(w.a.Snapshot(nil, w.now), map[string]*Profile{"P": w.profile}, n.now)
	if err != nil || got.Refused != 0 {
		w.t.Fatalf("restoring: %+v, %v", got, err)
	}
	n.do(actions)
	return n
}

// plain is what must be the same in two ALGs, in an order of its own.
func (w *world) plain() (ike []IKEInfo, esp []SessionInfo) {
	esp = w.sessions(Filter{})
	for i := range esp {
		esp[i].ID = 0
	}
	slices.SortFunc(esp, func(x, y SessionInfo) int {
		return cmp.Or(order(x.Inside, y.Inside), cmp.Compare(x.SPIIn, y.SPIIn), cmp.Compare(x.SPIOut, y.SPIOut))
	})
	ike = w.ikes(Filter{})
	slices.SortStableFunc(ike, func(x, y IKEInfo) int {
		return cmp.Or(order(x.Inside, y.Inside), cmp.Compare(x.Initiator, y.Initiator), cmp.Compare(x.Mapping, y.Mapping),
			cmp.Compare(x.Responder, y.Responder), cmp.Compare(x.Version, y.Version), cmp.Compare(x.Created, y.Created), cmp.Compare(x.LastSeen, y.LastSeen))
	})
	return ike, esp
}

func TestN30_FailoverMidGate_R72(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.client(addrA, 2).tunnel(), w.client(addrB, 2), w.client(addrC, 2)
	old := w.client(addrC, 2)
	old.spiIn, old.spiOut, old.initiator, old.mapping = 0xdead0001, 0xdead0002, 0x01d, 77
	old.tunnel()
	w.at(1000)
	w.a.Flush(Filter{Inside: addrC}, w.now, w.do) // leaves a tombstone
	c.phase1()                                    // C gets a token
	c.ask(exAuth, 1)
	c.reply(exAuth, 1, 200)
	w.at(1031)
	a.ask(exCreateChild, 5) // A is in the middle of a rekey
	b.phase1()
	w.held(b.ask(exAuth, 1)) // and B waits

	n := w.restored()
	a.w, b.w, c.w, old.w = n, n, n, n
	n.a.TakeOver(n.now)
	if n.idle[a.mapping] != time.Hour {
		t.Errorf("A's mapping idles out after %v, want an hour", n.idle[a.mapping])
	}
	n.lock(Free, addrA)
	if x := n.a.Counters(); x.Blocked != 0 || x.Active != 1 {
		t.Errorf("blocked %d, active %d; want no held packet and A's session", x.Blocked, x.Active)
	}
	n.forwarded(a.in(2), addrA) // ESP goes on
	n.forwarded(a.out(2), addrA)
	n.dropped(old.in(9), drop.ESPStaleSPI)
	n.forwarded(c.out(1), addrC) // the token is there
	n.forwarded(c.in(1), addrC)
	n.forwarded(b.ask(exAuth, 1), addrB) // IKE sends again
	n.forwarded(b.reply(exAuth, 1, 200), addrB)
	n.forwarded(b.in(1), addrB)
	n.forwarded(b.out(1), addrB)
	a.spiIn, a.spiOut = 0xaaaa0001, 0xaaaa0002
	n.forwarded(a.ask(exCreateChild, 5), addrA)
	n.forwarded(a.reply(exCreateChild, 5, 200), addrA)
	n.forwarded(a.in(1), addrA)
	n.forwarded(a.out(1), addrA)
	n.at(1031 + 3600)
	if x := n.a.Counters(); x.Active != 4 {
		t.Errorf("active %d at the full timeout after the take-over, want all 4", x.Active)
	}
}

func TestWithoutTakeOverTheRemainingTimeCounts_R72(t *testing.T) {
	w := newWorld(t)
	w.client(addrA, 2).tunnel()
	w.at(3000)
	for _, c := range []struct {
		takeOver bool
		at       float64
		want     uint64
	}{{false, 3599, 1}, {false, 3602, 0}, {true, 6599, 1}, {true, 6602, 0}} {
		n := w.restored()
		if c.takeOver {
			n.a.TakeOver(n.now)
		}
		n.at(c.at)
		if x := n.a.Counters(); x.Active != c.want || x.IKESessions != c.want {
			t.Errorf("take-over %v, at %v: ESP %d IKE %d, want %d", c.takeOver, c.at, x.Active, x.IKESessions, c.want)
		}
	}
}

func TestWithoutConnFailoverNothingIsReplicated_R72(t *testing.T) {
	w := newWorld(t, func(p *Profile) { p.ConnFailover = false })
	w.client(addrA, 2).tunnel()
	if b := w.a.Snapshot(nil, w.now); len(b) != len(snapshotMagic)+1 {
		t.Errorf("%d bytes, want the header only", len(b))
	}
}

func TestRestoreRespectsBounds_R72(t *testing.T) {
	w := newWorld(t)
	w.client(addrA, 2).tunnel()
	w.client(addrB, 2).tunnel()
	b := w.a.Snapshot(nil, w.now)
	for name, c := range map[string]struct {
		cfg      Config
		profiles map[string]*Profile
		want     Restored
	}{
		"no room":    {Config{MaxIKESessions: 1, MaxESPSessions: 1}, map[string]*Profile{"P": w.profile}, Restored{IKE: 1, ESP: 1, Refused: 2}},
		"no profile": {Config{}, nil, Restored{Refused: 4}},
	} {
		got, _, err := New(c.cfg).Restore(b, c.profiles, 0)
		if d := gocmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, d)
		}
	}
	got, _, err := w.a.Restore(b, map[string]*Profile{"P": w.profile}, w.now)
	if err != nil || got.Refused != 4 {
		t.Errorf("restoring what is there: %+v, %v; want all refused", got, err)
	}
}

func TestDamagedSnapshotChangesNothing_R72(t *testing.T) {
	w := newWorld(t)
	w.client(addrA, 2).tunnel()
	w.at(10)
	good := w.a.Snapshot(nil, w.now)
	damage := map[string]func(b []byte) []byte{
		"empty":           func(b []byte) []byte { return nil },
		"other magic":     func(b []byte) []byte { b[0]++; return b },
		"newer version":   func(b []byte) []byte { b[4]++; return b },
		"cut":             func(b []byte) []byte { return b[:len(b)-1] },
		"kind not known":  func(b []byte) []byte { return append(b, 'Z', 0) },
		"wrong length":    func(b []byte) []byte { return append(b, recordESP, 1, 0) },
		"reserved SPI":    func(b []byte) []byte { binary.BigEndian.PutUint32(b[len(b)-espLen+addrsLen:], 7); return b },
		"age of an aeon":  func(b []byte) []byte { binary.BigEndian.PutUint64(b[len(b)-24:], 1<<63); return b },
		"no inside":       func(b []byte) []byte { clear(b[len(b)-espLen:][:4]); return b },
		"stone too young": func(b []byte) []byte { return append(append(b, recordTombstone, tombstoneLen), make([]byte, 20)...) },
	}
	for name, f := range damage {
		a := New(Config{})
		_, actions, err := a.Restore(f(slices.Clone(good)), map[string]*Profile{"P": w.profile}, w.now)
		if err == nil || len(actions) != 0 || len(slices.Collect(a.Sessions(Filter{})))+len(slices.Collect(a.IKESessions(Filter{}))) != 0 {
			t.Errorf("%s: error %v, %d actions; want an error and no change", name, err, len(actions))
		}
	}
}

func TestSnapshotKeepsWhateverHappened_R72(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt)
		for _, e := range rapid.SliceOfN(rapid.Custom(threeBytes), 1, 100).Draw(rt, "events") {
			m.event(e[0], e[1], e[2])
		}
		w := m.w
		w.do(w.a.Tick(w.now)) // what is over is not in a snapshot
		for w.due() {
			w.now += sweepEvery
			w.do(w.a.Tick(w.now))
		}
		m.quota = &sessions{limit: m.quota.limit, has: map[frame.Addr]int{}}
		n := w.restored(func(c *Config) { *c, c.Quota = w.a.cfg, m.quota })
		ike, esp := w.plain()
		ike2, esp2 := n.plain()
		if d := gocmp.Diff(ike, ike2) + gocmp.Diff(esp, esp2); d != "" {
			rt.Fatalf("(-before +after)\n%s", d)
		}
		m.w, m.owners = n, map[spiKey]owner{}
		m.check()
		for _, e := range rapid.SliceOfN(rapid.Custom(threeBytes), 0, 50).Draw(rt, "after") {
			for _, p := range m.peers {
				p.w = n
			}
			m.event(e[0], e[1], e[2])
		}
		m.end()
	})
}

func FuzzRestore(f *testing.F) {
	w := newWorld(f)
	w.client(addrA, 2).tunnel()
	w.client(addrB, 1).tunnel()
	f.Add(w.a.Snapshot(nil, w.now))
	c := w.client(addrC, 2)
	c.phase1()
	c.ask(exAuth, 1)
	c.reply(exAuth, 1, 200)
	c.out(1)
	w.at(40)
	w.a.Flush(Filter{Inside: addrA}, w.now, w.do)
	f.Add(w.a.Snapshot(nil, w.now))
	for _, name := range []string{"ikev1-libreswan-strongswan.pcap", "ikev2-strongswan-iked.pcap"} {
		w := newWorld(f)
		r := &replay{w: w, inside: addrA, mapping: 7 << 32}
		for _, p := range readPcap(f, name) {
			r.play(p)
		}
		f.Add(w.a.Snapshot(nil, w.now))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMachine(t)
		w := m.w
		w.now = 1000e9
		got, actions, err := w.a.Restore(b, map[string]*Profile{"P": w.profile}, w.now)
		if err != nil && (got != Restored{} || len(actions) > 0) {
			t.Fatalf("an error and a change: %+v", got)
		}
		w.do(actions)
		m.check()
		if n := len(w.sessions(Filter{})); n != got.ESP {
			t.Fatalf("%d sessions, %d reported", n, got.ESP)
		}
		w.client(addrA, 2).send(ike{dir: alg.In2Out, exchange: 37, responder: 1})
		m.check()
		m.end()
	})
}
