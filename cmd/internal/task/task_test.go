package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// untilEnd is a task that works until it is told to end.
func untilEnd(name string) Task {
	return Func(name, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
}

// start runs a group and returns how to end it and what it returned.
func start(t *testing.T, g *Group) (cancel func(), ended <-chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return stop, done
}

func TestTheEndOfTheContextIsNotAFailure(t *testing.T) {
	g := NewGroup("daemon", untilEnd("port lan"), untilEnd("port wan"))
	cancel, ended := start(t, g)
	<-g.Ready()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left := g.Running(); len(left) != 0 {
		t.Errorf("still running: %v", left)
	}
}

func TestTheFirstFailureEndsAllAndIsReportedWithItsName(t *testing.T) {
	broken := errors.New("cable cut")
	fail := make(chan struct{})
	g := NewGroup("daemon", untilEnd("control"), Func("port wan", func(context.Context) error {
		<-fail
		return broken
	}))
	_, ended := start(t, g)
	<-g.Ready()
	close(fail)
	err := <-ended
	if !errors.Is(err, broken) || err.Error() != "port wan: cable cut" {
		t.Errorf("got %v", err)
	}
}

func TestAFailureWhileEndingIsReported(t *testing.T) {
	g := NewGroup("daemon", Func("port wan", func(ctx context.Context) error {
		<-ctx.Done()
		return errors.New("cannot give the port back")
	}))
	cancel, ended := start(t, g)
	<-g.Ready()
	cancel()
	if err := <-ended; err == nil || err.Error() != "port wan: cannot give the port back" {
		t.Errorf("got %v", err)
	}
}

func TestAGroupIsReadyWhenItsLastTaskIs(t *testing.T) {
	allow, reached := make(chan struct{}), make(chan struct{})
	slow := New("ports", func(ctx context.Context, ready func()) error {
		close(reached)
		<-allow
		ready()
		ready() // a second time is harmless
		<-ctx.Done()
		return nil
	})
	g := NewGroup("daemon", untilEnd("control"), slow)
	cancel, ended := start(t, g)
	<-reached
	select {
	case <-g.Ready():
		t.Error("ready before its task")
	default:
	}
	close(allow)
	<-g.Ready()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestATaskThatEndsByItselfLeavesTheOthersAlone(t *testing.T) {
	g := NewGroup("daemon", untilEnd("control"), Func("banner", func(context.Context) error { return nil }))
	cancel, ended := start(t, g)
	<-g.Ready()
	select {
	case err := <-ended:
		t.Fatalf("the group ended: %v", err)
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestATaskThatEndsBeforeItIsReadyIsAFailure(t *testing.T) {
	g := NewGroup("daemon", untilEnd("control"), New("ports", func(context.Context, func()) error { return nil }))
	_, ended := start(t, g)
	if err := <-ended; err == nil || err.Error() != "ports: ended before it was ready" {
		t.Errorf("got %v", err)
	}
	select {
	case <-g.Ready():
		t.Error("the group says it is ready")
	default:
	}
}

func TestRunReturnsOnlyWhenEveryTaskHas(t *testing.T) {
	hold, ending := make(chan struct{}), make(chan struct{})
	g := NewGroup("daemon", untilEnd("control"), Func("port wan", func(ctx context.Context) error {
		<-ctx.Done()
		close(ending)
		<-hold
		return nil
	}))
	cancel, ended := start(t, g)
	<-g.Ready()
	cancel()
	<-ending
	select {
	case <-ended:
		t.Error("the group ended before its task")
	default:
	}
	if left := g.Running(); !slices.Contains(left, "port wan") {
		t.Errorf("running: %v, want port wan among them", left)
	}
	close(hold)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAGroupIsATaskOfAnotherGroup(t *testing.T) {
	inner := NewGroup("ports", untilEnd("lan"), Func("wan", func(context.Context) error { return errors.New("down") }))
	g := NewGroup("daemon", inner)
	_, ended := start(t, g)
	if err := <-ended; err == nil || err.Error() != "ports: wan: down" {
		t.Errorf("got %v", err)
	}
}

func TestAnErrorThatWrapsTheEndOfTheContextIsStillTheEnd(t *testing.T) {
	g := NewGroup("daemon", Func("control", func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("accept: %w", ctx.Err())
	}))
	cancel, ended := start(t, g)
	<-g.Ready()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestACancelledContextOfATasksOwnIsAFailure(t *testing.T) {
	g := NewGroup("daemon", Func("control", func(context.Context) error { return context.Canceled }))
	_, ended := start(t, g)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
