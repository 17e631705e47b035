package wire

import (
	"sync"

	"spigate/hw/swsim"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// softDevice is a device as a port of a switch in software. Both have the frame
// in the same memory; only the words for it differ.
type softDevice struct {
	driver link.Driver
	drops  *drop.Counters // where the driver counts what it drops itself
	in     [swsim.Batch]frame.Frame
	out    sync.Pool // *[swsim.Batch]frame.Frame: many ports write here at once
}

var _ swsim.Port = (*softDevice)(nil)

func newSoftDevice(d link.Driver, drops *drop.Counters) *softDevice {
	return &softDevice{driver: d, drops: drops, out: sync.Pool{New: func() any { return new([swsim.Batch]frame.Frame) }}}
}

// Read implements swsim.Port. The drivers of a switch leave tags in place.
func (d *softDevice) Read(batch []swsim.Frame) (int, error) {
	n, err := d.driver.Read(d.in[:min(len(batch), len(d.in))])
	for k := range d.in[:n] {
		mem, off, end := d.in[k].Memory()
		batch[k] = swsim.Frame{Mem: mem, Off: off, End: end}
	}
	clear(d.in[:n]) // the driver's memory may be gone before the next read
	return n, err
}

// Write implements swsim.Port. It is called with a batch of a switch.
func (d *softDevice) Write(batch []swsim.Frame) int {
	out := d.out.Get().(*[swsim.Batch]frame.Frame)
	defer d.out.Put(out)
	for k := range batch {
		f := &batch[k]
		out[k] = frame.New(f.Mem, f.Off, f.End, 0)
	}
	sent, _ := d.driver.Write(out[:len(batch)])
	clear(out[:len(batch)])
	return sent
}

// Up implements swsim.Port.
func (d *softDevice) Up() bool { return d.driver.Up() }

// Lost implements swsim.Port.
func (d *softDevice) Lost() (malformed, overrun uint64) {
	return d.drops.Get(drop.FrameTooBig), d.driver.Lost()
}

// Close implements swsim.Port.
func (d *softDevice) Close() error { return d.driver.Close() }
