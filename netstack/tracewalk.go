package netstack

import (
	"fmt"
	"slices"
	"strings"

	"spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/trace"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// What a traced packet meets. Before it walks, it is explained (explain.go): where
// a step then does what the explanation says, the walk has its words, with the
// object of the configuration that decided. What is recorded is what happened.

// begin begins a walk, if a trace wants the packet.
func (w *watch) begin(in frame.Interface, b []byte, again string, p *filter.Packet, now int64) uint32 {
	defer w.survive()
	t := w.traces.Wants(p)
	r := w.ch.routerOf[in]
	if t == nil || r == nil {
		return 0
	}
	k := &trace.Packet{At: now, In: in, Length: len(b), Head: slices.Clone(b[:min(len(b), trace.HeadLen)]), Again: again}
	var p2 frame.Packet
	if p2.Parse(b); p2.Bytes() != nil {
		k.Length = len(p2.Bytes())
	}
	var expects []trace.Event
	if x, err := w.explain(r, Question{In: in, Packet: b, Unsealed: again == againOpened}); err == nil {
		k.Foretold = foretold(&x.Fate)
		for i := range x.Findings {
			expects = append(expects, eventOf(&x.Findings[i]))
		}
	}
	return w.traces.Begin(t, k, expects) << trace.MarkShift
}

// Why a packet comes in without a frame.
const (
	againOpened = "opened"
	againHeld   = "held"
)

// eventOf is a finding in the words of a packet that does pass.
func eventOf(f *Finding) trace.Event {
	says := strings.NewReplacer("a connection would begin", "a connection begins", "would be made", "is made").Replace(f.Says)
	if strings.Contains(says, "would be drawn") {
		says = "" // what was drawn is known
	}
	return trace.Event{Hook: f.Hook, Step: f.Step, Verdict: f.Verdict.String(), Reason: f.Reason, Says: says, Rule: f.Rule, Kind: f.Of.Kind, Name: f.Of.Name}
}

func foretold(f *Fate) trace.Fate {
	return trace.Fate{
		End: f.End.String(), Reason: f.Reason, Stack: f.Stack, Told: f.Told, Out: f.Out, Next: f.Next, Waits: !f.Known,
		Src: f.Src, Dst: f.Dst, Selector: f.Selector, SPI: f.SPI, To: f.To, Label: f.Label,
	}
}

// again is told of a packet that comes in without a frame, and returns its mark.
func (w *watch) again(in frame.Interface, b []byte, mark uint32, now int64) (marked uint32) {
	marked = mark
	defer w.survive()
	if id := mark >> trace.MarkShift; id != 0 {
		w.traces.Event(id, trace.Event{At: now, Hook: "arrival", Verdict: Continue.String(), Says: "it comes in again: what it has waited for is there"})
		return mark
	}
	p := filter.OfPacket(b)
	p.In = in
	why := againHeld
	if mark&unsealedMark != 0 {
		why = againOpened
	}
	return mark | w.begin(in, b, why, &p, now)
}

// tracedWalk is walk for a packet whose steps are recorded.
func (r *Router) tracedWalk(hook string, steps []step, p *packet) outcome {
	w, id := &r.watch, p.watched>>trace.MarkShift
	k := w.traces.Packet(id)
	for i := range steps {
		before := lookOf(p)
		o := steps[i].run(r, p)
		if k != nil {
			record(k, hook, steps[i].name, p, before, o)
		}
		if o.verdict != Continue {
			return o
		}
	}
	return goOn
}

// record keeps a step that has done something, or has something to say.
func record(k *trace.Packet, hook, step string, p *packet, before look, o outcome) {
	after := lookOf(p)
	e := trace.Event{At: p.now, Hook: hook, Step: step, Verdict: o.verdict.String(), Reason: o.reason, Src: after.src, Dst: after.dst}
	switch {
	case k.Step(e):
		return
	case o.verdict == Dropped:
		in := o.reason.Info()
		e.Says, e.Rule = withoutStop(in.Means), in.Rule
	case after.src != before.src:
		e.Says = "its source becomes " + endpoint(after.src)
	case after.dst != before.dst:
		e.Says = "its destination becomes " + endpoint(after.dst)
	case o.verdict == Continue:
		return
	}
	k.Add(e)
}

// lookOf is a packet's ends as they stand.
func lookOf(p *packet) look {
	x := explainer{}
	x.p.Packet = p.Packet
	return x.now()
}

// routed is told of a packet for which the stack has found a route.
func (w *watch) routed(r *Router, p *packet) {
	k := w.traces.Packet(p.watched >> trace.MarkShift)
	if k == nil {
		return
	}
	at := lookOf(p)
	e := trace.Event{At: p.now, Hook: "route", Verdict: Continue.String(), Src: at.src, Dst: at.dst}
	if !k.Step(e) {
		e.Says = fmt.Sprintf("by %v on %s", nextOf(p.route), r.names[p.out])
		k.Add(e)
	}
}

// nextOf is the neighbour that a route sends to.
func nextOf(route *stack.Route) frame.Addr {
	next := route.NextHop()
	if next.Len() == 0 {
		next = route.RemoteAddress()
	}
	return next.As4()
}

// leaves is told of a packet that has walked a hook, with egress. What was dropped
// is told by the counters.
func (w *watch) leaves(r *Router, at place, p *packet, o outcome) {
	defer w.survive()
	id := p.watched >> trace.MarkShift
	if id == 0 {
		return
	}
	ends := lookOf(p)
	f := trace.Fate{Src: ends.src, Dst: ends.dst}
	switch {
	case o.verdict == Held:
		f.End = EndHeld.String()
	case at == atInput && o.verdict == Consumed:
		f.End = EndConsumed.String()
	case at == atPostrouting && o.verdict != Dropped && r.tunnelNIC(p.out) == nil:
		f.End, f.Out, f.Waits = EndForwarded.String(), p.out, true
		if p.route != nil {
			f.Next = nextOf(p.route)
		}
	default:
		return
	}
	w.traces.End(id, f)
}

// hit is told of a packet that the fast path has rewritten.
func (w *watch) hit(was []byte, f *frame.Frame, now int64) {
	k := w.traces.Packet(f.Mark >> trace.MarkShift)
	if k == nil {
		return
	}
	var p packet
	p.Parse(f.Payload())
	at := lookOf(&p)
	e := trace.Event{At: now, Hook: "fast path", Verdict: Accept.String(), Src: at.src, Dst: at.dst}
	fate := trace.Fate{End: EndForwarded.String(), Out: f.Out, Src: at.src, Dst: at.dst, Waits: true, InFastPath: true}
	e.Says = "its flow is established, and the fast path forwards it by itself"
	old := frame.New(was, 0, len(was), 0)
	old.In = f.In
	if key, ok := flow.KeyOf(&old); ok {
		if i, found := w.ch.flows.Find(key); found {
			e.Says += ", " + ofFlow(&i, at)
			fate.Next = i.Next
		}
	}
	k.Add(e)
	k.End(fate)
}

// ofFlow says whose a flow is, and what it does.
func ofFlow(i *flow.Info, at look) string {
	what, end := "source", at.src
	if i.Side == flow.Destination {
		what, end = "destination", at.dst
	}
	return fmt.Sprintf("with the %s %s: flow of %s", what, endpoint(end), ownerOf(i.Owner))
}

// ownerOf says what a flow exists for.
func ownerOf(o flow.Owner) string {
	switch o.Kind {
	case flow.OwnerLSN:
		return fmt.Sprint("LSN session ", o.ID)
	case flow.OwnerESP:
		return fmt.Sprint("ESP session ", o.ID)
	case flow.OwnerConn:
		return fmt.Sprint("connection ", o.ID)
	case flow.OwnerStatic:
		return "a 1:1 mapping" // its number is that of a connection, or 0
	}
	return fmt.Sprintf("an owner of kind %d", o.Kind)
}

// sent is told of a frame that has left.
func (w *watch) sent(id uint32, f *frame.Frame) {
	k := w.traces.Packet(id)
	if k == nil {
		return
	}
	var at look
	var p packet
	if b := f.Bytes(); len(b) > frame.HeaderLen && p.Parse(untagged(b)) == drop.None {
		at = lookOf(&p)
	}
	k.Change(func(fate *trace.Fate) bool {
		if fate.End == "" {
			*fate = trace.Fate{End: EndForwarded.String()}
		}
		if fate.End == EndForwarded.String() {
			fate.Out = f.Out
			if at != (look{}) {
				fate.Src, fate.Dst = at.src, at.dst
			}
		}
		fate.Waits = false
		return true
	})
}

// untagged is what is in a frame, whether or not its tag is in place.
func untagged(b []byte) []byte {
	if b[12] == frame.TypeVLAN>>8 && b[13] == frame.TypeVLAN&0xff && len(b) > frame.HeaderLen+frame.TagLen {
		b = b[frame.TagLen:]
	}
	return b[frame.HeaderLen:]
}

// lost is told of a packet that was dropped.
func (w *watch) lost(id uint32, why drop.Reason) {
	k := w.traces.Packet(id)
	if k == nil {
		return
	}
	src, dst := k.Ends()
	k.Change(func(fate *trace.Fate) bool {
		fate.End, fate.Reason, fate.Waits = EndDropped.String(), why, false
		if src != (frame.Endpoint{}) {
			fate.Src, fate.Dst = src, dst
		}
		if k.Foretold.Reason == why {
			fate.Told = k.Foretold.Told
		}
		return true
	})
}

// Delivered implements link.Onlooker: what has not ended by now is the stack's, and
// was told beforehand.
func (w *watch) Delivered(f *frame.Frame, now int64) {
	defer w.survive()
	k := w.traces.Packet(f.Mark >> trace.MarkShift)
	if k == nil {
		return
	}
	switch fate, ended := k.Ended(); {
	case !ended:
		w.keptByStack(k, f, now)
	case waitsToLeave(&fate):
		w.stillHere(k, fate, now)
	}
}

// keptByStack ends the walk of a packet that the stack has kept: it is for the
// router itself, or dropped without a word.
func (w *watch) keptByStack(k *trace.Packet, f *frame.Frame, now int64) {
	r := w.ch.routerOf[f.In]
	fate, foretold := k.Foretold, true
	switch {
	case fate.Stack != "", fate.End == EndDelivered.String(), fate.End == EndOpened.String(), fate.End == EndConsumed.String():
	default:
		foretold = false
		var p frame.Packet
		p.Parse(f.Payload())
		fate = trace.Fate{End: EndDropped.String(), Src: frame.Endpoint{Addr: p.Src, Port: p.SrcPort}, Dst: frame.Endpoint{Addr: p.Dst, Port: p.DstPort}}
		if r != nil && r.isLocal(p.Dst) {
			fate.End = EndDelivered.String()
		}
	}
	ends := k.Change(func(f *trace.Fate) bool {
		first := f.End == ""
		*f = fate
		return first
	})
	if ends && foretold {
		k.Foresaid(now, "arrival", "route", "input", "exit")
	}
}

func waitsToLeave(f *trace.Fate) bool { return f.Waits && f.End == EndForwarded.String() }

// stillHere is for a packet that has walked all steps and has not been sent.
func (w *watch) stillHere(k *trace.Packet, fate trace.Fate, now int64) {
	become := func(new trace.Fate) bool {
		return k.Change(func(f *trace.Fate) bool {
			waits := waitsToLeave(f)
			*f = new
			return waits
		})
	}
	if k.Foretold.Stack != "" {
		if become(k.Foretold) {
			k.Foresaid(now, "exit")
		}
		return
	}
	r := w.ch.routerOf[fate.Out]
	if r == nil {
		return
	}
	if _, known := r.neighbors.mac(neighbor{fate.Out, fate.Next}); known {
		fate.Waits = false // it was cut, and its pieces have left
		become(fate)
	}
}

// dropped is a job as the counters are told of it.
func (j *job) dropped(why drop.Reason, b []byte, now int64) drop.Dropped {
	return drop.Dropped{Reason: why, Packet: b, At: now, In: uint8(j.in), Mark: j.watched}
}

// sealed, waitsForSA and wasOpened tell of what the ciphers did.
func (r *Router) sealed(j *job, to frame.Endpoint, route *stack.Route, now int64) {
	k := r.watch.traces.Packet(j.watched >> trace.MarkShift)
	if k == nil {
		return
	}
	k.Add(trace.Event{At: now, Hook: "tunnel", Step: "seal", Verdict: Consumed.String(), Says: "it is sealed, and sent to " + endpoint(to), Rule: "VR29", Kind: ObjectSelector, Name: j.sel.Name})
	k.Change(func(fate *trace.Fate) bool {
		fate.End, fate.Selector, fate.To, fate.Waits = EndSealed.String(), j.sel.Name, to, true
		if k.Foretold.Selector == fate.Selector {
			fate.SPI = k.Foretold.SPI
		}
		fate.Out, fate.Next = frame.Interface(route.NICID()), nextOf(route)
		if fate.Src == (frame.Endpoint{}) {
			fate.Src, fate.Dst = k.Foretold.Src, k.Foretold.Dst
		}
		return true
	})
}

func (r *Router) waitsForSA(j *job, now int64) {
	if k := r.watch.traces.Packet(j.watched >> trace.MarkShift); k != nil {
		k.Add(trace.Event{At: now, Hook: "tunnel", Step: "seal", Verdict: Held.String(), Says: "it waits for a security association", Rule: "VR29", Kind: ObjectSelector, Name: j.sel.Name})
		k.Change(func(fate *trace.Fate) bool {
			sealed := fate.End == EndSealed.String() // another worker was faster
			fate.End, fate.Selector, fate.Waits = EndHeld.String(), j.sel.Name, false
			return !sealed
		})
	}
}

func (r *Router) wasOpened(j *job, spi uint32, label frame.Interface, now int64) {
	if k := r.watch.traces.Packet(j.watched >> trace.MarkShift); k != nil {
		k.Add(trace.Event{At: now, Hook: "tunnel", Step: "open", Verdict: Consumed.String(), Says: "it is authentic: what is inside comes in by " + r.names[label], Rule: "VR34"})
		k.Change(func(fate *trace.Fate) bool {
			fate.End, fate.SPI, fate.Label = EndOpened.String(), spi, label
			return true
		})
	}
}
