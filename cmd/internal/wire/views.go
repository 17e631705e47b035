package wire

import (
	"context"
	"iter"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"spigate/alg/ipsec"
	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// views shows the Router to package control (control.Backend).
type views struct {
	config atomic.Pointer[configs.Config]
	router *netstack.Router
	began  int64           // monotonic ns
	ready  <-chan struct{} // closed when the daemon is

	mu    sync.Mutex
	rates control.Rates
}

var _ control.Backend = (*views)(nil)

// newViews shows c; start shows the Router too.
func newViews(c *configs.Config) *views {
	v := &views{}
	v.config.Store(c)
	return v
}

func (v *views) start(r *netstack.Router) { v.router, v.began = r, r.Now() }

// observe feeds the rates once a second until ctx ends.
func (v *views) observe(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			counts := v.dropCounts()
			v.mu.Lock()
			v.rates.Observe(counts, v.router.Now())
			v.mu.Unlock()
		}
	}
}

// dropCounts returns our own reasons and then the stack's.
func (v *views) dropCounts() []uint64 {
	own := v.router.Drops().Snapshot()
	counts := own[1:]
	for _, s := range v.router.StackDrops() {
		counts = append(counts, s.Count)
	}
	return counts
}

// Drops implements control.Backend.
func (v *views) Drops() []control.Drop {
	now, drops := v.router.Now(), v.router.Drops()
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []control.Drop
	for r := drop.None + 1; r < drop.NumReasons; r++ {
		in := r.Info()
		row := control.Drop{Reason: in.Word, Count: drops.Get(r), Rate: v.rates.PerSecond(len(out)), Means: in.Means, Do: in.Do, Rule: in.Rule}
		if s := drops.Last(r); s != nil {
			row.Last = control.NewDropSample(s.Bytes, ago(now, s.At))
		}
		out = append(out, row)
	}
	for _, s := range v.router.StackDrops() {
		out = append(out, control.Drop{Reason: s.Word, Count: s.Count, Rate: v.rates.PerSecond(len(out)), Means: s.Means, Do: s.Do})
	}
	return out
}

// Version implements control.Backend.
func (v *views) Version() control.Version { return control.BuildVersion() }

// Status implements control.Backend.
func (v *views) Status() control.Status {
	flows := v.router.Flows().Stats()
	st := control.Status{
		Ready: v.isReady(), Uptime: ago(v.router.Now(), v.began), PID: os.Getpid(), Config: v.config.Load().File,
		FastHits: flows.Hits, Flows: uint64(flows.Entries), FlowCapacity: uint64(flows.Capacity),
	}
	for _, c := range v.router.Counters() {
		st.SlowHits += c.Slow
		st.Ports = append(st.Ports, control.PortStatus{
			Port: c.Port, Interface: c.Name, Up: c.Up,
			RxFrames: c.RxFrames, RxBytes: c.RxBytes, TxFrames: c.TxFrames, TxBytes: c.TxBytes,
			FastHits: c.Fast, SlowHits: c.Slow, Lost: c.Lost,
		})
	}
	return st
}

func (v *views) isReady() bool {
	select {
	case <-v.ready:
		return true
	default:
		return false
	}
}

// client checks a filter's client name and returns a function that names the
// client and group of a subscriber.
func (v *views) client(f control.Filter) (func(netip.Addr) (client, group string), error) {
	known := f.Client == ""
	for _, c := range v.config.Load().LSN.Clients {
		known = known || c.Name == f.Client
	}
	if !known {
		return nil, control.NotFound("lsn client", f.Client)
	}
	return func(a netip.Addr) (string, string) {
		g, ok := v.router.LSN().Client(a.As4())
		if !ok {
			return "", ""
		}
		return g.Client, g.Name
	}, nil
}

// LSNSessions implements control.Backend.
func (v *views) LSNSessions(f control.Filter) (iter.Seq[control.LSNSession], error) {
	name, err := v.client(f)
	if err != nil {
		return nil, err
	}
	return func(yield func(control.LSNSession) bool) {
		v.router.LSN().Walk(func(s lsn.SessionInfo) bool {
			row := control.LSNSession{
				SubscriberIP: s.Inside.Addr.Netip(), SubscriberPort: s.Inside.Port,
				DestIP: s.Remote.Addr.Netip(), DestPort: s.Remote.Port,
				NATIP: s.Outside.Addr.Netip(), NATPort: s.Outside.Port,
				Protocol: control.ProtocolName(s.Proto), Direction: control.Out2In,
			}
			if s.FromInside {
				row.Direction = control.In2Out
			}
			row.Client, _ = name(row.SubscriberIP)
			return yield(row)
		})
	}, nil
}

// IPsecSessions implements control.Backend.
func (v *views) IPsecSessions(f control.Filter) (iter.Seq[control.IPsecSession], error) {
	name, err := v.client(f)
	if err != nil {
		return nil, err
	}
	return func(yield func(control.IPsecSession) bool) {
		now := v.router.Now()
		for _, s := range v.router.ALG().Sessions(filter(f)) {
			row := control.IPsecSession{
				SourceIP: s.Inside.Netip(), NATIP: s.NAT.Netip(), DestIP: s.Server.Netip(),
				SPIIn: control.SPI(s.SPIIn), SPIOut: control.SPI(s.SPIOut),
				State: strings.ToLower(s.State.String()), Idle: ago(now, s.LastSeen),
				RxPackets: s.RxPackets, TxPackets: s.TxPackets, Profile: s.Profile,
			}
			row.Client, row.Group = name(row.SourceIP)
			if !yield(row) {
				return
			}
		}
	}, nil
}

// IPsecGates implements control.Backend.
func (v *views) IPsecGates(f control.Filter) (iter.Seq[control.IPsecGate], error) {
	name, err := v.client(f)
	if err != nil {
		return nil, err
	}
	return func(yield func(control.IPsecGate) bool) {
		now := v.router.Now()
		for _, g := range v.router.ALG().Gates(filter(f)) {
			row := gate(&g, now)
			row.Client, _ = name(g.Inside.Netip())
			if !yield(row) {
				return
			}
		}
	}, nil
}

func gate(g *ipsec.GateInfo, now int64) control.IPsecGate {
	row := control.IPsecGate{
		NATIP: g.NAT.Netip(), DestIP: g.Server.Netip(), State: strings.ToLower(g.State.String()),
		Waiters: []control.GateWaiter{}, SPIs: []control.SPI{},
	}
	if g.State != ipsec.Free || g.Open {
		row.Holder = control.Addr{Addr: g.Inside.Netip()}
		row.Opened, row.Expires = ago(now, g.Since), ago(g.Expires, now)
	}
	if g.State != ipsec.Free {
		id := control.MessageID(g.MessageID)
		row.Exchange = &id
	}
	for _, w := range g.Waiting {
		row.Waiters = append(row.Waiters, control.GateWaiter{
			SourceIP: w.Inside.Netip(), Exchange: control.MessageID(w.MessageID), Waiting: ago(now, w.Newest),
		})
	}
	for _, spi := range g.SPIsIn {
		row.SPIs = append(row.SPIs, control.SPI(spi))
	}
	return row
}

// filter is the part of f that the ALG can apply itself.
func filter(f control.Filter) (out ipsec.Filter) {
	for to, from := range map[*frame.Addr]netip.Addr{&out.Inside: f.SourceIP, &out.NAT: f.NATIP, &out.Server: f.DestIP} {
		if from.IsValid() {
			*to = addr(from)
		}
	}
	return out
}

// Flows implements control.Backend.
func (v *views) Flows(control.Filter) (iter.Seq[control.Flow], error) {
	return func(yield func(control.Flow) bool) {
		now := v.router.Now()
		v.router.Flows().Walk(func(in flow.Info) bool { return yield(v.flow(in, now)) })
	}, nil
}

func (v *views) flow(in flow.Info, now int64) control.Flow {
	row := control.Flow{
		SourceIP: in.Key.Src.Netip(), DestIP: in.Key.Dst.Netip(),
		InInterface: v.router.InterfaceName(in.Key.In), OutInterface: v.router.InterfaceName(in.Out),
		Packets: in.Packets, Bytes: in.Bytes, Idle: ago(now, in.Last),
		Owner: "lsn", OwnerID: in.Owner.ID,
	}
	if in.Owner.Kind == flow.OwnerESP {
		row.Owner = "ipsecalg"
	}
	row.SetID(in.Key.Proto, in.Key.ID)
	side := control.SideSource
	if in.Side == flow.Destination {
		side = control.SideDestination
	}
	row.SetNew(side, in.Addr.Netip(), in.Port)
	return row
}

func ago(now, then int64) control.Seconds {
	return control.Seconds(time.Duration(max(0, now-then)).Seconds())
}
