// Package bpf is the program that forwards packets of established flows in the
// kernel, before anything else there sees them (XDP), and what its maps hold. It
// is compiled ahead, for both byte orders; "make bpf" makes the objects.
//
// The program does what package flow does: a frame is forwarded with the bytes
// that flow would give it and counted in its flow's entry, or passed on exactly
// as it came. It takes ESP, UDP and TCP. The flows are a table of package bucket
// over the memory of a map.
//
// What the program needs of a kernel, each with the first that has it: the
// BPF_JMP32 instructions 5.1, constants in .rodata 5.2, the result of
// bpf_redirect_map on a miss 5.4, maps in memory that a process shares 5.5, and
// older things (kernel.h). Whoever attaches it needs 5.9 for a link. So the floor
// is 5.10, the first kernel with long support that has all of this. The tests
// were played on 5.10.223 and 6.18 (5.10 cannot fill the room before a frame).
//
// It uses no atomic operation, no call between functions and no loop: the JIT of
// 32-bit ARM has none of the first two, and without a JIT it would be slower than
// user space. No access to a packet is wider than 4 bytes, so that machines that
// need alignment can load it.
package bpf
