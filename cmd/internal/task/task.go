// Package task runs the parts of the daemon: ports, sweeper, control socket.
// Each is a Task; a Group starts them together, says when all are ready, and
// ends all when one fails or when it is told to.
//
// Invariants: Run returns only when every task has returned, so that nothing
// of the daemon is left; the first failure is the one that is reported, with
// the task's name; the end of the context is not a failure.
//
// It restarts nothing: a daemon whose part has failed ends, and procd or
// systemd starts it anew.
package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Task is one part of the daemon.
type Task interface {
	// Run works until ctx ends and then returns nil or the context's error.
	// Any other error ends the daemon.
	Run(ctx context.Context) error
	// Ready is closed when the task does what it is for.
	Ready() <-chan struct{}
	// String names the task in messages: "port wan".
	String() string
}

// New makes a task of a function. run calls ready, once or more often, as
// soon as it is ready.
func New(name string, run func(ctx context.Context, ready func()) error) Task {
	return &function{name: name, run: run, ready: make(chan struct{})}
}

// Func makes a task of a function that is ready when it starts.
func Func(name string, run func(ctx context.Context) error) Task {
	return New(name, func(ctx context.Context, ready func()) error {
		ready()
		return run(ctx)
	})
}

type function struct {
	name  string
	run   func(ctx context.Context, ready func()) error
	once  sync.Once
	ready chan struct{}
}

func (f *function) Run(ctx context.Context) error {
	return f.run(ctx, func() { f.once.Do(func() { close(f.ready) }) })
}

func (f *function) Ready() <-chan struct{} { return f.ready }

func (f *function) String() string { return f.name }

// Group is a set of tasks that live and die together. It is a Task itself.
type Group struct {
	name  string
	tasks []Task
	ready chan struct{}

	mu      sync.Mutex
	running []string
}

// NewGroup returns a group of tasks.
func NewGroup(name string, tasks ...Task) *Group {
	return &Group{name: name, tasks: tasks, ready: make(chan struct{})}
}

// String names the group.
func (g *Group) String() string { return g.name }

// Ready is closed when every task is ready.
func (g *Group) Ready() <-chan struct{} { return g.ready }

// Running returns the names of the tasks that have been started and have not
// returned: what a slow end waits for.
func (g *Group) Running() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.running)
}

// Run runs all tasks until ctx ends or one fails, and waits for all of them.
// It returns the first failure, or nil. A group runs once.
func (g *Group) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range g.tasks {
		g.started(t)
		group.Go(func() error {
			defer g.ended(t)
			return runOne(ctx, t)
		})
	}
	group.Go(func() error {
		g.waitReady(ctx)
		return nil
	})
	return group.Wait()
}

// runOne runs a task and sorts out what its end means.
func runOne(ctx context.Context, t Task) error {
	err := t.Run(ctx)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", t, err)
	case ctx.Err() == nil && !isReady(t):
		// The group would wait for its readiness for ever.
		return fmt.Errorf("%s: ended before it was ready", t)
	}
	return nil
}

func isReady(t Task) bool {
	select {
	case <-t.Ready():
		return true
	default:
		return false
	}
}

func (g *Group) waitReady(ctx context.Context) {
	for _, t := range g.tasks {
		select {
		case <-t.Ready():
		case <-ctx.Done():
			return
		}
	}
	close(g.ready)
}

func (g *Group) started(t Task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = append(g.running, t.String())
}

func (g *Group) ended(t Task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.running, t.String()); i >= 0 {
		g.running = slices.Delete(g.running, i, i+1)
	}
}
