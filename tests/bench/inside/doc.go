// Package inside measures parts of the router in this process, without a kernel
// in between: look-ups in tables, the slow path, ESP beside the bare cipher,
// whole routers with tunnels, virtual servers and a carrier's sessions.
package inside

import "io"

// Sizes are lengths of IPv4 packets in bytes: one where the work for each
// packet counts, one where moving its bytes does.
var Sizes = []int{100, 1400}

// Measure prints what everything costs, each as the median of rounds; with all
// a million sessions of a carrier, too, which takes a minute and a gigabyte.
func Measure(rounds int, all bool, out io.Writer) error {
	inProcess(rounds, out)
	if err := ciphers(rounds, 3000, out); err != nil {
		return err
	}
	if err := gateways(500*rounds, out); err != nil {
		return err
	}
	if err := connections(rounds, 20_000, out); err != nil {
		return err
	}
	if !all {
		return nil
	}
	return provider.measure(out)
}
