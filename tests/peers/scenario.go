package peers

import (
	"context"
	"errors"
	"fmt"
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
		{Name: "rekey idle", Timers: idleLives, Play: playRekeyIdle},
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

// idleLives are longer at a gateway: the next rekeying is to come only after the
// pause that follows the first one.
func idleLives(r Row) Timers {
	t := shortLives(r)
	if t.GatewayLifetime > 0 {
		t.GatewayLifetime += 20 * time.Second
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
	return errors.Join(r.checkCounters(ctx, r.Clients[0], 4*burst), r.checkCounters(ctx, r.Clients[1], 4*burst), r.checkNoneLost(ctx))
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
	return errors.Join(r.pingBoth(ctx, r.pair()...), r.checkNoneLost(ctx))
}

// playRekeyBusy: new keys by each side while both clients have traffic. A ping
// may be lost only where a kernel at one end counted it: daemons send with new
// keys before the other side has them, and OpenIKED deletes the old ones as
// soon as it has new ones. Between them nothing may be lost.
func playRekeyBusy(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	refused, err := r.countRefused(ctx, append(r.pair(), r.Gateway)...)
	if err != nil {
		return err
	}
	err = each(r.pair(), func(h *Host) error { return r.StartPings(ctx, h, r.Gateway) })
	if err != nil {
		return err
	}
	if err := r.rekeyBySides(ctx, func(*Host) error { return nil }); err != nil {
		return err
	}
	now, err := r.countRefused(ctx, append(r.pair(), r.Gateway)...)
	if err != nil {
		return err
	}
	r.Say("the kernels of clients and gateway refused %d packets: an SA was not there yet, or no longer", now-refused)
	err = each(r.pair(), func(h *Host) error { return r.stopPings(ctx, h, min(now-refused, refusals)) })
	return errors.Join(err, r.pingBoth(ctx, r.pair()...), r.checkNoneLost(ctx))
}

// playRekeyIdle: new keys by each side while nobody has traffic, and traffic
// only when the gates for the new SPIs have closed. The client speaks first:
// what the gateway sends to an SPI that nobody has claimed belongs to nobody
// (case N9).
func playRekeyIdle(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	err := r.rekeyBySides(ctx, func(side *Host) error {
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
	return errors.Join(err, r.checkNoneLost(ctx))
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

// playDeadPeer: the gateway's questions come to the right client and its
// answers come back, while nothing else passes; a client that is cut off is
// found dead and forgotten, the other one is not disturbed.
func playDeadPeer(ctx context.Context, r *Run) error {
	if err := r.upBoth(ctx); err != nil {
		return err
	}
	if err := r.awaitAnswers(ctx); err != nil {
		return err
	}
	if err := r.pingBoth(ctx, r.pair()...); err != nil {
		return err
	}
	first, second := r.Clients[0], r.Clients[1]
	old, err := r.Tunnels(ctx, first)
	if err != nil {
		return err
	}
	if err := errors.Join(r.StartPings(ctx, second, r.Gateway), r.networks.SetLink(first.TAP(), false)); err != nil {
		return err
	}
	gone := errors.Join(r.letAsk(ctx), r.awaitForgotten(ctx, old))
	if err := errors.Join(gone, r.Kill(ctx, first), r.networks.SetLink(first.TAP(), true), r.stopPings(ctx, second, 0)); err != nil {
		return err
	}
	r.Say("the gateway has forgotten %s", first.Name)
	if _, err := r.bringUp(ctx, first, old...); err != nil {
		return err
	}
	return r.pingBoth(ctx, r.pair()...)
}

// awaitAnswers waits until the gateway has asked each client and got its
// answer.
func (r *Run) awaitAnswers(ctx context.Context) error {
	before := map[*Host]int{}
	for _, h := range r.pair() {
		before[h] = answered(r.Watch.ike(h), r.Watch.ike(r.Gateway))
	}
	if err := r.letAsk(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, h := range r.pair() {
		n := 0
		err := netns.Poll(ctx, 300*time.Millisecond, func() bool {
			n = answered(r.Watch.ike(h), r.Watch.ike(r.Gateway)) - before[h]
			return n > 0
		})
		if err != nil {
			return fmt.Errorf("the gateway had no answer to whether %s lives: %w", h.Name, err)
		}
		r.Say("idle: %s answered %d questions of the gateway", h.Name, n)
	}
	return nil
}

// ikeSilence is how long an OpenIKED gateway on Linux hears no IKE before it
// asks: that the kernel has sent ESP and got none, it cannot see there.
const ikeSilence = 300 * time.Second

// letAsk puts the guest's calendar forward where a gateway asks by it only
// after minutes. Nothing else here goes by the calendar: timers do not.
func (r *Run) letAsk(ctx context.Context) error {
	if r.Row.Gateway != OpenIKED {
		return nil
	}
	_, err := r.VM.Exec(ctx, "", fmt.Sprintf("date -s @$(( $(date +%%s) + %d ))", seconds(ikeSilence)+1))
	return err
}

// forgetting bounds how long a gateway asks before it gives up: OpenIKED two
// minutes.
const forgetting = 3 * time.Minute

// awaitForgotten waits until the gateway has none of the tunnels any more.
func (r *Run) awaitForgotten(ctx context.Context, old []Tunnel) error {
	ctx, cancel := context.WithTimeout(ctx, forgetting)
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
	if err := errors.Join(r.pingBoth(ctx, first), r.stopPings(ctx, second, 0)); err != nil {
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
