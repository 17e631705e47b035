package qca8k

import (
	"slices"

	"spigate/hw"
)

// Counters of a port: 32 bits each, but for three of bytes (qca8k ar8327_mib).
const (
	mibRxBroadcast = 0x00
	mibRxMulticast = 0x08
	mibRxChecksum  = 0x0c
	mibRxAlign     = 0x10
	mibRxRunt      = 0x14
	mibRxFragment  = 0x18
	mibRx64        = 0x1c // seven counters by length up to mibRxMax
	mibRxLong      = 0x38
	mibRxBytes     = 0x3c // 64 bits, of good frames
	mibRxOverflow  = 0x4c
	mibRxFiltered  = 0x50
	mibTxBroadcast = 0x54
	mibTxMulticast = 0x5c
	mibTxUnderrun  = 0x60
	mibTx64        = 0x64 // seven counters by length
	mibTxOversize  = 0x80
	mibTxBytes     = 0x84 // 64 bits
	mibTxAbort     = 0x90
	mibRxUnicast   = 0xa8 // of the QCA8337 alone
	mibTxUnicast   = 0xac
	lengths        = 7
)

func framesRx(unicast bool) []uint32 {
	if unicast {
		return []uint32{mibRxBroadcast, mibRxMulticast, mibRxUnicast}
	}
	return byLength(mibRx64)
}

func framesTx(unicast bool) []uint32 {
	if unicast {
		return []uint32{mibTxBroadcast, mibTxMulticast, mibTxUnicast}
	}
	return byLength(mibTx64)
}

func byLength(first uint32) (out []uint32) {
	for i := range uint32(lengths) {
		out = append(out, first+4*i)
	}
	return out
}

// tally is what a port has counted: sums of 64 bits, and what the chip's
// counters of 32 were when they were last read.
type tally struct {
	last map[uint32]uint32
	sum  map[uint32]uint64
	wide [2]uint64 // bytes in, out, as last read
	base [2]uint64 // bytes from before a reset
}

// Counters implements hw.Chip.
func (x *chip) Counters() ([]hw.Counters, error) {
	if err := x.begin(); err != nil {
		return nil, err
	}
	on, err := x.counting()
	if err != nil {
		return nil, err
	}
	if !on {
		x.anew() // reset, and not prepared yet: what was counted before stands
	}
	var out []hw.Counters
	for _, p := range x.config.all() {
		if !on {
			out = append(out, x.sums(p))
			continue
		}
		c, err := x.count(p)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// counting reports whether the chip counts: it does not after a reset.
func (x *chip) counting() (bool, error) {
	v, err := x.read(regModules)
	return v&modulesMIB != 0, err
}

// anew takes the chip's counters to begin at 0.
func (x *chip) anew() {
	for i := range x.counts {
		x.counts[i].anew()
	}
}

func (t *tally) anew() {
	t.base[0] += t.wide[0]
	t.base[1] += t.wide[1]
	t.wide = [2]uint64{}
	clear(t.last)
}

func (x *chip) count(p Port) (hw.Counters, error) {
	t := &x.counts[p.Number]
	if t.last == nil {
		t.last, t.sum = map[uint32]uint32{}, map[uint32]uint64{}
	}
	if err := x.bytes(p.Number, t); err != nil {
		return hw.Counters{}, err
	}
	for _, offset := range slices.Concat(x.model.rx, x.model.tx, rxErrors(), rxDropped(), txDropped()) {
		v, err := x.read(regCounter(p.Number, offset))
		if err != nil {
			return hw.Counters{}, err
		}
		t.sum[offset] += uint64(v - t.last[offset]) // modulo 1<<32: it may have wrapped
		t.last[offset] = v
	}
	return x.sums(p), nil
}

// sums are a port's counters as they were last read.
func (x *chip) sums(p Port) hw.Counters {
	t := &x.counts[p.Number]
	sum := func(offsets []uint32) (n uint64) {
		for _, offset := range offsets {
			n += t.sum[offset]
		}
		return n
	}
	return hw.Counters{
		Port:     p.Name,
		RxFrames: sum(x.model.rx), RxBytes: t.base[0] + t.wide[0], RxErrors: sum(rxErrors()), RxDropped: sum(rxDropped()),
		TxFrames: sum(x.model.tx), TxBytes: t.base[1] + t.wide[1], TxDropped: sum(txDropped()),
	}
}

func rxErrors() []uint32 {
	return []uint32{mibRxChecksum, mibRxAlign, mibRxRunt, mibRxFragment, mibRxLong}
}
func rxDropped() []uint32 { return []uint32{mibRxOverflow, mibRxFiltered} }
func txDropped() []uint32 { return []uint32{mibTxUnderrun, mibTxOversize, mibTxAbort} }

// bytes reads the two wide counters. They never wrap, so one that has fallen
// tells of a reset, after which all counters begin at 0.
func (x *chip) bytes(port int, t *tally) error {
	var is [2]uint64
	for i, offset := range []uint32{mibRxBytes, mibTxBytes} {
		v, err := x.wide(regCounter(port, offset))
		if err != nil {
			return err
		}
		is[i] = v
	}
	if is[0] < t.wide[0] || is[1] < t.wide[1] {
		t.anew()
	}
	t.wide = is
	return nil
}

// wide reads 64 bits in two registers: again if the upper one has moved in
// between.
func (x *chip) wide(addr uint32) (uint64, error) {
	hi, err := x.read(addr + 4)
	if err != nil {
		return 0, err
	}
	lo, err := x.read(addr)
	if err != nil {
		return 0, err
	}
	again, err := x.read(addr + 4)
	if err != nil || again == hi {
		return uint64(hi)<<32 | uint64(lo), err
	}
	lo, err = x.read(addr) // the upper one moves once in hours
	return uint64(again)<<32 | uint64(lo), err
}
