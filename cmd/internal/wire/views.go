package wire

import (
	"context"
	"iter"
	"net/netip"
	"os"
	"slices"
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
	"spigate/netstack/natlog"
)

// views shows the Routers to package control (control.Backend).
type views struct {
	config   atomic.Pointer[configs.Config]
	chassis  *netstack.Chassis
	switches *switches
	offload  *offload
	natLog   *natlog.Log     // nil: there is none
	began    int64           // monotonic ns
	ready    <-chan struct{} // closed when the daemon is
	daemon   *Daemon         // that keeps a configuration, or nil
	tallies  tallies

	capturing capturing

	mu      sync.Mutex
	rates   control.Rates
	cleared elsewhere // what those were when they were cleared last
}

var _ control.Backend = (*views)(nil)

// newViews shows c; start shows the Routers too.
func newViews(c *configs.Config) *views {
	v := &views{switches: &switches{}, offload: &offload{}}
	v.config.Store(c)
	return v
}

func (v *views) start(ch *netstack.Chassis) { v.chassis, v.began = ch, ch.Now() }

// routers returns those that a filter selects by traffic domain.
func (v *views) routers(f control.Filter) []*netstack.Router {
	if f.TD == nil {
		return v.chassis.Routers()
	}
	if r := v.chassis.Router(*f.TD); r != nil {
		return []*netstack.Router{r}
	}
	return nil
}

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
			v.rates.Observe(counts, v.chassis.Now())
			v.mu.Unlock()
		}
	}
}

// dropCounts returns our own reasons and then the stack's.
func (v *views) dropCounts() []uint64 {
	own := v.chassis.Drops().Snapshot()
	counts := own[1:]
	for _, s := range v.chassis.StackDrops() {
		counts = append(counts, s.Count)
	}
	return counts
}

// Drops implements control.Backend.
func (v *views) Drops() []control.Drop {
	now, drops := v.chassis.Now(), v.chassis.Drops()
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []control.Drop
	for r := drop.None + 1; r < drop.NumReasons; r++ {
		in := r.Info()
		row := control.Drop{Reason: in.Word, Count: drops.Get(r), Rate: v.rates.PerSecond(len(out)), Means: in.Means, Do: in.Do, Rule: in.Rule}
		if s := drops.Last(r); s != nil {
			row.Last = control.NewDropSample(s.Bytes, ago(now, s.At))
			row.Seen = &row.Last.Ago
		} else {
			row.Seen = v.seen(len(out), now)
		}
		if r == drop.VLANMiss {
			row.VLANMisses = v.vlanMisses()
		}
		out = append(out, row)
	}
	for _, s := range v.chassis.StackDrops() {
		out = append(out, control.Drop{Reason: s.Word, Count: s.Count, Rate: v.rates.PerSecond(len(out)),
			Seen: v.seen(len(out), now), Means: s.Means, Do: s.Do})
	}
	return out
}

// seen tells how long ago a counter without an example grew; nil if it did not.
// The caller holds mu.
func (v *views) seen(counter int, now int64) *control.Seconds {
	at, ok := v.rates.Grew(counter)
	if !ok {
		return nil
	}
	s := ago(now, at)
	return &s
}

// Version implements control.Backend.
func (v *views) Version() control.Version { return control.BuildVersion() }

// Status implements control.Backend.
func (v *views) Status() control.Status {
	flows := v.chassis.Flows().Stats()
	st := control.Status{
		Ready: v.isReady(), Uptime: ago(v.chassis.Now(), v.began), PID: os.Getpid(), Config: v.config.Load().File,
		FastHits: flows.Hits, Flows: uint64(flows.Entries), FlowCapacity: uint64(flows.Capacity),
	}
	for _, o := range v.switches.all {
		if !o.keeper.Status().Kept {
			st.FailedSwitches = append(st.FailedSwitches, o.name)
		}
	}
	for _, c := range v.chassis.Counters() {
		st.SlowHits += c.Slow
		st.Ports = append(st.Ports, control.PortStatus{
			Port: c.Port, Interface: c.Name, Up: c.Up,
			RxFrames: c.RxFrames, RxBytes: c.RxBytes, TxFrames: c.TxFrames, TxBytes: c.TxBytes,
			FastHits: c.Fast, SlowHits: c.Slow, Lost: c.Lost,
			TD: v.chassis.RouterOf(frame.Interface(c.ID)).Domain(),
		})
	}
	v.offload.show(&st, flows)
	if v.daemon != nil {
		st.Confirm = v.daemon.left()
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

// checkClient refuses a filter with a client that is not in the file.
func (v *views) checkClient(f control.Filter) error {
	if f.Client == "" {
		return nil
	}
	var known []string
	for _, c := range v.config.Load().LSN.Clients {
		known = append(known, c.Name)
	}
	if !slices.Contains(known, f.Client) {
		return control.NotFound("lsn client", f.Client, known...)
	}
	return nil
}

// clientOf names the client and the group of a subscriber.
func clientOf(r *netstack.Router, a netip.Addr) (client, group string) {
	g, ok := r.LSN().Client(a.As4())
	if !ok {
		return "", ""
	}
	return g.Client, g.Name
}

// walked is a sequence of what walk shows of each Router that a filter selects,
// until it returns false.
func walked[T any](v *views, f control.Filter, walk func(r *netstack.Router, yield func(T) bool) bool) (iter.Seq[T], error) {
	if err := v.checkClient(f); err != nil {
		return nil, err
	}
	return func(yield func(T) bool) {
		for _, r := range v.routers(f) {
			if !walk(r, yield) {
				return
			}
		}
	}, nil
}

// LSNSessions implements control.Backend.
func (v *views) LSNSessions(f control.Filter) (iter.Seq[control.LSNSession], error) {
	return walked(v, f, func(r *netstack.Router, yield func(control.LSNSession) bool) (more bool) {
		more = true
		r.LSN().Walk(func(s lsn.SessionInfo) bool {
			row := lsnSession(&s)
			row.Client, _ = clientOf(r, row.SubscriberIP)
			more = yield(row)
			return more
		})
		return more
	})
}

func lsnSession(s *lsn.SessionInfo) control.LSNSession {
	row := control.LSNSession{
		SubscriberIP: s.Inside.Addr.Netip(), SubscriberPort: s.Inside.Port, SubscriberTD: s.Domain,
		DestIP: s.Remote.Addr.Netip(), DestPort: s.Remote.Port, DestTD: s.Domain,
		NATIP: s.Outside.Addr.Netip(), NATPort: s.Outside.Port,
		Protocol: control.ProtocolName(s.Proto), Direction: control.Out2In,
	}
	if s.FromInside {
		row.Direction = control.In2Out
	}
	return row
}

// IPsecSessions implements control.Backend.
func (v *views) IPsecSessions(f control.Filter) (iter.Seq[control.IPsecSession], error) {
	return walked(v, f, func(r *netstack.Router, yield func(control.IPsecSession) bool) bool {
		now := r.Now()
		for s := range r.ALG().Sessions(filter(f)) {
			row := control.IPsecSession{
				SourceIP: s.Inside.Netip(), NATIP: s.NAT.Netip(), DestIP: s.Server.Netip(),
				SPIIn: control.SPI(s.SPIIn), SPIOut: control.SPI(s.SPIOut),
				State: strings.ToLower(s.State.String()), Idle: ago(now, s.LastSeen),
				RxPackets: s.RxPackets, TxPackets: s.TxPackets, Profile: s.Profile, TD: r.Domain(),
			}
			row.Client, row.Group = clientOf(r, row.SourceIP)
			if !yield(row) {
				return false
			}
		}
		return true
	})
}

// IPsecGates implements control.Backend.
func (v *views) IPsecGates(f control.Filter) (iter.Seq[control.IPsecGate], error) {
	return walked(v, f, func(r *netstack.Router, yield func(control.IPsecGate) bool) bool {
		now := r.Now()
		for g := range r.ALG().Gates(filter(f)) {
			row := gate(&g, now)
			row.TD = r.Domain()
			row.Client, _ = clientOf(r, g.Inside.Netip())
			if !yield(row) {
				return false
			}
		}
		return true
	})
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
		now := v.chassis.Now()
		v.chassis.Flows().Walk(func(in flow.Info) bool { return yield(v.flow(in, now)) })
	}, nil
}

func (v *views) flow(in flow.Info, now int64) control.Flow {
	row := control.Flow{
		SourceIP: in.Key.Src.Netip(), DestIP: in.Key.Dst.Netip(),
		InInterface: v.chassis.InterfaceName(in.Key.In), OutInterface: v.chassis.InterfaceName(in.Out),
		Packets: in.Packets, Bytes: in.Bytes, Idle: ago(now, in.Last),
		Owner: "lsn", OwnerID: in.Owner.ID, TD: in.Owner.Domain, Offloaded: in.Offloaded,
	}
	switch in.Owner.Kind {
	case flow.OwnerESP:
		row.Owner = "ipsecalg"
	case flow.OwnerConn:
		row.Owner = "ltm"
	case flow.OwnerStatic:
		row.OwnerID = 0 // a mapping of the LSN, and no session
	}
	row.SetID(in.Key.Proto, in.Key.ID)
	side := control.SideSource
	if in.Side == flow.Destination {
		side = control.SideDestination
	}
	if !routed(&in) {
		row.SetNew(side, in.Addr.Netip(), in.Port)
	}
	return row
}

// routed reports whether a flow's packets leave with the addresses with which
// they came: what a virtual server forwards without translation.
func routed(in *flow.Info) bool {
	addr, port := in.Key.Src, uint16(in.Key.ID>>16)
	if in.Side == flow.Destination {
		addr = in.Key.Dst
		if in.Key.Proto != frame.ProtoICMP { // its identifier is both ports
			port = uint16(in.Key.ID)
		}
	}
	return in.Addr == addr && (in.Port == port || in.Key.Proto == frame.ProtoESP)
}

func ago(now, then int64) control.Seconds {
	return control.Seconds(time.Duration(max(0, now-then)).Seconds())
}
