package netstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"gvisor.dev/gvisor/pkg/tcpip"

	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/top"
)

// ChassisConfig is what the Routers of a Chassis share.
type ChassisConfig struct {
	Clock tcpip.Clock    // nil: the system's
	Log   *slog.Logger   // nil: silent
	Drops *drop.Counters // nil: the Chassis' own
	Ports []Port
	Flows int // capacity of the flow table, in directions, of all Routers together

	Offload      flow.Offload // forwards busy flows by itself; nil: nothing does
	OffloadAfter uint64       // see flow.Config

	CryptoWorkers int // goroutines that seal and open, once it runs; 0: whoever receives does
}

// Port is a place that frames come from and go to, with the VLANs on it, which
// may belong to several Routers. The Chassis owns Driver from NewChassis on and
// closes it.
type Port struct {
	Name   string
	Driver link.Driver
	VLANs  []VLAN
}

// Chassis holds the Routers, one for each traffic domain, and what they share:
// ports, flow table, drop counters, clock and sweep. Nothing that it shares
// leads from one Router to another: an interface belongs to one of them, and a
// flow's key has its interface.
type Chassis struct {
	log        *slog.Logger
	clock      tcpip.Clock
	drops      *drop.Counters
	flows      *flow.Table
	fabric     *link.Fabric
	ports      []*link.Port
	drivers    []link.Driver
	routers    []*Router            // by number of the domain
	interfaces [256]*link.Interface // of all Routers
	routerOf   [256]*Router         // of an interface
	names      [256]string          // of interfaces
	crypto     *crypto
	negotiator negotiator
	works      works
	watch      watch                 // who looks on
	watching   atomic.Pointer[watch] // &watch, or nil: nobody does, and nothing is asked of it
	top        top.Meter
	closing    sync.Once
}

// NewChassis builds a Chassis with a Router for each of configs, whose domains
// must differ. Nothing moves before Run; in tests frames are given to the
// ports' Input by hand. If it fails, the drivers are the caller's to close.
func NewChassis(c ChassisConfig, configs []RouterConfig) (*Chassis, error) {
	ch := &Chassis{log: c.Log, clock: c.Clock, drops: c.Drops}
	if ch.log == nil {
		ch.log = slog.New(slog.DiscardHandler)
	}
	if ch.clock == nil {
		ch.clock = tcpip.NewStdClock()
	}
	if ch.drops == nil {
		ch.drops = &drop.Counters{}
	}
	ch.flows = flow.New(flow.Config{
		Capacity: c.Flows, Active: ch.flowActive,
		Offload: c.Offload, OffloadAfter: c.OffloadAfter,
		Offloaded: func(in, out frame.Interface, packets, bytes uint64) { ch.fabric.Elsewhere(in, out, packets, bytes) },
	})
	ch.crypto = newCrypto(c.CryptoWorkers, ch.drops, ch.now, ch.releaseHeld)
	ch.negotiator.wake = make(chan struct{}, 1)
	ch.fabric = link.NewFabric(link.Config{
		Drops: ch.drops, Now: ch.now, Fast: func() link.FastPath { return ch.flows.Reader() }, Log: ch.log, After: ch.releaseHeld,
	})
	if err := ch.build(c.Ports, configs); err != nil {
		for _, r := range ch.routers {
			r.stack.Destroy()
		}
		return nil, err
	}
	ch.watch.ch, ch.watch.explain = ch, (*Router).Explain
	ch.startSweep()
	return ch, nil
}

// build makes the Routers, and then the VLANs between them and the ports.
func (ch *Chassis) build(ports []Port, configs []RouterConfig) error {
	for _, c := range configs {
		if ch.Router(c.Domain) != nil {
			return inDomain(c.Domain, errors.New("there are two routers"))
		}
		r, err := newRouter(ch, c)
		if err != nil {
			return inDomain(c.Domain, err)
		}
		ch.routers = append(ch.routers, r)
	}
	slices.SortFunc(ch.routers, func(a, b *Router) int { return cmp.Compare(a.domain, b.domain) })
	for _, p := range ports {
		if err := ch.addPort(p); err != nil {
			return fmt.Errorf("port %s: %w", p.Name, err)
		}
	}
	for _, c := range configs {
		if err := ch.Router(c.Domain).connect(c); err != nil {
			return inDomain(c.Domain, err)
		}
	}
	return nil
}

// inDomain says where an error is, if there may be several places.
func inDomain(domain uint16, err error) error {
	if domain == 0 {
		return err
	}
	return fmt.Errorf("traffic domain %d: %w", domain, err)
}

func (ch *Chassis) addPort(p Port) error {
	port := ch.fabric.AddPort(p.Name, p.Driver)
	ch.ports, ch.drivers = append(ch.ports, port), append(ch.drivers, p.Driver)
	for _, v := range p.VLANs {
		if err := ch.addVLAN(port, v); err != nil {
			return fmt.Errorf("vlan %s: %w", v.Name, err)
		}
	}
	return nil
}

func (ch *Chassis) addVLAN(port *link.Port, v VLAN) error {
	r := ch.Router(v.Domain)
	if r == nil {
		return fmt.Errorf("there is no router for traffic domain %d", v.Domain)
	}
	i, err := port.AddInterface(v.ID, v.Name, v.Tag)
	if err != nil {
		return err
	}
	ch.interfaces[v.ID], ch.routerOf[v.ID], ch.names[v.ID] = i, r, v.Name
	return r.addInterface(i, v)
}

// Run moves frames until ctx ends; then it tells the other ends of all tunnels,
// and closes the ports and the stacks. It returns the first error of a port; the
// end of ctx is none.
func (ch *Chassis) Run(ctx context.Context) error {
	for _, r := range ch.routers {
		r.announce()
	}
	moving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		ch.endTunnels()
		stop()
	})()
	g, moving := errgroup.WithContext(moving)
	ch.runTunnels(moving, g)
	for _, p := range ch.ports {
		g.Go(func() error { return p.Run(moving) })
	}
	err := g.Wait()
	ch.Close()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Close closes the ports and ends the timers and the stacks. Run does it; only
// a Chassis that never ran needs it. A second call waits for the first.
func (ch *Chassis) Close() {
	ch.closing.Do(func() {
		for i, d := range ch.drivers {
			if err := d.Close(); err != nil {
				ch.log.Warn("closing a port failed", "port", ch.ports[i].Name(), "error", err)
			}
		}
		ch.stopTimers()
		ch.flows.Close()
		for _, r := range ch.routers {
			r.sockets.close()
			r.stack.Destroy()
		}
	})
}

// Routers returns the Routers in the order of their domains.
func (ch *Chassis) Routers() []*Router { return ch.routers }

// Router returns the Router of a traffic domain, or nil.
func (ch *Chassis) Router(domain uint16) *Router {
	for _, r := range ch.routers {
		if r.domain == domain {
			return r
		}
	}
	return nil
}

// RouterOf returns the Router that an interface belongs to, or nil.
func (ch *Chassis) RouterOf(i frame.Interface) *Router { return ch.routerOf[i] }

// Port returns the i-th port of the configuration.
func (ch *Chassis) Port(i int) *link.Port { return ch.ports[i] }

// flowActive passes what the flow table reports on to the Router that has the
// flow: the interface in its key says which.
func (ch *Chassis) flowActive(f flow.Report) {
	ch.top.Count(&f)
	if r := ch.routerOf[f.Key.In]; r != nil {
		r.flowActive(f)
	}
}

// releaseHeld is called at the end of each batch.
func (ch *Chassis) releaseHeld() {
	for _, r := range ch.routers {
		r.releaseHeld()
	}
}
