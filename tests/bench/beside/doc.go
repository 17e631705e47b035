// Package beside measures throughput of one UDP flow, round trips, TCP streams,
// tunnels and connections, of spigate beside the kernel, as hosts would use
// them: through sockets, on all processors, nothing pinned. How fast the fast
// path is at its limit is measured by package path.
package beside

import (
	"context"
	"io"
	"time"
)

// Options say how much is measured, with what.
type Options struct {
	Binary   string        // of spigate
	Template string        // configuration that spigate runs on
	Each     time.Duration // how long packets are sent in one measurement
	Rounds   int
}

// Measure lays out namespaces and prints what was measured in them. dir is for
// files.
func Measure(ctx context.Context, o Options, dir string, out io.Writer) error {
	if err := tunnelsThroughTAP(ctx, o, out); err != nil {
		return err
	}
	return sideBySide(ctx, o, dir, out)
}
