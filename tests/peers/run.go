package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"spigate/tests/netns"
)

// Run is one row in one scenario: fresh daemons, a fresh router.
type Run struct {
	*Site
	Row    Row
	Timers Timers
	Watch  *Watch
	Say    func(format string, args ...any)

	rekeyed bool // the gateway has, all its clients
	refused int  // by all kernels, before the beginning
}

// pair returns the two clients that speak plain ESP.
func (r *Run) pair() []*Host { return r.Clients[:2:2] }

// beside returns the clients that use NAT traversal in this row.
func (r *Run) beside() []*Host {
	if r.Row.Beside {
		return r.Clients[2:]
	}
	return nil
}

// role returns how a host's daemon behaves.
func (r *Run) role(h *Host) Role {
	switch i := slices.Index(r.Clients, h); {
	case h == r.Gateway:
		return r.Row.gateway(r.Timers)
	case i >= 2:
		return traversal(i - 1)
	case i > 0:
		// Only the first client rekeys by itself. Two that do so at about the
		// same time are not this test's: while the gate is open for one, what
		// comes for another whose own gate has closed unused is taken for the
		// first one's (R66).
		t := r.Timers
		t.ClientLifetime = 0
		return r.Row.client(t)
	}
	return r.Row.client(r.Timers)
}

// begin starts the gateway and, in a row with NAT traversal beside, the
// clients that use it; they ping until the end.
func (r *Run) begin(ctx context.Context) error {
	var err error
	if r.refused, err = r.countRefused(ctx, r.Hosts()...); err != nil {
		return err
	}
	if err := r.StartDaemon(ctx, r.Gateway, r.role(r.Gateway)); err != nil {
		return err
	}
	if r.Row.Gateway == OpenIKED {
		if err := r.startPin(ctx); err != nil {
			return err
		}
	}
	for _, h := range r.beside() {
		if _, err := r.bringUp(ctx, h); err != nil {
			return err
		}
		if err := r.StartPings(ctx, h, r.Gateway); err != nil {
			return err
		}
	}
	return nil
}

// bringUp starts a client's daemon and waits for its tunnel. known are those
// of an earlier life.
func (r *Run) bringUp(ctx context.Context, h *Host, known ...Tunnel) (Tunnel, error) {
	if err := r.StartDaemon(ctx, h, r.role(h)); err != nil {
		return Tunnel{}, err
	}
	if err := r.Up(ctx, h, r.role(h)); err != nil {
		return Tunnel{}, err
	}
	t, err := r.Await(ctx, h, known...)
	if err != nil {
		return t, err
	}
	r.Say("%s: tunnel up, SPI in %#08x, out %#08x", h.Name, t.In.SPI, t.Out.SPI)
	return t, r.awaitPin(ctx, h, t)
}

// count is how many packets one ping of a scenario sends.
const burst = 4

// pingBoth pings through the tunnel in both directions; every packet must be
// answered.
func (r *Run) pingBoth(ctx context.Context, hosts ...*Host) error {
	for _, h := range hosts {
		for _, way := range [][2]*Host{{h, r.Gateway}, {r.Gateway, h}} {
			if err := r.pingAll(ctx, way[0], way[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Run) pingAll(ctx context.Context, from, to *Host) error {
	p, err := r.Ping(ctx, from, to, burst, 20*time.Second)
	if err != nil {
		return err
	}
	r.Say("%s to %s: %d of %d pings answered", from.Name, to.Name, p.Received, p.Sent)
	if p.Received != p.Sent {
		return fmt.Errorf("%s to %s: %d of %d pings answered", from.Name, to.Name, p.Received, p.Sent)
	}
	return nil
}

// upBoth brings both clients up, one after the other, each with traffic.
func (r *Run) upBoth(ctx context.Context) error {
	for _, h := range r.pair() {
		if _, err := r.bringUp(ctx, h); err != nil {
			return err
		}
		if err := r.pingBoth(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// each does something for both clients at once.
func each(hosts []*Host, do func(h *Host) error) error {
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = do(h) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stopPings ends a host's pings. allowed is how many may have been lost.
func (r *Run) stopPings(ctx context.Context, h *Host, allowed int) error {
	p, err := r.StopPings(ctx, h)
	if err != nil {
		return err
	}
	r.Say("%s: %d pings, %d answered, %d lost", h.Name, p.Sent, p.Received, p.Lost)
	if p.Received == 0 || p.Lost > allowed {
		return fmt.Errorf("%s: %d pings, %d answered, %d lost, at most %d may be", h.Name, p.Sent, p.Received, p.Lost, allowed)
	}
	return nil
}

// pause waits; ESP and IKE are to see nothing of the test meanwhile.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rekey makes one side negotiate new keys for the given clients, by command,
// or else by the lifetime that the daemon was started with, and waits until
// that side has begun it and both ends have them. The gateway rekeys all
// clients.
func (r *Run) rekey(ctx context.Context, side *Host, hosts ...*Host) error {
	before, exchanges := map[*Host][]Tunnel{}, map[*Host]int{}
	for _, h := range hosts {
		var err error
		if before[h], err = r.Tunnels(ctx, h); err != nil {
			return err
		}
		exchanges[h] = begun(r.Watch.ike(h), side == r.Gateway)
	}
	r.rekeyed = r.rekeyed || side == r.Gateway
	if command := r.daemon(side, r.role(side)).rekey; command != "" {
		if out, err := r.VM.Exec(ctx, side.Name, command); err != nil {
			return fmt.Errorf("rekey by %s: %w: %s", side.Name, err, out)
		}
	}
	for _, h := range hosts {
		if err := r.awaitBegun(ctx, side, h, exchanges[h]); err != nil {
			return err
		}
		t, err := r.Await(ctx, h, before[h]...)
		if err != nil {
			return fmt.Errorf("rekey by %s: %w", side.Name, err)
		}
		r.Say("%s: rekeyed by %s, SPI in %#08x, out %#08x", h.Name, side.Name, t.In.SPI, t.Out.SPI)
		if err := r.awaitPin(ctx, h, t); err != nil {
			return err
		}
	}
	return nil
}

// awaitBegun waits until a side has begun more exchanges for new SAs with the
// client than so many.
func (r *Run) awaitBegun(ctx context.Context, side, h *Host, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := netns.Poll(ctx, 300*time.Millisecond, func() bool { return begun(r.Watch.ike(h), side == r.Gateway) > n })
	if err != nil {
		return fmt.Errorf("%s did not begin to rekey with %s: %w", side.Name, h.Name, err)
	}
	return nil
}

// errMisled is in the chain of what spigate must never do. Anything else may be
// the emulated machine's doing, which loses seconds on a busy host.
var errMisled = errors.New("misled")

// finish ends the traffic beside, and looks where ESP went.
func (r *Run) finish(ctx context.Context) error {
	var errs []error
	allowed, err := r.besideMayLose(ctx)
	errs = append(errs, err)
	for _, h := range r.beside() {
		errs = append(errs, r.stopPings(ctx, h, allowed))
	}
	d, err := r.Watch.Deliveries(ctx)
	errs = append(errs, err)
	r.Say("ESP packets at their owners: %v, %d of them plain", d.Right, d.Plain)
	for _, w := range d.Wrong {
		errs = append(errs, fmt.Errorf("%w: delivered to the wrong host: %s", errMisled, w))
	}
	for _, l := range d.Leaked {
		errs = append(errs, fmt.Errorf("%w: not translated: %s", errMisled, l))
	}
	if d.Plain == 0 {
		errs = append(errs, errors.New("no plain ESP was seen"))
	}
	return errors.Join(errs...)
}

// refusals bounds what daemons may cost while they rekey: each side does it
// once, and there may be a packet or two on their way in either direction.
const refusals = 4

// countRefused sums what the kernels of the hosts refused.
func (r *Run) countRefused(ctx context.Context, hosts ...*Host) (int, error) {
	sum := 0
	for _, h := range hosts {
		n, err := r.Refused(ctx, h)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// besideMayLose is how many pings the clients with NAT traversal may lose: none
// but where the gateway has rekeyed them, too, and a kernel counted it.
func (r *Run) besideMayLose(ctx context.Context) (int, error) {
	if !r.rekeyed {
		return 0, nil
	}
	now, err := r.countRefused(ctx, r.Hosts()...)
	return min(now-r.refused, refusals), err
}

// checkCounters demands that both kernels counted at least n packets each way
// for the client, and as many at the receiver as at the sender. It waits a
// moment: packets may be on their way.
func (r *Run) checkCounters(ctx context.Context, h *Host, n uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var last error
	err := netns.Poll(ctx, time.Second, func() bool {
		var all []Tunnel
		if all, last = r.Tunnels(ctx, h); last != nil {
			return false
		}
		last = compareCounters(h, all, n)
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}

// checkNoneLost demands that every ESP packet that left a host came to another.
// It waits a moment: packets may be on their way.
func (r *Run) checkNoneLost(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var missing map[uint32]int
	err := netns.Poll(ctx, 300*time.Millisecond, func() bool { missing = r.Watch.lost(); return len(missing) == 0 })
	if err != nil {
		return fmt.Errorf("ESP packets were lost between the hosts, by SPI: %#08x: %w", missing, err)
	}
	return nil
}

func compareCounters(h *Host, all []Tunnel, n uint64) error {
	var in, out, gwIn, gwOut SA
	for _, t := range all {
		for _, p := range []struct {
			sum *SA
			one SA
		}{{&in, t.In}, {&out, t.Out}, {&gwIn, t.GwIn}, {&gwOut, t.GwOut}} {
			p.sum.Packets += p.one.Packets
			p.sum.Bytes += p.one.Bytes
		}
	}
	switch {
	case in.Packets < n || out.Packets < n:
		return fmt.Errorf("%s counted %d ESP packets in and %d out, expected %d at least", h.Name, in.Packets, out.Packets, n)
	case in.Packets != gwOut.Packets || out.Packets != gwIn.Packets:
		return fmt.Errorf("%s: sent %d packets, the gateway got %d; the gateway sent %d, it got %d", h.Name, out.Packets, gwIn.Packets, gwOut.Packets, in.Packets)
	case in.Bytes == 0 || out.Bytes == 0 || gwIn.Bytes == 0 || gwOut.Bytes == 0:
		return fmt.Errorf("%s: bytes: %d in, %d out; gateway %d in, %d out", h.Name, in.Bytes, out.Bytes, gwIn.Bytes, gwOut.Bytes)
	}
	return nil
}
