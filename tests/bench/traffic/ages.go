package traffic

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// The histogram of ages: steps of 64 ns up to 16.8 ms; the last one has all
// that is older.
const (
	ageShift = 6
	ageSteps = 1 << 18
)

// stampless is the age from which on what stands in a frame is no time: a flood
// writes none.
const stampless = int64(time.Minute)

// ageing counts the frame at r7 in the histogram. A frame without a time in it
// is not counted. Several processors may count at once.
func ageing(ages *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R7, offStamp, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "drop"),
		asm.FnKtimeGetNs.Call(),
		asm.LoadMem(asm.R1, asm.R7, offStamp, asm.DWord),
		asm.Sub.Reg(asm.R0, asm.R1),
		asm.LoadImm(asm.R1, stampless, asm.DWord),
		asm.JGT.Reg(asm.R0, asm.R1, "drop"),
		asm.RSh.Imm(asm.R0, ageShift),
		asm.JLT.Imm(asm.R0, ageSteps, "step"),
		asm.Mov.Imm(asm.R0, ageSteps-1),
		asm.LSh.Imm(asm.R0, 3).WithSymbol("step"),
		asm.LoadMapValue(asm.R2, ages.FD(), 0),
		asm.Add.Reg(asm.R2, asm.R0),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R2, asm.R1, asm.DWord),
	}
}

// Ages is how old frames were when they arrived: one-way latency, in steps.
type Ages struct {
	Count uint64
	steps []uint64
}

// Ages returns the histogram of the frames of paced generators.
func (s *Sink) Ages() (a Ages, err error) {
	b := make([]byte, 8*ageSteps)
	if _, err := s.ages.ReadAt(b, 0); err != nil {
		return a, fmt.Errorf("sink: %w", err)
	}
	a.steps = make([]uint64, ageSteps)
	for i := range a.steps {
		a.steps[i] = native.Uint64(b[8*i:])
		a.Count += a.steps[i]
	}
	return a, nil
}

// Quantile returns the age that the share q of the frames does not exceed; 0
// for no frames. It is exact to 64 ns, and to nothing above 16.7 ms. q = 0 is
// the youngest.
func (a *Ages) Quantile(q float64) time.Duration {
	want, seen := q*float64(a.Count), uint64(0)
	for i, n := range a.steps {
		seen += n
		if n > 0 && float64(seen) >= want {
			return time.Duration(i+1) << ageShift
		}
	}
	return 0
}
