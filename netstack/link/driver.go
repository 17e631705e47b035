package link

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Driver moves frames between one port and memory. Read is called by one
// goroutine (see Laned for more); every other method is safe for concurrent use.
type Driver interface {
	// Read fills batch with frames and returns how many: at least one, or an
	// error. It blocks; a port that is down just waits. The frames' memory is
	// lent until the next Read. After Close the error is net.ErrClosed.
	Read(batch []frame.Frame) (int, error)

	// Write sends the frames and returns how many of them were sent: they
	// are in front of the batch then, and in their order. Those that were not
	// share one reason: drop.TxRefused, drop.PortDown or drop.FrameTooBig; a
	// frame that is too big does not hold up the others. It never waits for
	// room. It puts VLAN back into the frames (frame.PushTag), so it may
	// change them.
	Write(batch []frame.Frame) (sent int, why drop.Reason)

	// MAC returns the address that the router uses on this port.
	MAC() frame.MAC

	// MTU returns the greatest number of bytes after the Ethernet header and
	// its tag, which is what IP calls the MTU.
	MTU() int

	// Up reports whether frames can pass: administratively up, with carrier.
	Up() bool

	// Lost returns how many frames were lost on receive before Read could
	// return them, since the port was opened.
	Lost() uint64

	// Close ends a Read that is waiting and gives the port's resources back.
	Close() error
}

// A Lane is one of several ways in and out of a port. Read is called by one
// goroutine; Write is safe for concurrent use, and shares nothing with the other
// lanes. Both are as those of a Driver.
type Lane interface {
	Read(batch []frame.Frame) (int, error)
	Write(batch []frame.Frame) (sent int, why drop.Reason)
}

// Laned is a Driver from which several goroutines receive, each from a lane of
// its own. The frames of one direction of a flow all come by one lane, and in
// their order, and so do all fragments between two addresses.
type Laned interface {
	Driver

	// Lanes returns the lanes: at least one, always the same. The first is
	// the Driver's own Read; Write goes through any of them at once.
	Lanes() []Lane

	// Spread lets frames come by all lanes from now on, and no longer by the
	// first alone. It comes before any Read; a second time it does nothing.
	// After an error they come by the first alone.
	Spread() error
}

// toFront puts the k-th frame of a batch behind those that were sent, so many.
func toFront(batch []frame.Frame, sent, k int) {
	if sent != k {
		batch[sent], batch[k] = batch[k], batch[sent]
	}
}
