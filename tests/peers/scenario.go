package peers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"spigate/tests/netns"
)

// Scenario is something that happens to both clients of a row.
type Scenario struct {
	Name   string
	Timers func(Row) Timers // nil: none
	Play   func(context.Context, *Run) error
}

// The scenarios.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "traffic", Play: playTraffic},
		{Name: "gateway first", Play: playGatewayFirst},
		{Name: "rekey busy", Timers: shortLives, Play: playRekeyBusy},
		{Name: "rekey idle", Timers: shortLives, Play: playRekeyIdle},
		{Name: "dead peer", Timers: gatewayAsks, Play: playDeadPeer},
		{Name: "restart", Play: playRestart},
		{Name: "together", Play: playTogether},
	}
}

// shortLives lets those rekey by time that have no command for it. The times
// of clients and gateway differ, so that they do not meet.
func shortLives(r Row) Timers {
	var t Timers
	if r.Client == OpenIKED {
		t.ClientLifetime = lifetime
	}
	if r.Gateway == OpenIKED {
		t.GatewayLifetime = lifetime
	}
	return t
}

const (
	lifetime = 50 * time.Second
	interval = 3 * time.Second // between a gateway's questions whether the peer lives
)

func gatewayAsks(Row) Timers { return Timers{GatewayDPD: interval} }

// playTraffic: tunnels up and traffic in both directions, for both clients.
func playTraffic(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	// The first client once more: the second one has not taken its place.
	if err := r.pingBoth(ctx, r.pair()...); err != nil {
		return err
	}
	return errors.Join(r.checkCounters(ctx, r.Clients[0], 4*burst), r.checkCounters(ctx, r.Clients[1], 4*burst))
}

// playGatewayFirst: the first ESP of each tunnel comes from the gateway.
func playGatewayFirst(ctx context.Context, r *Run) error {
	for _, h := range r.pair() {
		_, before := r.Watch.esp(h)
		if _, err := r.bringUp(ctx, h); err != nil {
			return err
		}
		if _, sent := r.Watch.esp(h); len(sent) != len(before) {
			return fmt.Errorf("%s spoke first", h.Name)
		}
		if err := r.pingAll(ctx, r.Gateway, h); err != nil {
			return err
		}
	}
	return r.pingBoth(ctx, r.pair()...)
}

// playRekeyBusy: new keys by each side while both clients have traffic.
func playRekeyBusy(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	err := each(r.pair(), func(h *Host) error { return r.StartPings(ctx, h, r.Gateway) })
	if err != nil {
		return err
	}
	if err := r.rekeyBySides(ctx, func(*Host) error { return nil }); err != nil {
		return err
	}
	err = each(r.pair(), func(h *Host) error { return r.stopPings(ctx, h, r.lossWhileRekeying()) })
	return errors.Join(err, r.pingBoth(ctx, r.pair()...))
}

// lossWhileRekeying is how many pings the daemons may cost. An OpenIKED
// gateway encrypts with the deleted SA until its policy is bound to the new
// one (pin): there only the pings afterwards count.
func (r *Run) lossWhileRekeying() int {
	if r.Row.Gateway == OpenIKED {
		return math.MaxInt
	}
	return 4
}

// playRekeyIdle: new keys by each side while nobody has traffic, and traffic
// only when the gates for the new SPIs have closed. The client speaks first:
// what the gateway sends to an SPI that nobody has claimed belongs to nobody
// (case N9).
func playRekeyIdle(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	return r.rekeyBySides(ctx, func(side *Host) error {
		gates := 1
		if side == r.Gateway {
			gates = 2 // of both clients, one after the other
		}
		if err := pause(ctx, time.Duration(gates)*GateTimeout+2*time.Second); err != nil {
			return err
		}
		r.Say("rekeyed by %s, then nothing until the gates have closed", side.Name)
		return r.pingBoth(ctx, r.pair()...)
	})
}

// rekeyBySides rekeys by the first client, and then by the gateway for both,
// where they can.
func (r *Run) rekeyBySides(ctx context.Context, after func(side *Host) error) error {
	first := r.Clients[0]
	if r.canRekey(first) {
		if err := errors.Join(r.rekey(ctx, first, first), after(first)); err != nil {
			return err
		}
	}
	if r.canRekey(r.Gateway) {
		return errors.Join(r.rekey(ctx, r.Gateway, r.pair()...), after(r.Gateway))
	}
	return nil
}

func (r *Run) canRekey(h *Host) bool {
	role := r.role(h)
	return r.daemon(h, role).rekey != "" || role.Lifetime > 0
}

// playDeadPeer: the gateway's questions pass while nothing else does; a client
// that is cut off is found dead and forgotten, the other one is not disturbed.
func playDeadPeer(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	first, second := r.Clients[0], r.Clients[1]
	before := r.Watch.ike(r.Gateway)
	if err := pause(ctx, 4*interval); err != nil {
		return err
	}
	asked := r.Watch.ike(r.Gateway) - before
	r.Say("idle: %d IKE messages to and from the gateway", asked)
	if asked < 4 {
		return fmt.Errorf("the gateway did not ask whether its peers live: %d IKE messages", asked)
	}
	if err := r.pingBoth(ctx, r.pair()...); err != nil {
		return err
	}
	old, err := r.Tunnels(ctx, first)
	if err != nil {
		return err
	}
	if err := errors.Join(r.StartPings(ctx, second, r.Gateway), r.networks.SetLink(first.TAP(), false)); err != nil {
		return err
	}
	gone := r.awaitForgotten(ctx, old)
	if err := errors.Join(gone, r.Kill(ctx, first), r.networks.SetLink(first.TAP(), true), r.stopPings(ctx, second, 2)); err != nil {
		return err
	}
	if _, err := r.bringUp(ctx, first, old...); err != nil {
		return err
	}
	return r.pingBoth(ctx, r.pair()...)
}

// awaitForgotten waits until the gateway has none of the tunnels any more.
func (r *Run) awaitForgotten(ctx context.Context, old []Tunnel) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	var last error
	err := netns.Poll(ctx, time.Second, func() bool {
		var all []SA
		if all, last = r.States(ctx, r.Gateway); last != nil {
			return false
		}
		for _, sa := range all {
			if hasSPI(old, sa.SPI) || hasOut(old, sa.SPI) {
				last = fmt.Errorf("the gateway still has SPI %#08x", sa.SPI)
				return false
			}
		}
		return true
	})
	return errors.Join(err, last)
}

// playRestart: a client loses its power and comes back at once; the other one
// is not disturbed.
func playRestart(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	first, second := r.Clients[0], r.Clients[1]
	old, err := r.Tunnels(ctx, first)
	if err != nil {
		return err
	}
	if err := errors.Join(r.StartPings(ctx, second, r.Gateway), r.Kill(ctx, first)); err != nil {
		return err
	}
	if _, err := r.bringUp(ctx, first, old...); err != nil {
		return err
	}
	if err := errors.Join(r.pingBoth(ctx, first), r.stopPings(ctx, second, 2)); err != nil {
		return err
	}
	return r.pingBoth(ctx, r.pair()...)
}

// playTogether: both clients start in the same second and have something to
// send from the beginning.
func playTogether(ctx context.Context, r *Run) error {
	err := each(r.pair(), func(h *Host) error {
		if err := r.StartPings(ctx, h, r.Gateway); err != nil {
			return err
		}
		_, err := r.bringUp(ctx, h)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.pingBoth(ctx, r.pair()...); err != nil {
		return err
	}
	// Before the tunnels were up pings went nowhere; what counts is the above.
	return each(r.pair(), func(h *Host) error {
		p, err := r.StopPings(ctx, h)
		r.Say("%s: %d of %d pings answered from the start on", h.Name, p.Received, p.Sent)
		return err
	})
}
