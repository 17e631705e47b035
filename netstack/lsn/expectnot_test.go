package lsn

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Port 0 of the remote stands for "somebody will come" and is nobody's: what a
// subscriber sends there must not turn the expectation into a session.
func TestAnExpectationIsNotUsedFromInside(t *testing.T) {
	for _, proto := range []uint8{frame.ProtoTCP, frame.ProtoUDP} {
		f := build(t, config(nat7))
		e := f.mustExpect(f.control(proto, 21, 0), 40001, 0)
		tup := Tuple{proto, at(subscriber, 40001), at(serverY, 0)}
		for i, flags := range []uint8{frame.TCPSyn, frame.TCPFin, frame.TCPRst} {
			if _, why := f.out(tup, Hints{TCPFlags: flags}, int64(i)*20*second); why != drop.Filtered {
				t.Errorf("flags %x: %v", flags, why)
			}
		}
		f.check()
		if _, why := f.in(proto, e, at(serverY, 20), frame.TCPSyn, minute+1); why != drop.NoMapping {
			t.Errorf("longer than its time: %v", why)
		}
		f.Sweep(1000 * second)
		f.check()
		if got := f.Expectations(); got != (ExpectStats{Opened: 1}) {
			t.Errorf("%+v", got)
		}
	}
}

// The port that a helper asks for has a mapping already, whose filter admits
// another server only: that is not room for this one.
func TestAnExpectationOnAMappingTowardsAnotherServer(t *testing.T) {
	everyProfile(t, frame.ProtoTCP, func(t *testing.T, a AppProfile) {
		f := build(t, config(nat7, a))
		f.mustOut(tcp(at(subscriber, 40001), at(serverZ, 80)), frame.TCPSyn, 0)
		e := f.mustExpect(f.control(frame.ProtoTCP, 21, 0), 40001, 0)
		if b, why := f.in(frame.ProtoTCP, e, at(serverY, 20), frame.TCPSyn, 1); why != drop.None || b.Inside != at(subscriber, 40001) {
			t.Errorf("%v, to %v", why, b.Inside)
		}
		f.Sweep(1000 * second)
		f.check()
	})
}
