//go:build linux

package bpf

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// machine runs an object's program as a kernel of that object's byte order would:
// in particular the one that this machine's kernel cannot run. It knows what the
// program uses, and panics at anything else.
type machine struct {
	order   binary.ByteOrder
	code    []asm.Instruction // by the number of the raw instruction
	names   []string          // of maps: a pointer to map i is mapBase + i
	regions map[uint64][]byte // by address
	ports   map[uint32]bool
	data    uint64 // where the frame begins
	end     uint64
	regs    [11]uint64
	steps   int
}

// Where things lie. All addresses fit in 32 bits, as those of a frame must.
const (
	stackBase  = 0x10000
	ctxBase    = 0x20000
	packetBase = 0x30000
	headroom   = 256
	mapBase    = 0x90000
	dataBase   = 0x100000 // of the first map's memory; each has a million bytes
)

func newMachine(spec *ebpf.CollectionSpec, constants map[string][]byte, data map[string][]byte) *machine {
	m := &machine{order: spec.ByteOrder, regions: map[uint64][]byte{}, ports: map[uint32]bool{}}
	for _, in := range spec.Programs[programName].Instructions {
		m.code = append(m.code, in)
		for range in.Width() - 1 {
			m.code = append(m.code, asm.Instruction{})
		}
	}
	data[".rodata"] = make([]byte, spec.Maps[".rodata"].ValueSize)
	for name, v := range spec.Variables {
		if v.Constant() {
			copy(data[".rodata"][v.Offset:], constants[name])
		}
	}
	for name, b := range data {
		m.regions[dataBase+uint64(len(m.names))<<20] = b
		m.names = append(m.names, name)
	}
	m.regions[stackBase] = make([]byte, 512)
	m.regions[ctxBase] = make([]byte, 24)
	return m
}

// run gives a frame to the program.
func (m *machine) run(f []byte) (action uint32, out []byte) {
	m.regions[packetBase] = append(make([]byte, headroom), f...)
	m.data, m.end = packetBase+headroom, packetBase+headroom+uint64(len(f))
	m.moved()
	m.regs[1], m.regs[10] = ctxBase, stackBase+512
	for pc := 0; ; m.steps++ {
		in := m.code[pc]
		pc += int(in.Width())
		switch class := in.OpCode.Class(); {
		case in.OpCode.JumpOp() == asm.Exit:
			return uint32(m.regs[0]), m.regions[packetBase][m.data-packetBase : m.end-packetBase]
		case in.OpCode.JumpOp() == asm.Call:
			m.regs[0] = uint64(m.call(in.Constant))
		case class.IsJump():
			if m.jumps(in) {
				pc += int(in.Offset)
			}
		case class.IsALU():
			m.regs[in.Dst] = m.compute(in)
		default:
			m.access(in)
		}
	}
}

// moved tells the program where the frame is.
func (m *machine) moved() {
	m.order.PutUint32(m.regions[ctxBase][0:], uint32(m.data))
	m.order.PutUint32(m.regions[ctxBase][4:], uint32(m.end))
}

// at is the memory from an address on.
func (m *machine) at(addr uint64, size int) []byte {
	for base, b := range m.regions {
		if addr >= base && addr+uint64(size) <= base+uint64(len(b)) {
			return b[addr-base:]
		}
	}
	panic(fmt.Sprintf("access to %d bytes at %#x", size, addr))
}

func (m *machine) access(in asm.Instruction) {
	if in.IsLoadFromMap() {
		m.regs[in.Dst] = m.pointer(in)
		return
	}
	if in.OpCode.IsDWordLoad() {
		m.regs[in.Dst] = uint64(in.Constant)
		return
	}
	size := in.OpCode.Size().Sizeof()
	if in.OpCode.Class() == asm.LdXClass {
		m.regs[in.Dst] = m.load(m.regs[in.Src]+uint64(int64(in.Offset)), size)
		return
	}
	v := m.regs[in.Src]
	if in.OpCode.Class() == asm.StClass {
		v = uint64(in.Constant)
	}
	b := m.at(m.regs[in.Dst]+uint64(int64(in.Offset)), size)
	switch size {
	case 1:
		b[0] = byte(v)
	case 2:
		m.order.PutUint16(b, uint16(v))
	case 4:
		m.order.PutUint32(b, uint32(v))
	case 8:
		m.order.PutUint64(b, v)
	}
}

func (m *machine) load(addr uint64, size int) uint64 {
	b := m.at(addr, size)
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(m.order.Uint16(b))
	case 4:
		return uint64(m.order.Uint32(b))
	}
	return m.order.Uint64(b)
}

// pointer is to a map, or into the constants.
func (m *machine) pointer(in asm.Instruction) uint64 {
	for i, name := range m.names {
		if name != in.Reference() {
			continue
		}
		if in.Src == asm.PseudoMapValue {
			return dataBase + uint64(i)<<20 + uint64(in.Constant)>>32
		}
		return mapBase + uint64(i)
	}
	m.names = append(m.names, in.Reference()) // a map without memory
	return mapBase + uint64(len(m.names)-1)
}

// operands are what an instruction computes with: in 32 bits, the lower halves.
func (m *machine) operands(in asm.Instruction, narrow bool) (a, b uint64) {
	a, b = m.regs[in.Dst], uint64(in.Constant)
	if in.OpCode.Source() == asm.RegSource {
		b = m.regs[in.Src]
	}
	if narrow {
		return uint64(uint32(a)), uint64(uint32(b))
	}
	return a, b
}

func (m *machine) compute(in asm.Instruction) uint64 {
	narrow := in.OpCode.Class() == asm.ALUClass
	if in.OpCode.ALUOp() == asm.Swap {
		return m.swap(in)
	}
	a, b := m.operands(in, narrow)
	var v uint64
	switch in.OpCode.ALUOp() {
	case asm.Mov:
		v = b
	case asm.Add:
		v = a + b
	case asm.Sub:
		v = a - b
	case asm.Mul:
		v = a * b
	case asm.And:
		v = a & b
	case asm.Or:
		v = a | b
	case asm.Xor:
		v = a ^ b
	case asm.LSh:
		v = a << b
	case asm.RSh:
		v = a >> b
	case asm.Neg:
		v = -a
	default:
		panic(fmt.Sprint("operation ", in))
	}
	if narrow {
		return uint64(uint32(v))
	}
	return v
}

// swap is between the machine's byte order and the one that is named.
func (m *machine) swap(in asm.Instruction) uint64 {
	v, big := m.regs[in.Dst], in.OpCode.Endianness() == asm.BE
	if in.Constant != 16 {
		panic(fmt.Sprint("operation ", in))
	}
	if big != (m.order == binary.ByteOrder(binary.BigEndian)) {
		v = uint64(bits.ReverseBytes16(uint16(v)))
	}
	return uint64(uint16(v))
}

func (m *machine) jumps(in asm.Instruction) bool {
	a, b := m.operands(in, in.OpCode.Class() == asm.Jump32Class)
	switch in.OpCode.JumpOp() {
	case asm.Ja:
		return true
	case asm.JEq:
		return a == b
	case asm.JNE:
		return a != b
	case asm.JGT:
		return a > b
	case asm.JGE:
		return a >= b
	case asm.JLT:
		return a < b
	case asm.JLE:
		return a <= b
	case asm.JSet:
		return a&b != 0
	}
	panic(fmt.Sprint("jump ", in))
}

func (m *machine) call(helper int64) int64 {
	switch asm.BuiltinFunc(helper) {
	case asm.FnMapLookupElem:
		return m.lookup(m.names[m.regs[1]-mapBase], uint32(m.load(m.regs[2], 4)))
	case asm.FnRedirectMap:
		if m.ports[uint32(m.regs[2])] {
			return redirect
		}
		return int64(m.regs[3])
	case asm.FnXdpAdjustHead:
		m.data += uint64(int64(int32(m.regs[2])))
	case asm.FnXdpAdjustTail:
		m.end += uint64(int64(int32(m.regs[2])))
	default:
		panic(fmt.Sprint("helper ", helper))
	}
	m.moved()
	return 0
}

// valueSizes are the maps' that have memory.
var valueSizes = map[string]uint64{mapFlows: 128, mapHops: hopSize, mapContexts: contextsLen, mapCounters: 8}

func (m *machine) lookup(name string, index uint32) int64 {
	for i, n := range m.names {
		base := dataBase + uint64(i)<<20
		at := uint64(index) * valueSizes[name]
		if b, ok := m.regions[base]; n == name && ok && at < uint64(len(b)) {
			return int64(base + at)
		}
	}
	return 0
}
