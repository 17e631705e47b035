package ipsec

import (
	"encoding/binary"
	"testing"

	"spigate/alg"
	"spigate/netstack/frame"
)

// onOnePair brings up n tunnels of as many clients behind one NAT address to
// one server, so that all are in one shard.
func onOnePair(t testing.TB, n int) *world {
	w := newWorld(t)
	w.a = New(Config{MaxIKESessions: 2*n + 20_000, MaxESPSessions: 2*n + 1000})
	for i := range n {
		w.numbered(i).tunnel()
		w.sent, w.lines = w.sent[:0], w.lines[:0]
	}
	return w
}

// numbered is client i of many.
func (w *world) numbered(i int) *peer {
	var inside frame.Addr
	binary.BigEndian.PutUint32(inside[:], 0x0a000000+uint32(i))
	p := w.client(inside, 2)
	p.mapping, p.initiator, p.responder = uint64(i)+1, uint64(i)+1, uint64(i)+1
	p.spiIn, p.spiOut = 0x10000+uint32(i), 0x10000+uint32(i)
	return p
}

func TestAFlushOfManyGoesInSmallBatches(t *testing.T) {
	const n = 3000
	w := onOnePair(t, n)
	batches, ended, most := 0, 0, 0
	w.a.Flush(Filter{NAT: addrN}, w.now, func(actions []Action) {
		if len(actions) > 0 {
			batches++
		}
		most = max(most, len(actions))
		for _, a := range actions {
			if a.Kind == Log {
				ended++
			}
		}
		w.a.Counters() // nothing is locked
	})
	if c := w.a.Counters(); ended != 2*n || c.ESPSessions+c.IKESessions+c.Active != 0 {
		t.Errorf("%d sessions ended, %d ESP and %d IKE sessions are left", ended, c.ESPSessions, c.IKESessions)
	}
	if most > 4*purgeStep || batches < 2*n/purgeStep {
		t.Errorf("%d batches, the largest of %d actions", batches, most)
	}
}

func TestAFlushEndsThoughClientsGoOnBeginning(t *testing.T) {
	w := onOnePair(t, 1000)
	began := w.now
	fresh := 0
	w.a.Flush(Filter{}, began, func(actions []Action) {
		w.do(actions)
		w.now += 1e6
		for range 50 { // faster than the flush would be, if it minded them
			fresh++
			w.numbered(100_000 + fresh).send(ike{dir: alg.In2Out, exchange: exSAInit})
			if fresh > 100_000 {
				t.Fatal("the flush does not end")
			}
		}
	})
	if c := w.a.Counters(); c.ESPSessions != 0 || c.IKESessions != uint64(fresh) {
		t.Errorf("%d ESP and %d IKE sessions are left, of %d that began meanwhile", c.ESPSessions, c.IKESessions, fresh)
	}
}

// What began after the flush was asked for is not what it is for, be it a
// session or a message that waits.
func TestAFlushLeavesWhatIsYounger(t *testing.T) {
	w := newWorld(t)
	w.at(10)
	a, b := w.client(addrA, 2).tunnel(), w.client(addrB, 2)
	a.ask(exCreateChild, 2)
	b.phase1()
	w.held(b.ask(exAuth, 1))
	w.a.Flush(Filter{}, w.now-1, w.do)
	if c := w.a.Counters(); c.ESPSessions != 1 || c.IKESessions != 2 || c.Blocked != 1 || len(w.lost) > 0 {
		t.Errorf("%d ESP and %d IKE sessions and %d held messages are left, %v were lost; all are younger", c.ESPSessions, c.IKESessions, c.Blocked, w.lost)
	}
	w.a.Flush(Filter{}, w.now, w.do)
	if c := w.a.Counters(); c.ESPSessions+c.IKESessions+c.Blocked != 0 {
		t.Errorf("%+v is left", c)
	}
}
