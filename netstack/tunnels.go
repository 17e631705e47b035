package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"spigate/netstack/drop"
	tunnels "spigate/netstack/ipsec"
	ikev2 "spigate/netstack/ipsec/ike"
	"spigate/netstack/keying"
)

// The tunnels of a Router: policies and SAs (package ipsec), and who negotiates
// them (package keying). What their packets do stands in internal.go and
// egress.go.

// newTunnels makes a Router's tables, which know of no tunnel yet.
func (r *Router) newTunnels() (err error) {
	r.esp = tunnels.NewDatabase(tunnels.Options{})
	r.sockets.of = map[netip.AddrPort]*socket{}
	r.keyer, err = keying.New(keying.Deps{
		Database: r.esp, Send: r.sendIKE, Log: r.logIKE, Release: r.waited, Date: r.clock.Now,
	})
	return err
}

// beginTunnels makes c's tunnels the Router's.
func (r *Router) beginTunnels(c RouterConfig) error {
	p, err := r.checkTunnels(c.IPsec, c.Keying)
	if err != nil {
		return err
	}
	defer r.settleEnds()
	return r.setTunnels(p, c.Keying, r.now())
}

// setTunnels exchanges policies, selectors, manual SAs and peers. SAs stay that
// are still good for what the selectors say; the other ends are told of the
// others. Listeners come and go with the policies (VR1).
func (r *Router) setTunnels(p *tunnels.Policies, k keying.Config, now int64) error {
	gone, err := r.esp.Apply(p, now)
	if err != nil {
		return err
	}
	if err := r.keyer.Apply(k, gone, now); err != nil {
		return err
	}
	if r.ends.Load() != nil {
		r.keyer.Work(now) // the other ends are told before the sockets close
	}
	return r.listenForIKE(p.Locals())
}

// checkTunnels returns all that can be told before.
func (r *Router) checkTunnels(c tunnels.Config, k keying.Config) (*tunnels.Policies, error) {
	p, err := tunnels.NewPolicies(c)
	err = errors.Join(err, keying.Check(k))
	for i := range c.Policies {
		if a := c.Policies[i].Local; a.Is4() && !r.isLocal(a.As4()) {
			err = errors.Join(err, fmt.Errorf("policy %q: its local address %s is none of this router", c.Policies[i].Name, a))
		}
	}
	for i := range c.Tunnels {
		if t := &c.Tunnels[i]; r.tunnelNIC(t.ID) == nil {
			err = errors.Join(err, fmt.Errorf("tunnel %q: interfaces of tunnels come at the start only", t.Name))
		}
	}
	return p, err
}

// IPsec returns the tunnels' policies and SAs.
func (r *Router) IPsec() *tunnels.Database { return r.esp }

// Keying returns who negotiates them.
func (r *Router) Keying() *keying.Keyer { return r.keyer }

// sweepTunnels does what time does to SAs, once a second.
func (r *Router) sweepTunnels(now int64) {
	r.ports.sweep(now)
	r.esp.Sweep(now, func(e tunnels.Event) {
		if e.Kind == tunnels.HeldDropped {
			r.drops.CountOf(drop.Dropped{Reason: drop.NoSA, At: now, Mark: e.Mark})
			return
		}
		r.keyer.Event(e)
	})
}

// negotiator is the goroutine that speaks IKE for all Routers, as public key
// cryptography takes its time. Until a Chassis runs, whoever comes to the end of
// a batch does it.
type negotiator struct {
	wake    chan struct{}
	running atomic.Bool
}

// rouse tells the negotiator that there is something to do.
func (n *negotiator) rouse() {
	select {
	case n.wake <- struct{}{}:
	default: // it has been told
	}
}

// negotiateAtOnce lets IKE be spoken: by the negotiator if it runs. It reports
// whether something was done that may have left more to do.
func (r *Router) negotiateAtOnce() bool {
	if !r.sockets.heard.Load() && !r.keyer.Due(r.now()) {
		return false
	}
	if r.negotiator.running.Load() {
		r.negotiator.rouse()
		return false
	}
	r.negotiate()
	return true
}

// negotiate reads what came for IKE, and does what is due.
func (r *Router) negotiate() {
	r.sockets.read(r)
	r.keyer.Work(r.now())
}

// runTunnels starts the workers and the negotiator.
func (ch *Chassis) runTunnels(ctx context.Context, g *errgroup.Group) {
	if ch.crypto.workers {
		ch.crypto.running.Store(true)
		for i := range ch.crypto.lanes {
			g.Go(func() error { return ch.crypto.work(ctx, &ch.crypto.lanes[i]) })
		}
	}
	ch.negotiator.running.Store(true)
	ch.negotiator.rouse() // what there was to do before
	g.Go(func() error {
		defer ch.negotiator.running.Store(false)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ch.negotiator.wake:
			}
			for _, r := range ch.routers {
				r.negotiate()
				if r.sockets.heard.Load() || r.keyer.Due(r.now()) {
					ch.negotiator.rouse() // each turn does a part of what waits
				}
			}
			ch.releaseHeld()
		}
	})
}

// endTunnels tells the other ends that the tunnels end.
func (ch *Chassis) endTunnels() {
	for _, r := range ch.routers {
		r.keyer.End(r.now())
	}
}

// survive keeps a panic on a packet of a tunnel, outside of a port's turn, from
// ending the router. It is logged once a second at most.
func (r *Router) survive(packet []byte) {
	what := recover()
	if what == nil {
		return
	}
	now := r.now()
	r.drops.Count(drop.StackPanic, packet, now)
	if last := r.panicked.Load(); now-last >= int64(time.Second) && r.panicked.CompareAndSwap(last, now) {
		r.log.Error("a packet of a tunnel made the router panic; it was recovered", "panic", what, "stack", string(debug.Stack()))
	}
}

// sendIKE sends a datagram of IKE's from the socket at its address.
func (r *Router) sendIKE(d ikev2.Datagram) {
	if s := r.sockets.at(d.Local); s != nil {
		s.send(d)
	}
}

// listenForIKE opens sockets at 500 and 4500 of the ends of tunnels, and closes
// those of ends that are gone.
func (r *Router) listenForIKE(locals []netip.Addr) error {
	var wanted []netip.AddrPort
	for _, a := range locals {
		wanted = append(wanted, netip.AddrPortFrom(a, portIKE), netip.AddrPortFrom(a, tunnels.PortNATT))
	}
	for _, at := range r.sockets.all() {
		if !slices.Contains(wanted, at) {
			r.sockets.drop(at)
		}
	}
	for _, at := range wanted {
		if r.sockets.at(at) != nil {
			continue
		}
		if err := r.sockets.open(r, at); err != nil {
			return fmt.Errorf("listen for IKE at %s: %w", at, err)
		}
	}
	return nil
}
