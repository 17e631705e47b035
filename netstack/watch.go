package netstack

import (
	"slices"
	"sync"
	"sync/atomic"

	"spigate/netstack/capture"
	"spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/trace"
)

// watch is who looks on: the traces and the captures of a Chassis. While there are
// none, Chassis.watching is nil, the ports have no onlooker, and the packet path
// asks for these two pointers and for nothing else.
//
//	port ─► Received ─► fast path ─► Hit ────────────────────────────► Sent
//	            │ mark      └─ stack ─► enters ─► walk ─► leaves ─┘      │
//	            │                       each step: tracedWalk (tracewalk.go)
//	            └─ which packets are known, and to whom: frame.MarkBits ─┘
//
// The mark of a packet goes with it through the stack, in the mark of the stack's
// packet, over what is held, sealed and opened.
type watch struct {
	ch       *Chassis
	traces   trace.Set
	captures capture.Set
	explain  func(*Router, Question) (Explanation, error) // Router.Explain: by its name the steps would depend on themselves

	mu   sync.Mutex   // held while it is switched
	idle atomic.Int32 // sweeps since somebody wanted a packet

	quietUntil atomic.Int64 // a panic was logged, monotonic nanoseconds
}

var _ link.Onlooker = (*watch)(nil)

// lingers is how many sweeps the packets that are under way are still followed
// when nobody wants another one.
const lingers = 5

// AddTrace begins to record packets. The errors are those of trace.Set.Add.
func (ch *Chassis) AddTrace(c trace.Config) error {
	err := ch.watch.traces.Add(c, ch.now())
	ch.watch.refresh(0)
	return err
}

// Traces returns the recorded walks; they are changed by RemoveTrace and
// ClearTrace.
func (ch *Chassis) Traces() *trace.Set { return &ch.watch.traces }

// RemoveTrace ends a trace and forgets its packets, "" all traces.
func (ch *Chassis) RemoveTrace(name string) (traces, packets int) {
	traces, packets = ch.watch.traces.Remove(name)
	ch.watch.refresh(0)
	return traces, packets
}

// ClearTrace forgets the packets of a trace, "" of all, and records anew.
func (ch *Chassis) ClearTrace(name string) (traces, packets int) {
	traces, packets = ch.watch.traces.Clear(name, ch.now())
	ch.watch.refresh(0)
	return traces, packets
}

// BeginCapture begins to copy packets; EndCapture must follow. The error is
// capture.ErrBusy.
func (ch *Chassis) BeginCapture(c capture.Config) (*capture.Capture, error) {
	k, err := ch.watch.captures.Begin(c)
	ch.watch.refresh(0)
	return k, err
}

// EndCapture ends a capture.
func (ch *Chassis) EndCapture(k *capture.Capture) {
	ch.watch.captures.End(k)
	ch.watch.refresh(0)
}

// wanted reports whether somebody wants packets.
func (w *watch) wanted() bool { return w.traces.Wanting() || w.captures.Any() }

// sweep comes once a second. Traces become full without anybody being told.
func (w *watch) sweep() {
	if w.ch.watching.Load() != nil {
		w.refresh(1)
	}
}

// refresh looks on while it is wanted, and some sweeps longer.
func (w *watch) refresh(sweeps int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wanted() {
		w.idle.Store(0)
	} else if w.ch.watching.Load() == nil || w.idle.Add(sweeps) >= lingers {
		w.ch.watching.Store(nil)
		w.ch.fabric.SetOnlooker(nil)
		w.ch.drops.SetWatch(nil)
		w.ch.flows.KeepHome(nil)
		return
	}
	w.ch.flows.KeepHome(w.keptHome())
	w.ch.drops.SetWatch(w.dropped)
	w.ch.fabric.SetOnlooker(w)
	w.ch.watching.Store(w)
}

// keptHome picks the flows that the router forwards by itself, so that their
// packets can be seen: those that a filter chooses, as they come or as they leave.
// Who filters nothing out must not bring all traffic back, so that picks none.
func (w *watch) keptHome() func(flow.Entry, frame.Interface) bool {
	var filters []*filter.Expr
	add := func(e *filter.Expr) {
		if e != nil {
			filters = append(filters, e)
		}
	}
	w.traces.Filters(add)
	w.captures.Filters(add)
	if len(filters) == 0 {
		return nil
	}
	return func(e flow.Entry, out frame.Interface) bool {
		came, leaves := packetsOfFlow(&e)
		leaves.Out = out
		picked := func(f *filter.Expr) bool { return f.Match(&came) || f.Match(&leaves) }
		if slices.ContainsFunc(filters, picked) {
			return true
		}
		// Of ESP in UDP the flow does not say the SPI: its packets may have the one
		// that is looked for, and are looked at.
		came.AnySPI, leaves.AnySPI = came.Encapsulates(), leaves.Encapsulates()
		return (came.AnySPI || leaves.AnySPI) && slices.ContainsFunc(filters, picked)
	}
}

// packetsOfFlow are the packets of a flow as filters see them.
func packetsOfFlow(e *flow.Entry) (came, leaves filter.Packet) {
	came = filter.Packet{In: e.Key.In, Kind: frame.TypeIPv4, Proto: e.Key.Proto, Src: e.Key.Src, Dst: e.Key.Dst}
	switch e.Key.Proto {
	case frame.ProtoTCP, frame.ProtoUDP:
		came.Ported, came.SrcPort, came.DstPort = true, uint16(e.Key.ID>>16), uint16(e.Key.ID)
	case frame.ProtoESP:
		came.SPI = e.Key.ID
	}
	leaves = came
	if e.Side == flow.Source {
		leaves.Src, leaves.SrcPort = e.Addr, e.Port
	} else {
		leaves.Dst, leaves.DstPort = e.Addr, e.Port
	}
	return came, leaves
}

// Received implements link.Onlooker.
func (w *watch) Received(port *link.Port, f *frame.Frame, now int64) (mark uint32) {
	defer w.survive()
	p := filter.OfFrame(f.Bytes())
	p.In = f.In
	rec := ofFrame(capture.Received, f, now)
	mark = w.captures.Offer(&rec, &p, 0, port.Name())
	if f.In != 0 && p.Kind == frame.TypeIPv4 {
		mark |= w.begin(f.In, f.Payload(), "", &p, now)
	}
	return mark
}

// Wants implements link.Onlooker.
func (w *watch) Wants(mark uint32) bool {
	return mark>>trace.MarkShift != 0 || w.captures.Wants(capture.Before, mark)
}

// Hit implements link.Onlooker.
func (w *watch) Hit(was []byte, f *frame.Frame, now int64) {
	defer w.survive()
	if len(was) >= frame.HeaderLen {
		w.offer(capture.Before, was[frame.HeaderLen:], f.In, 0, f.Mark, now)
	}
	f.Mark = w.offer(capture.After, f.Payload(), f.In, f.Out, f.Mark, now)
	if f.Mark>>trace.MarkShift != 0 {
		w.hit(was, f, now)
	}
}

// Sent implements link.Onlooker.
func (w *watch) Sent(port *link.Port, f *frame.Frame, now int64) {
	defer w.survive()
	p := filter.OfFrame(f.Bytes())
	p.In, p.Out = f.In, f.Out
	rec := ofFrame(capture.Sent, f, now)
	w.captures.Offer(&rec, &p, f.Mark, port.Name())
	if id := f.Mark >> trace.MarkShift; id != 0 {
		w.sent(id, f)
	}
}

func ofFrame(at capture.Point, f *frame.Frame, now int64) capture.Record {
	return capture.Record{At: now, Point: at, In: f.In, Out: f.Out, Frame: true, VLAN: f.VLAN, Len: f.Len(), Data: f.Bytes()}
}

// offer shows an IPv4 packet to the captures.
func (w *watch) offer(at capture.Point, b []byte, in, out frame.Interface, mark uint32, now int64) uint32 {
	p := filter.OfPacket(b)
	p.In, p.Out = in, out
	rec := capture.Record{At: now, Point: at, In: in, Out: out, Len: len(b), Data: b}
	return w.captures.Offer(&rec, &p, mark, "")
}

// dropped is told of every drop (drop.Watch).
func (w *watch) dropped(d drop.Dropped) {
	defer w.survive()
	rec := capture.Record{At: d.At, Point: capture.Dropped, Reason: d.Reason, In: frame.Interface(d.In), Len: len(d.Packet), Data: d.Packet}
	p := filter.OfPacket(d.Packet)
	if !startsIPv4(d.Packet) {
		rec.Frame, p = true, filter.OfFrame(d.Packet)
	}
	p.In = rec.In
	if len(d.Packet) > 0 {
		w.captures.Offer(&rec, &p, d.Mark, "")
	}
	if id := d.Mark >> trace.MarkShift; id != 0 {
		w.lost(id, d.Reason)
	}
}

// startsIPv4 tells a packet from a frame whose destination begins with 0x45: that
// is a group's address, and we send none to such a one.
func startsIPv4(b []byte) bool {
	return len(b) > 0 && b[0]>>4 == 4 && b[0]&15 >= 5 && (b[0]&1 != 0 || len(b) < frame.HeaderLen || b[12] != 8 || b[13] != 0)
}

// enters is told of a packet that begins to walk a hook.
func (w *watch) enters(r *Router, at place, p *packet, b []byte) {
	defer w.survive()
	switch {
	case at == atPrerouting:
		p.watched = w.offer(capture.Before, b, p.in, 0, p.watched, p.now)
	case at == atForward && p.watched>>trace.MarkShift != 0:
		w.routed(r, p)
	}
}

// walked is told of a packet that has walked the steps of a hook, but not those of
// egress: then it is as it leaves, unless it is sealed.
func (w *watch) walked(at place, p *packet, o outcome) {
	defer w.survive()
	if at == atPostrouting && o.verdict != Dropped && o.verdict != Held {
		p.watched = w.offer(capture.After, p.Bytes(), p.in, p.out, p.watched, p.now)
	}
}
