package link

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// The shape of a ring and how it is waited on. Frames of 100 bytes over veth
// pairs, the sender on one processor, receiving and sending on through a second
// port on the other, both in front of everything else on the machine; one-way
// latency at the same offered rate, medians of three rounds that took turns.
// "Processor" is its time for each frame in user and kernel mode; what waking a
// virtual machine's idle processor takes is in it, so it says how often we sleep.
//
//	                                one frame, 150 kpps    32 frames, 150 kpps    one frame, 30 kpps
//	ring                            p50  p99  processor    p50  p99  processor    p50   p99
//	                                 us   us         us     us   us         us     us    us
//	the kernel's forwarding           7   36                19    -                14    55
//	V3, blocks of 64K               662 1214        2.3    640 1014        2.2    540  1022
//	V3, blocks of 4K                101  230        4.2     54  103        3.4    288   699
//	V3, blocks of 4K, spin 20us     107  170        5.0     53    -        4.3    310   642
//	V2, cells of 2K, 4M              13   41        6.4     22  124        3.5     18    56
//	V2, odd cells, 4M                14   42        5.8     21  271        3.5     18    48
//	V2, odd cells, 16M               12   43        6.4     21  226        3.6     18    45
//	the same, spin 20us              11   30        6.8     21   65        4.2     15    51
//	the same, spin 50us              11   36        6.8     19  147        5.2      9    34
//	the same, pause 50us             41   92        4.8     20   51        4.5     40   119
//
// A dash is a round that something disturbed. In a flood all of them pass what
// the sender can send, 500 to 545 kpps, for 1.85 (V3) to 2.04 us of the second
// processor, and lose nothing; an earlier measurement gave recvmmsg without a
// ring half the rate of either.
//
// So: version 2 (TPACKET_V2), which hands over each frame at once. Version 3
// keeps a block that is not full for its retire time, of which the kernel takes
// no less than 1 ms, and 4K blocks, the least, are as late as they take to fill.
// What version 3 does better is density: 4M hold 20,000 frames of 100 bytes, or
// 2,700 of 1400, before one is lost. Version 2 has a cell for each, of an odd
// number of cache lines: 32M, all lanes together, hold 20,000 frames of any
// length, 40 ms at 500 kpps, and cost 2 % of the rate more than 4M do. A machine
// with less than 4G gives the 128th part of its memory. Blocks of 64 KiB are
// found even in fragmented memory. A spin of 20 us keeps a lane awake from 50
// kpps on; where there is only one processor it would keep others from it.
const (
	ringBlockSize   = 64 << 10
	leastRingMemory = 4 << 20
	mostRingMemory  = 32 << 20
	ringPart        = 128 // of the machine's memory
	ringSpin        = 20 * time.Microsecond

	cacheLine = 64
)

// ringReserve is room in bytes before each frame beyond what the kernel leaves
// anyway, so that a tag can be pushed. A multiple of 16 keeps the IPv4 header
// aligned as the kernel aligns it, which ARM and MIPS care about.
const ringReserve = 16

// mapRing makes a lane's receiving socket with its ring; it is not bound yet.
func (l *ringLane) mapRing(c RingConfig, g geometry) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	l.fd = fd
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return fmt.Errorf("ring version 2: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_RESERVE, ringReserve); err != nil {
		return fmt.Errorf("ring headroom: %w", err)
	}
	// Where the kernel is too old for this one (before 4.20), sieve drops
	// our own frames by their packet type.
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, g.request()); err != nil {
		return fmt.Errorf("ring of %d blocks of %d bytes: %w", g.blocks, g.blockSize, err)
	}
	if l.mem, err = unix.Mmap(fd, 0, g.blocks*g.blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		l.mem = nil
		return fmt.Errorf("ring memory: %w", err)
	}
	l.cells = ringCells{
		mem: l.mem, blockSize: g.blockSize, cellSize: g.cellSize, perBlock: g.perBlock(), cells: g.perBlock() * g.blocks,
		sieve: sieve{snaplen: c.Snaplen, keepTags: c.KeepTags, drops: c.Drops, unfinished: &l.unfinished},
	}
	return nil
}

// geometry is the shape of a ring.
type geometry struct {
	blockSize, blocks int // bytes, count
	cellSize          int // bytes for one frame
}

// perBlock is how many cells a block has: none lies across two of them.
func (g geometry) perBlock() int { return g.blockSize / g.cellSize }

func (g geometry) request() *unix.TpacketReq {
	return &unix.TpacketReq{
		Block_size: uint32(g.blockSize), Block_nr: uint32(g.blocks),
		Frame_size: uint32(g.cellSize), Frame_nr: uint32(g.perBlock() * g.blocks),
	}
}

// ringGeometry completes c with the defaults and checks it.
func ringGeometry(c RingConfig) (geometry, error) {
	g := geometry{blockSize: c.BlockSize, blocks: c.Blocks}
	if g.blockSize == 0 {
		g.blockSize = ringBlockSize
	}
	if g.blocks == 0 {
		g.blocks = max(ringMemory()/c.Threads/g.blockSize, 2)
	}
	page := os.Getpagesize()
	if g.blockSize < page || g.blockSize&(g.blockSize-1) != 0 || g.blocks < 2 {
		return g, fmt.Errorf("ring of %d blocks of %d bytes: want at least 2, of a power of two not below %d", g.blocks, g.blockSize, page)
	}
	// The kernel puts the frame behind its own header and the reserve.
	need := unix.SizeofTpacket2Hdr + unix.SizeofSockaddrLinklayer + 2*tpacketAlign + ringReserve + c.Snaplen
	g.cellSize = oddLines(need)
	if g.cellSize > g.blockSize {
		return g, fmt.Errorf("a frame of %d bytes does not fit into a ring block of %d bytes", c.Snaplen, g.blockSize)
	}
	return g, nil
}

// oddLines rounds n up to an odd number of cache lines: that spreads the
// beginnings of the cells, which are all that is looked at, over all sets of a
// cache.
func oddLines(n int) int { return ((n+cacheLine-1)/cacheLine | 1) * cacheLine }

// ringMemory is the memory in bytes of all lanes of a port.
func ringMemory() int {
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return leastRingMemory
	}
	part := uint64(s.Totalram) * uint64(s.Unit) / ringPart
	return int(min(max(part, leastRingMemory), mostRingMemory))
}

// hton16 turns a host number into network byte order, as sockaddr_ll wants it.
func hton16(v uint16) uint16 {
	var b [2]byte
	b[0], b[1] = byte(v>>8), byte(v)
	return nativeEndian.Uint16(b[:])
}

// frameHeadroomIsEnough fails to compile if the reserve cannot hold a tag.
const _ = uint(ringReserve - frame.TagLen)
