package netns

import (
	"context"
	"fmt"
	"time"

	"spigate/tests/golden"
)

// Scenario is two clients that talk to one gateway.
type Scenario struct {
	First, Second golden.Conversation // of client 1 and client 2, already rebased
	Patience      Patience

	// Overlap, if set, is called while the first client has finished its
	// phase 2 but sent no ESP yet, and the second client has started; when
	// it returns, the first client goes on. Without it the second client
	// starts when the first one has finished.
	Overlap func(context.Context) error
	Event   func(Event)
}

// Conversations loads two recordings and puts them between the site's
// addresses, with the recorded ESP repeated some rounds.
func Conversations(first, second string, rounds int) (golden.Conversation, golden.Conversation, error) {
	a, err := golden.Load(first)
	if err != nil {
		return a, a, err
	}
	b, err := golden.Load(second)
	if err != nil {
		return a, b, err
	}
	return a.Rebase(Client1, Remote.Addr()).Repeat(rounds), b.Rebase(Client2, Remote.Addr()).Repeat(rounds), nil
}

// Quiet is how long no packet may arrive before a scenario counts as over:
// a late stray must not be missed.
const Quiet = 300 * time.Millisecond

// Run plays the scenario to its end or to the context's. The error is about
// the harness; what the network did is in the result.
func (s *Site) Run(ctx context.Context, sc Scenario) (*Result, error) {
	gateway, err := StartHost(HostConfig{
		In: s.Gateway, Side: golden.Gateway, Patience: sc.Patience, Event: sc.Event,
		Conversations: []golden.Conversation{sc.First, sc.Second},
	})
	if err != nil {
		return nil, err
	}
	hosts := []*Host{gateway}
	defer func() {
		for _, h := range hosts {
			h.Stop()
		}
	}()
	client := func(in *Namespace, own, other golden.Conversation, pause bool) (*Host, error) {
		h, err := StartHost(HostConfig{
			In: in, Side: golden.Client, Patience: sc.Patience, Event: sc.Event, PauseAtESP: pause,
			Conversations: []golden.Conversation{own}, Foreign: []golden.Conversation{other},
		})
		if err == nil {
			hosts = append(hosts, h)
		}
		return h, err
	}
	first, err := client(s.Client1, sc.First, sc.Second, sc.Overlap != nil)
	if err != nil {
		return nil, err
	}
	ready := first.Finished()
	if sc.Overlap != nil {
		ready = first.Paused()
	}
	timedOut := !wait(ctx, ready)
	if !timedOut {
		if _, err := client(s.Client2, sc.Second, sc.First, false); err != nil {
			return nil, err
		}
	}
	if sc.Overlap != nil && !timedOut {
		if err := sc.Overlap(ctx); err != nil {
			return nil, fmt.Errorf("while the first client waits with its ESP: %w", err)
		}
		first.Resume()
	}
	for _, h := range hosts {
		timedOut = !wait(ctx, h.Finished()) || timedOut
	}
	settle(ctx, hosts)
	return collect(hosts, timedOut), nil
}

// RunOne plays one conversation of the first client.
func (s *Site) RunOne(ctx context.Context, c golden.Conversation, patience Patience) (*Result, error) {
	return s.runOne(ctx, c, patience, nil)
}

func (s *Site) runOne(ctx context.Context, c golden.Conversation, patience Patience, event func(Event)) (*Result, error) {
	var hosts []*Host
	defer func() {
		for _, h := range hosts {
			h.Stop()
		}
	}()
	for _, e := range []struct {
		in   *Namespace
		side golden.Side
	}{{s.Gateway, golden.Gateway}, {s.Client1, golden.Client}} {
		h, err := StartHost(HostConfig{
			In: e.in, Side: e.side, Patience: patience, Event: event, Conversations: []golden.Conversation{c},
		})
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	timedOut := false
	for _, h := range hosts {
		timedOut = !wait(ctx, h.Finished()) || timedOut
	}
	settle(ctx, hosts)
	return collect(hosts, timedOut), nil
}

func wait(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle waits until no host has heard anything for a while.
func settle(ctx context.Context, hosts []*Host) {
	begin := Monotonic()
	_ = Poll(ctx, Quiet/10, func() bool { // the end of time is as good as quiet
		last := begin
		for _, h := range hosts {
			last = max(last, h.heard.Load())
		}
		return Monotonic()-last > int64(Quiet)
	})
}

func collect(hosts []*Host, timedOut bool) *Result {
	r := &Result{TimedOut: timedOut}
	for _, h := range hosts {
		h.Stop()
		r.Deliveries = append(r.Deliveries, h.Deliveries()...)
		r.Strays = append(r.Strays, h.strays...)
	}
	return r
}
