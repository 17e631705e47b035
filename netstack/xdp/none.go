//go:build !linux || noxdp

package xdp

import (
	"errors"

	"spigate/netstack/flow"
)

// Offload does not exist in this build.
type Offload struct{}

var _ flow.Offload = (*Offload)(nil)

// Open fails: this binary was built without XDP.
func Open(Config) (*Offload, error) {
	return nil, errors.New("this binary was built without XDP")
}

// Add implements flow.Offload.
func (*Offload) Add(flow.Offloaded) (uint32, bool) { return 0, false }

// Remove implements flow.Offload.
func (*Offload) Remove(uint32) {}

// Count implements flow.Offload: no flow was taken.
func (*Offload) Count([]uint32, []flow.Carried) {}

// Release implements flow.Offload.
func (*Offload) Release(uint32) {}

// SetHop implements flow.Offload.
func (*Offload) SetHop(flow.HopID, flow.OffloadHop) {}

// Punt implements flow.Offload.
func (*Offload) Punt(flow.HopID) {}

// Check does nothing.
func (*Offload) Check(int64) {}

// Status is empty.
func (*Offload) Status() Status { return Status{} }

// Close does nothing.
func (*Offload) Close() error { return nil }
