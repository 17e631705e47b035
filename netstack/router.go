package netstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/alg/ipsec"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
)

// Port is a place that frames come from and go to, with the VLANs on it. The
// Router owns Driver from New on and closes it.
type Port struct {
	Name   string
	Driver link.Driver
	VLANs  []VLAN
}

// VLAN is one network on a port: one NIC of the stack.
type VLAN struct {
	ID        frame.Interface // 1 to 255, unique in the router
	Name      string
	Tag       uint16 // 802.1Q id, 0 untagged
	Addresses []netip.Prefix
}

// Route sends a destination to a neighbour. Connected networks need none.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Config is everything a Router is made of.
type Config struct {
	Clock    tcpip.Clock    // nil: the system's
	Log      *slog.Logger   // nil: silent
	Drops    *drop.Counters // nil: the Router's own
	Ports    []Port
	Routes   []Route
	LSN      lsn.Config               // Rand and limits included; OnGone is the Router's
	Profiles map[string]ipsec.Profile // IPsec ALG profiles, by name
	ALG      ipsec.Config
	Flows    int // capacity of the flow table, in directions
}

// Router is a running configuration.
type Router struct {
	log        *slog.Logger
	events     eventLog
	clock      tcpip.Clock
	drops      *drop.Counters
	flows      *flow.Table
	frags      *frag.Table
	wholeIDs   bool // some group has RewriteID
	lsn        *lsn.Table
	alg        *ipsec.ALG
	bindings   atomic.Pointer[bindings]
	icmpESP    atomic.Uint64 // ICMP errors about ESP that were translated (R63)
	stack      *stack.Stack
	fabric     *link.Fabric
	ports      []*link.Port
	drivers    []link.Driver
	connected  []network
	neighbors  *neighbors
	interfaces [256]*link.Interface
	names      [256]string
	local      map[frame.Addr]bool
	broadcasts map[frame.Addr]frame.Interface // of the connected networks
	paths      []path
	nat        []netip.Prefix // the NAT addresses
	packets    sync.Pool      // of *packet
	kept       kept
	later      later
	timers     timers
	closing    sync.Once
}

// New builds a Router. Nothing moves before Run; in tests frames are given to
// the ports' Input by hand. If it fails, the drivers are the caller's to close.
func New(c Config) (*Router, error) {
	r := &Router{
		log: c.Log, clock: c.Clock, drops: c.Drops,
		local: map[frame.Addr]bool{}, broadcasts: map[frame.Addr]frame.Interface{},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.events.log = r.log
	if r.clock == nil {
		r.clock = tcpip.NewStdClock()
	}
	if r.drops == nil {
		r.drops = &drop.Counters{}
	}
	bound := newBindings(c.LSN.Groups, c.Profiles)
	r.bindings.Store(&bound)
	if err := r.buildTables(c); err != nil {
		return nil, err
	}
	if err := r.buildStack(c); err != nil {
		return nil, err
	}
	r.startTimers()
	return r, nil
}

func (r *Router) buildTables(c Config) (err error) {
	r.flows = flow.New(flow.Config{Capacity: c.Flows, Active: r.flowActive})
	r.wholeIDs = slices.ContainsFunc(c.LSN.Groups, func(g lsn.Group) bool { return g.RewriteID })
	r.frags = frag.New(frag.Config{Drops: r.drops, Rand: c.LSN.Rand, WholeIDs: r.wholeIDs})
	r.alg = ipsec.New(c.ALG)
	c.LSN.OnGone = func(session uint64) {
		r.flows.RemoveOwner(flow.Owner{Kind: flow.OwnerLSN, ID: session})
	}
	if r.lsn, err = lsn.New(c.LSN); err != nil {
		return fmt.Errorf("lsn: %w", err)
	}
	for _, a := range r.lsn.Addresses() {
		r.nat = append(r.nat, netip.PrefixFrom(a.Netip(), 32))
	}
	return nil
}

// Run moves frames until ctx ends, then closes the ports and the stack. It
// returns the first error of a port; the end of ctx is none.
func (r *Router) Run(ctx context.Context) error {
	r.announce()
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range r.ports {
		g.Go(func() error { return p.Run(ctx) })
	}
	err := g.Wait()
	r.Close()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Close closes the ports and ends the timers and the stack. Run does it; only
// a Router that never ran needs it. A second call waits for the first.
func (r *Router) Close() {
	r.closing.Do(func() {
		for i, d := range r.drivers {
			if err := d.Close(); err != nil {
				r.log.Warn("closing a port failed", "port", r.ports[i].Name(), "error", err)
			}
		}
		r.stopTimers()
		r.stack.Destroy()
	})
}

// announce tells the networks where our addresses in them and the NAT addresses
// are now, so that neighbours forget whoever had them before: a router that
// this one replaces, say.
func (r *Router) announce() {
	for _, on := range r.connected {
		on.link.Announce(on.addr)
		for _, nat := range r.nat {
			if on.subnet.Contains(nat.Addr()) {
				on.link.Announce(nat.Addr().As4())
			}
		}
	}
}

// isLocal reports whether a is an address of one of our interfaces.
func (r *Router) isLocal(a frame.Addr) bool { return r.local[a] }

// Port returns the i-th port of the configuration.
func (r *Router) Port(i int) *link.Port { return r.ports[i] }
