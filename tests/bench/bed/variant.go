package bed

import (
	"context"
	"net/netip"
	"time"

	"spigate/tests/bench/traffic"
)

// Place says which cores do the work.
type Place uint8

// The places.
const (
	TwoCores Place = iota // the sender on SenderCPU, forwarding on ForwardCPU
	OneCore               // all of it on SenderCPU
)

// String names the place as tables do.
func (p Place) String() string { return [...]string{"two cores", "one core"}[p] }

// Setup is what a Variant is told when it starts.
type Setup struct {
	Traffic Traffic
	Place   Place
	Binary  string // of spigate
	Dir     string // for files of this way alone
}

// Variant is a way to forward.
type Variant struct {
	Name   string
	Places []Place // those in which it can be measured
	// Leaves says where packets of a protocol come from when they have passed;
	// others are not counted.
	Leaves func(proto uint8) netip.Prefix
	Hook   traffic.Hook // where the sink takes what this way sends most cheaply
	Start  func(ctx context.Context, b *Bed, s Setup) (Running, error)
}

// Running is a started Variant.
type Running interface {
	// Close ends it. What its bed has started may go on until that is closed.
	Close() error
	// Worked is the CPU time that its process has taken so far; 0 for a kernel.
	Worked() (time.Duration, error)
	// Slow is how many packets have not gone the way that is measured so far:
	// by the slow path instead of the flow table, by either instead of XDP.
	Slow(ctx context.Context) (uint64, error)
	// Ready reports whether all n flows are established where they are to be.
	Ready(ctx context.Context, n int) (bool, error)
}

// Kernel is the Running of a way that has no process of its own and no flows
// that could be established.
type Kernel struct{}

// Close implements Running.
func (Kernel) Close() error { return nil }

// Worked implements Running.
func (Kernel) Worked() (time.Duration, error) { return 0, nil }

// Slow implements Running.
func (Kernel) Slow(context.Context) (uint64, error) { return 0, nil }

// Ready implements Running.
func (Kernel) Ready(context.Context, int) (bool, error) { return true, nil }
