package link

import (
	"slices"

	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// Multipliers of the steering hash: odd numbers whose product with a word
// changes about half of its bits (the same as of a well-known 32 bit finalizer).
const (
	steerMul1 = 0x7feb352d
	steerMul2 = 0x846ca68b
)

// Places in the IPv4 header, in bytes. The kernel runs the program with the
// packet beginning at its network header, a tag that it took out not being
// there, and finds what lies beyond the buffer's first piece, too.
const (
	steerFragment = 6 // flags and offset
	steerProto    = 9
	steerSource   = 12
	steerTarget   = 16

	fragmentMask = 0x3fff // more fragments, or an offset
)

// skbProtocol is where a program finds the EtherType (SKF_AD_OFF and
// SKF_AD_PROTOCOL of linux/filter.h).
const skbProtocol = 0xfffff000

// steering is the program that chooses the lane of a frame; the kernel takes
// its result modulo the number of lanes. Frames of one flow get one lane, so
// that they stay in order and one goroutine counts them: ESP by its SPI, TCP
// and UDP by their ports, each with both addresses; fragments, whose ports are
// in the first only, and other protocols by addresses; all that is not IPv4 is
// the first lane's. The kernel's own hash takes addresses only for ESP, and one
// gateway would be one processor. A packet that is cut before its ports makes
// the program end with 0.
//
// It is classic BPF: loading it needs no privilege beyond the socket's.
func steering() []unix.SockFilter {
	const (
		toAddresses = 13 // instructions from the test of a fragment on
		toFirstLane = 34
	)
	do := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	// fold multiplies and brings the upper half down, as the kernel's modulo
	// looks at the lower bits.
	fold := func(by, shift uint32) []unix.SockFilter {
		return []unix.SockFilter{
			do(unix.BPF_ALU|unix.BPF_MUL|unix.BPF_K, by),
			do(unix.BPF_MISC|unix.BPF_TAX, 0),
			do(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_K, shift),
			do(unix.BPF_ALU|unix.BPF_XOR|unix.BPF_X, 0),
		}
	}
	return slices.Concat(
		[]unix.SockFilter{
			do(unix.BPF_LD|unix.BPF_H|unix.BPF_ABS, skbProtocol),
			{Code: unix.BPF_JMP | unix.BPF_JEQ, K: frame.TypeIPv4, Jf: toFirstLane},
			do(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, steerSource),
		}, fold(steerMul1, 16), []unix.SockFilter{
			do(unix.BPF_MISC|unix.BPF_TAX, 0),
			do(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, steerTarget),
			do(unix.BPF_ALU|unix.BPF_XOR|unix.BPF_X, 0),
			do(unix.BPF_ST, 0),
			do(unix.BPF_LD|unix.BPF_H|unix.BPF_ABS, steerFragment),
			{Code: unix.BPF_JMP | unix.BPF_JSET, K: fragmentMask, Jt: toAddresses},
			do(unix.BPF_LD|unix.BPF_B|unix.BPF_ABS, steerProto),
			{Code: unix.BPF_JMP | unix.BPF_JEQ, K: frame.ProtoESP, Jt: 2},
			{Code: unix.BPF_JMP | unix.BPF_JEQ, K: frame.ProtoUDP, Jt: 1},
			{Code: unix.BPF_JMP | unix.BPF_JEQ, K: frame.ProtoTCP, Jf: toAddresses - 4},
			do(unix.BPF_LDX|unix.BPF_B|unix.BPF_MSH, 0), // the header's length
			do(unix.BPF_LD|unix.BPF_W|unix.BPF_IND, 0),  // SPI, or both ports
		}, fold(steerMul2, 16), []unix.SockFilter{
			do(unix.BPF_LDX|unix.BPF_MEM, 0),
			do(unix.BPF_ALU|unix.BPF_XOR|unix.BPF_X, 0),
			do(unix.BPF_ST, 0),
			do(unix.BPF_LD|unix.BPF_MEM, 0),
		}, fold(steerMul1, 15), fold(steerMul2, 16), []unix.SockFilter{
			do(unix.BPF_RET|unix.BPF_A, 0),
			do(unix.BPF_RET|unix.BPF_K, 0),
		})
}
