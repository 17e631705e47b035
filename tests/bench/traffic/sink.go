package traffic

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

// Expect says what a sink counts. All else goes on to the namespace's stack,
// ARP for one.
type Expect struct {
	Proto  uint8
	Target frame.Addr
	Source netip.Prefix // where the frames must come from: the NAT's addresses, or the sender's own
}

// Hook is where a sink takes frames.
type Hook uint8

// AtXDP is the cheapest where frames come by a redirect, or in a buffer with
// much headroom, as those have which the kernel forwards; for others a veth
// device copies each frame first. AtTC takes what has become a packet of the
// stack.
const (
	AtXDP Hook = iota
	AtTC
)

// Sink counts the frames that arrive at a device, and drops them.
type Sink struct {
	counters *ebpf.Map
	ages     *memory
	close    []func() error
}

// Counts is what arrived since the sink was opened or cleared.
type Counts struct {
	Arrived, Bytes uint64
	Wrong          uint64 // whose source is not the one they must have
}

// counted is the map's value, for each processor.
type counted struct{ Arrived, Bytes, Wrong uint64 }

const (
	countArrived = 0
	countBytes   = 8
	countWrong   = 16
)

// OpenSink attaches a sink to a device of a namespace. It must be closed.
func OpenSink(in *netns.Namespace, device string, e Expect, at Hook) (*Sink, error) {
	if !e.Source.IsValid() || !e.Source.Addr().Is4() {
		return nil, fmt.Errorf("sink on %s: the source %v is not an IPv4 prefix", device, e.Source)
	}
	s := &Sink{}
	if err := in.Do(func() error { return s.load(device, e, at) }); err != nil {
		return nil, errors.Join(fmt.Errorf("sink on %s: %w", device, err), s.Close())
	}
	return s, nil
}

func (s *Sink) load(device string, e Expect, at Hook) (err error) {
	if s.ages, err = newMemory("sink_ages", 8*ageSteps); err != nil {
		return err
	}
	s.close = append(s.close, s.ages.Close)
	s.counters, err = ebpf.NewMap(&ebpf.MapSpec{Name: "sink_counts", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 24, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("counters: %w", err)
	}
	s.close = append(s.close, s.counters.Close)
	kind := ebpf.XDP
	if at == AtTC {
		kind = ebpf.SchedCLS
	}
	p, err := newProgram("sink", kind, sinking(e, s.counters, s.ages.Map, hookOf(at)))
	if err != nil {
		return err
	}
	s.close = append(s.close, p.Close)
	l, err := attach(device, p, at)
	if err != nil {
		return err
	}
	s.close = append(s.close, l.Close)
	return nil
}

// Close detaches the sink.
func (s *Sink) Close() error { return closeAll(s.close) }

// Counts returns what arrived.
func (s *Sink) Counts() (c Counts, err error) {
	var each []counted
	if err := s.counters.Lookup(uint32(0), &each); err != nil {
		return c, fmt.Errorf("sink: %w", err)
	}
	for _, n := range each {
		c.Arrived += n.Arrived
		c.Bytes += n.Bytes
		c.Wrong += n.Wrong
	}
	return c, nil
}

// Clear sets everything to zero. Nothing may be arriving.
func (s *Sink) Clear() error {
	each := make([]counted, ebpf.MustPossibleCPU())
	return errors.Join(s.counters.Put(uint32(0), each), s.ages.write(0, make([]byte, 8*ageSteps)))
}

// hook is what differs between the places: offsets in the context, verdicts.
type hook struct {
	data, end  int16
	drop, pass int32
}

func hookOf(at Hook) hook {
	if at == AtTC {
		return hook{data: 76, end: 80, drop: tcxDrop, pass: tcxNext}
	}
	return hook{data: 0, end: 4, drop: xdpDrop, pass: xdpPass}
}

// sinking is the program of a sink: r6 context, r7 frame, r8 its length, r9
// the source address under the expected prefix's mask.
func sinking(e Expect, counters, ages *ebpf.Map, h hook) asm.Instructions {
	mask := prefixMask(e.Source)
	source := e.Source.Masked().Addr().As4()
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, h.data, asm.Word),
		asm.LoadMem(asm.R8, asm.R6, h.end, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Add.Imm(asm.R1, written),
		asm.JGT.Reg(asm.R1, asm.R8, "pass"),
		asm.LoadMem(asm.R1, asm.R7, offType, asm.Half),
		asm.JNE.Imm(asm.R1, int32(native.Uint16([]byte{0x08, 0x00})), "pass"),
		asm.LoadMem(asm.R1, asm.R7, offProto, asm.Byte),
		asm.JNE.Imm(asm.R1, int32(e.Proto), "pass"),
		asm.LoadMem(asm.R1, asm.R7, offTarget, asm.Word),
		asm.JNE.Imm32(asm.R1, int32(native.Uint32(e.Target[:])), "pass"),
		asm.Sub.Reg(asm.R8, asm.R7),
		asm.LoadMem(asm.R9, asm.R7, offSource, asm.Word),
		asm.And.Imm32(asm.R9, int32(native.Uint32(mask[:]))),
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, counters.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.JNE.Imm32(asm.R9, int32(native.Uint32(source[:])), "wrong"),
	}
	p = append(p, adding(countArrived, 1)...)
	p = append(p,
		asm.LoadMem(asm.R1, asm.R0, countBytes, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R8),
		asm.StoreMem(asm.R0, countBytes, asm.R1, asm.DWord))
	p = append(p, ageing(ages)...)
	p = append(p,
		asm.Mov.Imm(asm.R0, h.drop).WithSymbol("drop"),
		asm.Return())
	wrong := adding(countWrong, 1)
	wrong[0] = wrong[0].WithSymbol("wrong")
	return append(append(p, wrong...),
		asm.Ja.Label("drop"),
		asm.Mov.Imm(asm.R0, h.pass).WithSymbol("pass"),
		asm.Return())
}

// adding adds n to a counter of the value that r0 points to.
func adding(at int16, n int32) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R0, at, asm.DWord),
		asm.Add.Imm(asm.R1, n),
		asm.StoreMem(asm.R0, at, asm.R1, asm.DWord),
	}
}

func prefixMask(p netip.Prefix) (mask [4]byte) {
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

func attach(device string, p *ebpf.Program, at Hook) (link.Link, error) {
	index, err := indexOf(device)
	if err != nil {
		return nil, err
	}
	if at == AtTC {
		l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			return nil, fmt.Errorf("attach to %s: %w", device, err)
		}
		return l, nil
	}
	l, err := link.AttachXDP(link.XDPOptions{Interface: index, Program: p, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, fmt.Errorf("attach to %s: %w", device, err)
	}
	return l, nil
}
