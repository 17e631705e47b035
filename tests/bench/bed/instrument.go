package bed

import "time"

// Sender sends a bed's traffic out of the source's eth0, from one thread that
// is pinned to SenderCPU.
type Sender interface {
	// Send sends for about d, rate packets a second, as fast as it can if rate
	// is 0. It goes on in the drawn order where the last one ended.
	Send(d time.Duration, rate float64) (Sent, error)
	// Once sends each of the traffic's flows once, rate packets a second.
	Once(rate float64) (Sent, error)
	Close() error
}

// Sent is what a Sender has done.
type Sent struct {
	Packets uint64
	Took    time.Duration
	// Worked is the CPU time of the sending thread. This kernel has no
	// accounting of interrupts of its own, so all that the softirqs on its CPU
	// did in its place is in it: with everything on one core the whole path.
	Worked time.Duration
}

// Receiver counts the IPv4 packets that arrive at the sink and drops them as
// cheaply as it can; ARP goes on to the sink's kernel, which answers it.
type Receiver interface {
	Count() (packets uint64, err error)
	Close() error
}
