package link

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"spigate/netstack/frame"
)

// The shape of a ring, chosen with BenchmarkRingRate (a flood of frames of 100
// bytes through a veth pair) and BenchmarkRingPingPong (one frame at a time, so
// what one ring adds to a frame that travels alone). Medians of three runs of
// a busy machine with two processors, on which the sender was the limit: trust
// the losses and the latencies, and differences in rate of a factor only.
//
//	version block  memory retire  kpps  lost %   us alone
//	3         32K    4M     1ms    358    0         604
//	3         64K    4M     1ms    227    0         571
//	3        128K    4M     1ms    404    0         936
//	3        256K    4M     1ms    299    0         568
//	3        512K    4M     1ms    206    1.8       592
//	3       1024K    4M     1ms    344    1.3       658
//	3        256K    4M     4ms    223    0        3020
//	3        256K    4M    10ms    123    0        5240
//	3         64K    1M     1ms    135    0         554
//	2         64K    4M       0    141    1.5        74
//	2         64K    4M    20us    254    3.2        86
//	2         64K    4M    50us    178    5.5        91
//	2         64K    4M   100us    235    1.5        87
//	2         64K    1M    50us     87   27          95
//
// So: version 3 for its density, since it packs frames and rides out a burst
// that version 2, with a cell of 2 KiB for each, loses. Many small blocks lose
// nothing, few large ones do; 64 KiB are found even in fragmented memory. Idle
// latency follows the retire time, of which the kernel takes no less than 1 ms.
// Version 2 is for ports where that counts for more: a tenth of the latency.
const (
	ringBlockSize = 64 << 10
	ringMemory    = 4 << 20
	ringRetire    = time.Millisecond
	ringPause     = 50 * time.Microsecond
)

// ringReserve is room in bytes before each frame beyond what the kernel leaves
// anyway, so that a tag can be pushed. A multiple of 16 keeps the IPv4 header
// aligned as the kernel aligns it, which ARM and MIPS care about.
const ringReserve = 16

// openReceive makes the receiving socket and its ring. It is bound last: a
// socket of protocol 0 receives nothing, so no frame can arrive before the
// ring stands, or from another port.
func (r *ring) openReceive(c RingConfig, index int, promiscuous bool) error {
	if c.Version != 0 && c.Version != 2 && c.Version != 3 {
		return fmt.Errorf("ring version %d: want 2 or 3", c.Version)
	}
	if err := r.mapRing(c); err != nil {
		return err
	}
	if promiscuous {
		m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("promiscuous mode: %w", err)
		}
	}
	to := unix.SockaddrLinklayer{Protocol: hton16(unix.ETH_P_ALL), Ifindex: index}
	if err := unix.Bind(r.fd, &to); err != nil && !errors.Is(err, unix.ENETDOWN) {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// mapRing makes the socket with its ring, in version 2 if the kernel does not
// know version 3 (before 3.2) and the operator has not asked for it.
func (r *ring) mapRing(c RingConfig) error {
	version := c.Version
	if version == 0 {
		version = 3
	}
	g, err := ringGeometry(c, version)
	if err != nil {
		return err
	}
	err = r.tryVersion(c, g, version)
	if err == nil || c.Version != 0 {
		return err
	}
	c.Retire = 0 // what was set is for version 3
	if g, err = ringGeometry(c, 2); err != nil {
		return err
	}
	return r.tryVersion(c, g, 2)
}

// tryVersion makes a socket with a ring of one version. What it leaves behind
// when it fails is closed by the next try or by free.
func (r *ring) tryVersion(c RingConfig, g geometry, version int) error {
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	r.fd = fd
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	v := unix.TPACKET_V2
	if version == 3 {
		v = unix.TPACKET_V3
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, v); err != nil {
		return fmt.Errorf("ring version %d: %w", version, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_RESERVE, ringReserve); err != nil {
		return fmt.Errorf("ring headroom: %w", err)
	}
	// Where the kernel is too old for this one (before 4.20), sieve drops
	// our own frames by their packet type.
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	if err := g.set(fd, version); err != nil {
		return fmt.Errorf("ring of %d blocks of %d bytes: %w", g.blocks, g.blockSize, err)
	}
	mem, err := unix.Mmap(fd, 0, g.blocks*g.blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("ring memory: %w", err)
	}
	r.mem, r.version = mem, version
	s := sieve{snaplen: c.Snaplen, keepTags: c.KeepTags, drops: c.Drops}
	if version == 3 {
		r.cells = &ringV3{mem: mem, size: g.blockSize, blocks: g.blocks, sieve: s}
	} else {
		r.pause = g.retire
		r.cells = &ringV2{mem: mem, blockSize: g.blockSize, cellSize: g.cellSize, perBlock: g.blockSize / g.cellSize,
			cells: g.blockSize / g.cellSize * g.blocks, sieve: s}
	}
	return nil
}

// geometry is the shape of a ring.
type geometry struct {
	blockSize, blocks int // bytes, count
	cellSize          int // bytes for one frame in version 2; in version 3 only a number that the kernel checks
	retire            time.Duration
}

// ringGeometry completes c with the defaults and checks it.
func ringGeometry(c RingConfig, version int) (geometry, error) {
	g := geometry{blockSize: c.BlockSize, blocks: c.Blocks, retire: c.Retire}
	if g.blockSize == 0 {
		g.blockSize = ringBlockSize
	}
	if g.blocks == 0 {
		g.blocks = max(ringMemory/g.blockSize, 2)
	}
	if g.retire == 0 && version == 3 {
		g.retire = ringRetire
	}
	if g.retire == 0 && version == 2 {
		g.retire = ringPause
	}
	page := os.Getpagesize()
	if g.blockSize < page || g.blockSize&(g.blockSize-1) != 0 || g.blocks < 2 {
		return g, fmt.Errorf("ring of %d blocks of %d bytes: want at least 2, of a power of two not below %d", g.blocks, g.blockSize, page)
	}
	// The kernel puts the frame behind its own header and the reserve.
	need := unix.SizeofTpacket3Hdr + unix.SizeofSockaddrLinklayer + 2*tpacketAlign + ringReserve + c.Snaplen
	for g.cellSize = 2048; g.cellSize < need; g.cellSize *= 2 {
	}
	if g.cellSize > g.blockSize-tpacketBlockHeader {
		return g, fmt.Errorf("a frame of %d bytes does not fit into a ring block of %d bytes", c.Snaplen, g.blockSize)
	}
	if version == 3 {
		g.cellSize = 2048
	}
	if version == 3 && g.retire < time.Millisecond {
		return g, fmt.Errorf("ring retire time %v: want at least 1ms", g.retire)
	}
	return g, nil
}

// set asks the kernel for the ring.
func (g geometry) set(fd, version int) error {
	cells := uint32(g.blockSize / g.cellSize * g.blocks)
	if version == 3 {
		return unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
			Block_size: uint32(g.blockSize), Block_nr: uint32(g.blocks),
			Frame_size: uint32(g.cellSize), Frame_nr: cells, Retire_blk_tov: uint32(g.retire.Milliseconds()),
		})
	}
	return unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq{
		Block_size: uint32(g.blockSize), Block_nr: uint32(g.blocks),
		Frame_size: uint32(g.cellSize), Frame_nr: cells,
	})
}

// hton16 turns a host number into network byte order, as sockaddr_ll wants it.
func hton16(v uint16) uint16 {
	var b [2]byte
	b[0], b[1] = byte(v>>8), byte(v)
	return nativeEndian.Uint16(b[:])
}

// frameHeadroomIsEnough fails to compile if the reserve cannot hold a tag.
const _ = uint(ringReserve - frame.TagLen)
