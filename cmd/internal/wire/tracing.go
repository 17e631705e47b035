package wire

import (
	"errors"
	"fmt"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
	look "spigate/netstack/capture/filter"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/trace"
)

// defaultTrace is the name of a trace that was given none.
const defaultTrace = "trace"

// defaultTraced is how many packets a trace gets that does not say it.
const defaultTraced = 20

// AddTrace implements control.Tracer.
func (v *views) AddTrace(f control.Filter) (control.Trace, error) {
	match, err := v.expression(f.Looking.Match)
	if err != nil {
		return control.Trace{}, err
	}
	c := trace.Config{Name: f.Name, Match: match, Text: f.Looking.Match, Count: int(f.Looking.Count)}
	if c.Name == "" {
		c.Name = defaultTrace
	}
	if c.Count == 0 {
		c.Count = defaultTraced
	}
	if f.Question.In != "" {
		if c.In, _, err = v.interfaceOf(f); err != nil {
			return control.Trace{}, err
		}
	}
	switch err := v.chassis.AddTrace(c); {
	case errors.Is(err, trace.ErrExists):
		return control.Trace{}, badRequest(fmt.Sprintf("there is a trace %q: end it with trace del %s, or give this one another name", c.Name, c.Name))
	case err != nil:
		return control.Trace{}, badRequest(err.Error() + ": end one with trace del")
	}
	return v.traceRow(trace.Info{Config: c, Began: v.chassis.Now()}), nil
}

func badRequest(text string) error {
	return &control.Error{Message: text, Code: control.CodeBadRequest}
}

// expression reads the expression of a trace or capture.
func (v *views) expression(text string) (*look.Expr, error) {
	names := map[string]frame.Interface{}
	for i := frame.Interface(1); i != 0; i++ {
		if name := v.chassis.InterfaceName(i); name != "" {
			names[name] = i
		}
	}
	e, err := look.Parse(text, names)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	return e, nil
}

// Traces implements control.Tracer.
func (v *views) Traces(f control.Filter) (out []control.Trace, err error) {
	for _, t := range v.chassis.Traces().List() {
		if f.Name == "" || t.Name == f.Name {
			out = append(out, v.traceRow(t))
		}
	}
	if out == nil && f.Name != "" {
		return nil, v.noTrace(f.Name)
	}
	return out, nil
}

func (v *views) noTrace(name string) error {
	var known []string
	for _, t := range v.chassis.Traces().List() {
		known = append(known, t.Name)
	}
	return control.NotFound("trace", name, known...)
}

func (v *views) traceRow(t trace.Info) control.Trace {
	return control.Trace{
		Name: t.Name, Match: t.Text, In: v.chassis.InterfaceName(t.In), Count: t.Count, Packets: t.Taken,
		Age: ago(v.chassis.Now(), t.Began), Unseen: v.offload.xdp != nil && t.Match == nil,
	}
}

// RemoveTraces implements control.Tracer.
func (v *views) RemoveTraces(f control.Filter) (control.TraceChanged, error) {
	return v.changeTraces(f, v.chassis.RemoveTrace)
}

// ClearTraces implements control.Tracer.
func (v *views) ClearTraces(f control.Filter) (control.TraceChanged, error) {
	return v.changeTraces(f, v.chassis.ClearTrace)
}

func (v *views) changeTraces(f control.Filter, change func(string) (traces, packets int)) (control.TraceChanged, error) {
	traces, packets := change(f.Name)
	if traces == 0 && f.Name != "" {
		return control.TraceChanged{}, v.noTrace(f.Name)
	}
	return control.TraceChanged{Traces: traces, Packets: packets}, nil
}

// TraceWalks implements control.Tracer.
func (v *views) TraceWalks(f control.Filter, each bool) (out []control.TraceWalk, err error) {
	if _, err := v.Traces(f); err != nil {
		return nil, err
	}
	walks := v.chassis.Traces().Walks
	if each {
		walks = v.chassis.Traces().Each
	}
	c := v.config.Load()
	for _, w := range walks(f.Name) {
		out = append(out, v.walk(c, &w))
	}
	return out, nil
}

// walk is one in the words of explanations.
func (v *views) walk(c *configs.Config, w *trace.Walk) control.TraceWalk {
	r := v.chassis.RouterOf(w.In)
	row := control.TraceWalk{
		Trace: w.Trace, Packets: w.Packets, Number: w.Number, At: control.Seconds(time.Duration(w.At).Seconds()), In: v.chassis.InterfaceName(w.In), TD: r.Domain(),
		Length: w.Length, Packet: control.Summary(w.Head), Again: w.Again, Steps: []control.TraceStep{}, Left: w.More,
		FastPath: w.Fate.InFastPath, Ended: w.Fate.End != "", Waits: w.Fate.Waits && w.Fate.End == control.EndForwarded,
	}
	for i := range w.Events {
		row.Steps = append(row.Steps, traceStep(c, r.Domain(), &w.Events[i], w.Came))
	}
	if row.Ended {
		row.Fate = v.traceFate(r, &w.Fate)
	}
	return row
}

func traceStep(c *configs.Config, domain uint16, e *trace.Event, came int64) control.TraceStep {
	s := control.TraceStep{ExplainStep: control.ExplainStep{
		Hook: e.Hook, Step: e.Step, Verdict: e.Verdict, Says: e.Says, Rule: e.Rule,
		Decided: explainObject(c, domain, netstack.Object{Kind: e.Kind, Name: e.Name}),
	}, After: time.Duration(e.At - came).Microseconds()}
	if e.Reason != drop.None {
		word := e.Reason.Info().Word
		s.Reason = &word
	}
	if e.Src != (frame.Endpoint{}) || e.Dst != (frame.Endpoint{}) {
		s.SourceIP, s.SourcePort, s.DestIP, s.DestPort = e.Src.Addr.Netip(), e.Src.Port, e.Dst.Addr.Netip(), e.Dst.Port
	}
	return s
}

// traceFate is the end of a walk as explanations have it.
func (v *views) traceFate(r *netstack.Router, f *trace.Fate) control.ExplainFate {
	x := netstack.Fate{
		Reason: f.Reason, Stack: f.Stack, Told: f.Told, Out: f.Out, Next: f.Next, Known: !f.Waits, Src: f.Src, Dst: f.Dst,
		Selector: f.Selector, SPI: f.SPI, To: f.To, Label: f.Label,
	}
	for e := netstack.EndForwarded; e <= netstack.EndConsumed; e++ {
		if e.String() == f.End {
			x.End = e
		}
	}
	return v.fate(r, &x)
}
