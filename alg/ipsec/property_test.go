package ipsec

import (
	"testing"
	"time"
)

// startAll lets every client want a tunnel.
func (s *sim) startAll() {
	for _, c := range s.clients {
		if c.tunnel != nil {
			c.tunnel.dead = true
		}
		c.wanted, c.longest = s.w.now, 0
		s.after(s.rng.Int64N(2e9), func() {
			c.wanted = s.w.now
			s.begin(c, 0)
		})
	}
}

func TestModelCalm_NoMisdelivery_R53_R55_R64(t *testing.T) {
	// Delays and repeats stay below the gate timers and nothing is forged: no
	// packet of ESP goes to the wrong client, and no tunnel stays away.
	for seed := range uint64(30) {
		s := newSim(t, seed, true)
		s.startAll()
		s.run(600e9)
		s.w.checkPairs()
		if s.misled != 0 {
			t.Fatalf("seed %d: %d packets went to the wrong client", seed, s.misled)
		}
		for _, c := range s.clients {
			if c.completed < 3 {
				t.Errorf("seed %d: %v had %d tunnels in ten minutes", seed, c.p.inside, c.completed)
			}
		}
	}
}

// livenessBound is how long a client may have to wait for its tunnel when the
// network is well, however bad it was before, with n clients on the pair:
//
//   - whoever has the lock loses it within twice the gate timeout, because
//     somebody waits (R55): 2 G;
//   - messages of exchanges that were given up wait for one gate timeout more
//     at most (R58): G;
//   - a penalty costs one gate timeout (R60): G;
//   - each of the others goes first at most once, because the queue is first in
//     first out and who times out goes behind (R58, R60), and needs no more
//     than the ten seconds of an unanswered request: 10 s each.
func livenessBound(gate time.Duration, n int) time.Duration {
	return 4*gate + time.Duration(n)*10*time.Second
}

func TestModelWild_EqualityAndLiveness_R53toR66(t *testing.T) {
	// A fifth of all packets is lost, some are late by 15 s, SPIs are forged,
	// clients fall silent and give up. Each verdict and each receiver is what
	// the model says, misdelivery included. Then the network is well again,
	// and every client has its tunnel within the bound.
	misled, worst, packets := 0, time.Duration(0), 0
	var seen Counters
	for seed := range uint64(60) {
		s := newSim(t, seed, false)
		s.startAll()
		if seed%2 == 0 {
			s.forge()
		}
		s.run(900e9)
		s.w.checkPairs()
		misled, packets = misled+s.misled, packets+s.espIn+s.p2
		c := s.w.a.Counters()
		seen.Add(&c)
		s.calm, s.era, s.events = true, s.era+1, nil
		before := s.w.now
		s.startAll()
		bound := livenessBound(s.w.profile.ESPGateTimeout, 4)
		s.run(int64(bound) + 10e9)
		for _, c := range s.clients {
			if c.longest == 0 || c.wanted > 0 && s.w.now-c.wanted > int64(bound) {
				t.Errorf("seed %d: %v has no tunnel %v after the network was well", seed, c.p.inside, time.Duration(s.w.now-before))
			}
			worst = max(worst, time.Duration(c.longest))
		}
		if worst > bound {
			t.Errorf("seed %d: a client waited %v, more than %v", seed, worst, bound)
		}
	}
	if misled == 0 {
		t.Error("no schedule was bad enough for a misdelivery: the test proves nothing about it")
	}
	if seen.LateBind == 0 || seen.GateTimeout == 0 || seen.GateFail == 0 || seen.P2Held == 0 || seen.P2Dropped == 0 || seen.SeqReject == 0 {
		t.Errorf("something never happened: %+v", seen)
	}
	t.Logf("%d IKE and inbound ESP packets; %d late bindings, %d gates timed out, %d exchanges failed, %d messages waited, %d of them in vain",
		packets, seen.LateBind, seen.GateTimeout, seen.GateFail, seen.P2Held, seen.P2Dropped)
	t.Logf("%d packets misdelivered as predicted; longest wait for a tunnel %v", misled, worst)
}
