package traffic

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"spigate/netstack/frame"
)

// What a program of the XDP hook, and of the traffic control hook, may return.
const (
	xdpDrop = 1
	xdpPass = 2
	tcxNext = -1
	tcxDrop = 2
)

// Where the state of the generator is in its map: numbers of 64 bits, in the
// machine's byte order.
const (
	stateSent     = 8 * iota // frames since it was set to zero
	stateLimit               // frames at which it stops
	statePosition            // in the sequence
	stateDue                 // when the next frame is to leave, monotonic ns
	stateInterval            // between two frames, ns
	stateSize
)

// patience is how late a frame may leave in ns without being given up: what a
// pacer that was held up sends at once afterwards is bounded by it.
const patience = 50_000

// native reads bytes of a frame as a program loads them.
var native = binary.NativeEndian

// partialSum adds b up in 16 bit words as a program loads them, folded to 16 bits
// and not complemented (RFC 1071). The length of b is even.
func partialSum(b []byte) (sum uint32) {
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(native.Uint16(b))
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// blank is a frame of the flows without what a flow has of its own: source
// address, SPI or ports, and checksums.
func blank(f *Flows) []byte {
	b := f.Frame(0)
	clear(b[offSource:offTarget])
	clear(b[offID : offID+4])
	clear(b[offHeaderSum : offHeaderSum+2])
	if f.Proto == frame.ProtoUDP {
		clear(b[offUDPSum : offUDPSum+2])
	}
	return b
}

// udpSum is the sum of what is the same in all frames: the pseudo header, the
// UDP header and a payload of zeros. Source, ports and time are not in it.
func udpSum(b []byte) uint32 {
	pseudo := append([]byte(nil), b[offTarget:offTarget+4]...)
	pseudo = append(pseudo, 0, b[offProto])
	pseudo = append(pseudo, b[offID+4:offID+6]...) // the length, which the header has as well
	return partialSum(append(pseudo, b[offID:offID+8]...))
}

// generating is the program that makes frames. r6 context, r7 frame, r8 its end
// and later the time, r9 state; r2 source address and r3 identifier of the flow.
func generating(f *Flows, state, draws, out *ebpf.Map, paced bool) asm.Instructions {
	b := blank(f)
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 0, asm.Word),
		asm.LoadMem(asm.R8, asm.R6, 4, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R7),
		asm.Add.Imm(asm.R1, written),
		asm.JGT.Reg(asm.R1, asm.R8, "drop"),
		asm.LoadMapValue(asm.R9, state.FD(), 0),
		asm.LoadMem(asm.R1, asm.R9, stateSent, asm.DWord),
		asm.LoadMem(asm.R2, asm.R9, stateLimit, asm.DWord),
		asm.JGE.Reg(asm.R1, asm.R2, "drop"),
	}
	if paced {
		p = append(p, pacing()...)
	}
	p = append(p,
		asm.LoadMem(asm.R1, asm.R9, stateSent, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R9, stateSent, asm.R1, asm.DWord),
		asm.LoadMem(asm.R2, asm.R9, statePosition, asm.DWord),
		asm.Mov.Reg(asm.R3, asm.R2),
		asm.Add.Imm(asm.R3, 1),
		asm.StoreMem(asm.R9, statePosition, asm.R3, asm.DWord),
		asm.And.Imm(asm.R2, Draws-1),
		asm.LSh.Imm(asm.R2, 3),
		asm.LoadMapValue(asm.R1, draws.FD(), 0),
		asm.Add.Reg(asm.R1, asm.R2),
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
	)
	p = append(p, writing(b)...)
	p = append(p, sums(b, paced)...)
	if paced {
		p = append(p, asm.StoreMem(asm.R7, offStamp, asm.R8, asm.DWord))
	}
	p = append(p, redirecting(out)...)
	return append(p,
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return())
}

// pacing leaves the frame out if it is too early for it. What is late is made
// up for, but no more than patience. r8 becomes the time.
func pacing() asm.Instructions {
	return asm.Instructions{
		asm.FnKtimeGetNs.Call(),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.LoadMem(asm.R3, asm.R9, stateDue, asm.DWord),
		asm.JLT.Reg(asm.R8, asm.R3, "drop"),
		asm.LoadMem(asm.R4, asm.R9, stateInterval, asm.DWord),
		asm.Add.Reg(asm.R3, asm.R4),
		asm.Mov.Reg(asm.R5, asm.R8),
		asm.Sub.Reg(asm.R5, asm.R3),
		asm.JSLE.Imm(asm.R5, patience, "on time"),
		asm.Mov.Reg(asm.R3, asm.R8),
		asm.StoreMem(asm.R9, stateDue, asm.R3, asm.DWord).WithSymbol("on time"),
	}
}

// writing writes all headers, with the flow's source and identifier.
func writing(b []byte) (p asm.Instructions) {
	at := int16(0)
	for ; at+8 <= offStamp; at += 8 {
		p = append(p,
			asm.LoadImm(asm.R4, int64(native.Uint64(b[at:])), asm.DWord),
			asm.StoreMem(asm.R7, at, asm.R4, asm.DWord))
	}
	return append(p,
		asm.StoreImm(asm.R7, at, int64(native.Uint16(b[at:])), asm.Half),
		asm.StoreMem(asm.R7, offSource, asm.R2, asm.Word),
		asm.StoreMem(asm.R7, offID, asm.R3, asm.Word),
	)
}

// sums writes the checksums: r4 is the sum of the source address.
func sums(b []byte, stamped bool) asm.Instructions {
	p := append(asm.Instructions{asm.Mov.Imm(asm.R4, 0)}, addHalves(asm.R2, 2)...)
	p = append(p, asm.Mov.Reg(asm.R5, asm.R4), asm.Add.Imm(asm.R5, int32(partialSum(b[frame.HeaderLen:offID]))))
	p = append(p, fold()...)
	p = append(p, asm.StoreMem(asm.R7, offHeaderSum, asm.R5, asm.Half))
	if b[offProto] != frame.ProtoUDP {
		return p
	}
	p = append(p, addHalves(asm.R3, 2)...)
	if stamped {
		p = append(p, addHalves(asm.R8, 4)...)
	}
	p = append(p, asm.Mov.Reg(asm.R5, asm.R4), asm.Add.Imm(asm.R5, int32(udpSum(b))))
	p = append(p, fold()...)
	return append(p,
		asm.JNE.Imm(asm.R5, 0, "sum"),
		asm.Mov.Imm(asm.R5, 0xffff), // 0 would say that there is no checksum (RFC 768)
		asm.StoreMem(asm.R7, offUDPSum, asm.R5, asm.Half).WithSymbol("sum"),
	)
}

// addHalves adds the lower n 16 bit words of a register to r4.
func addHalves(r asm.Register, n int32) (p asm.Instructions) {
	for i := range n {
		p = append(p,
			asm.Mov.Reg(asm.R1, r),
			asm.RSh.Imm(asm.R1, 16*i),
			asm.And.Imm(asm.R1, 0xffff),
			asm.Add.Reg(asm.R4, asm.R1))
	}
	return p
}

// fold makes the checksum of the sum in r5.
func fold() (p asm.Instructions) {
	for range 2 {
		p = append(p,
			asm.Mov.Reg(asm.R1, asm.R5),
			asm.RSh.Imm(asm.R1, 16),
			asm.And.Imm(asm.R5, 0xffff),
			asm.Add.Reg(asm.R5, asm.R1))
	}
	return append(p, asm.Xor.Imm(asm.R5, 0xffff))
}

// redirecting sends the frame out of the map's only device and ends the program.
func redirecting(out *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, out.FD()),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Imm(asm.R3, xdpDrop),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}
}
