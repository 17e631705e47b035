package control

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"slices"
)

// The paths of traces.
const (
	pathTraces       = "/v1/trace"
	pathTraceAdd     = "/v1/trace/add"
	pathTraceRemove  = "/v1/trace/del"
	pathTraceClear   = "/v1/trace/clear"
	pathTraceWalks   = "/v1/trace/walk"
	pathTracePackets = "/v1/trace/packet"
)

// Tracer is the part of a Backend that records the walks of live packets.
type Tracer interface {
	// AddTrace begins a trace: Filter.Name, Question.In (a VLAN, "": any), and of
	// Looking Match and Count. The error says what is wrong with the expression.
	AddTrace(f Filter) (Trace, error)
	// Traces returns those of Filter.Name, or all. NotFound if there is no such one.
	Traces(f Filter) ([]Trace, error)
	// TraceWalks returns what they have recorded, equal walks together; with each,
	// one by one.
	TraceWalks(f Filter, each bool) ([]TraceWalk, error)
	// RemoveTraces ends the trace of Filter.Name, or all, and forgets its packets.
	RemoveTraces(f Filter) (TraceChanged, error)
	// ClearTraces forgets its packets only, and records anew.
	ClearTraces(f Filter) (TraceChanged, error)
}

// Trace is one that was added.
type Trace struct {
	Name    string  `json:"name"`
	Match   string  `json:"match"` // "": every packet
	In      string  `json:"in"`    // VLAN; "": any
	Count   int     `json:"count"` // packets that it shall have
	Packets int     `json:"packets"`
	Age     Seconds `json:"age_seconds"`
	// Unseen: flows are offloaded, and the trace has no expression that would keep
	// them from it: not all packets are seen.
	Unseen bool `json:"offloaded_unseen"`
}

// TraceChanged is the row that answers a removal.
type TraceChanged struct {
	Traces  int `json:"traces"`
	Packets int `json:"packets"`
}

// TraceWalk is what one packet met, or several alike.
type TraceWalk struct {
	Trace   string  `json:"trace"`
	Packets int     `json:"packets"`    // that walked like this; what follows is the first one's
	Number  int     `json:"number"`     // of the packet in its trace, from 1
	At      Seconds `json:"at_seconds"` // since the trace began
	In      string  `json:"in"`
	TD      uint16  `json:"td"`
	Length  int     `json:"length"` // of the IPv4 packet
	Packet  string  `json:"packet"` // as Summary has it
	Again   string  `json:"again"`  // "held" or "opened": why it came in without a frame; "": it came by a port

	Steps    []TraceStep `json:"steps"`
	Left     int         `json:"steps_left_out"` // for which there was no room
	FastPath bool        `json:"fast_path"`      // it was forwarded by the flow table, and no step was asked
	Ended    bool        `json:"ended"`          // false: it is on its way still, and Fate is empty
	Waits    bool        `json:"waits_for_arp"`
	Fate     ExplainFate `json:"fate"`
}

// TraceStep is what one step did.
type TraceStep struct {
	ExplainStep
	After      int64      `json:"after_microseconds"` // since the packet came
	Reason     *string    `json:"reason"`             // of a drop
	SourceIP   netip.Addr `json:"source_ip"`          // behind the step; empty where it is not known
	SourcePort uint16     `json:"source_port"`
	DestIP     netip.Addr `json:"dest_ip"`
	DestPort   uint16     `json:"dest_port"`
}

func (Trace) passes(*Filter) bool        { return true }
func (TraceChanged) passes(*Filter) bool { return true }
func (TraceWalk) passes(*Filter) bool    { return true }

// FiltersOfTrace returns what "trace add" takes, but for the name.
func FiltersOfTrace() []string { return []string{ByMatch, ByCount, ByIn} }

// traces are the paths of a Tracer.
func (s *Server) traces(mux *http.ServeMux) {
	b := s.backend
	walks := func(each bool) func(Filter) (iter.Seq[TraceWalk], error) {
		return func(f Filter) (iter.Seq[TraceWalk], error) {
			rows, err := b.TraceWalks(f, each)
			return slices.Values(rows), err
		}
	}
	mux.Handle(pathTraces, view(s, []string{ByName}, func(f Filter) (iter.Seq[Trace], error) {
		rows, err := b.Traces(f)
		return slices.Values(rows), err
	}))
	mux.Handle(pathTraceWalks, view(s, []string{ByName}, walks(false)))
	mux.Handle(pathTracePackets, view(s, []string{ByName}, walks(true)))
	mux.Handle(pathTraceAdd, operation(s, pathTraceAdd, append(FiltersOfTrace(), ByName), b.AddTrace))
	mux.Handle(pathTraceRemove, operation(s, pathTraceRemove, []string{ByName}, b.RemoveTraces))
	mux.Handle(pathTraceClear, operation(s, pathTraceClear, []string{ByName}, b.ClearTraces))
}

// AddTrace begins a trace; see Tracer.
func (c *Client) AddTrace(ctx context.Context, f Filter) (Trace, error) {
	return one(rowsOf[Trace](ctx, c, http.MethodPost, pathTraceAdd, f))
}

// Traces yields the traces.
func (c *Client) Traces(ctx context.Context, f Filter) iter.Seq2[Trace, error] {
	return ask[Trace](ctx, c, pathTraces, f)
}

// TraceWalks yields what was recorded; with each, packet by packet.
func (c *Client) TraceWalks(ctx context.Context, f Filter, each bool) iter.Seq2[TraceWalk, error] {
	path := pathTraceWalks
	if each {
		path = pathTracePackets
	}
	return ask[TraceWalk](ctx, c, path, f)
}

// RemoveTraces ends the trace that the filter names, or all.
func (c *Client) RemoveTraces(ctx context.Context, f Filter) (TraceChanged, error) {
	return one(rowsOf[TraceChanged](ctx, c, http.MethodPost, pathTraceRemove, f))
}

// ClearTraces forgets what was recorded.
func (c *Client) ClearTraces(ctx context.Context, f Filter) (TraceChanged, error) {
	return one(rowsOf[TraceChanged](ctx, c, http.MethodPost, pathTraceClear, f))
}
