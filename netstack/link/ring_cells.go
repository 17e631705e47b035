package link

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// The layout of a ring as linux/if_packet.h has it. Numbers in it are in host
// byte order.
const (
	tpacketAlign  = 16
	sllPacketType = 10 // offset of sll_pkttype in sockaddr_ll
)

var nativeEndian = binary.NativeEndian

// word returns the 32 bit word at off, through which a cell changes hands
// between the kernel and us.
func word(mem []byte, off int) *uint32 { return (*uint32)(unsafe.Pointer(&mem[off])) }

// ownedByUs and giveBack are the hand-over. The atomic operations keep the
// reading of the frame between them on weakly ordered processors.
func ownedByUs(w *uint32) bool { return atomic.LoadUint32(w)&unix.TP_STATUS_USER != 0 }
func giveBack(w *uint32)       { atomic.StoreUint32(w, unix.TP_STATUS_KERNEL) }

// ringCells walks cells of equal size with one frame each (TPACKET_V2).
type ringCells struct {
	sieve
	mem                 []byte
	blockSize, cellSize int // bytes
	perBlock, cells     int // counts

	cur  cursor // the cell to read next
	lent cursor // the first that was read and is still lent
	done int    // how many are
	seen byte   // of what look has touched; nobody asks
}

// A cursor is the place of a cell: no cell lies across two blocks.
type cursor struct {
	at int // offset of the cell
	n  int // its number in its block
}

// step goes on to the next cell.
func (v *ringCells) step(c *cursor) {
	c.n++
	c.at += v.cellSize
	if c.n < v.perBlock {
		return
	}
	c.n, c.at = 0, c.at+v.blockSize-v.perBlock*v.cellSize
	if c.at == len(v.mem) {
		c.at = 0
	}
}

// ready reports whether the kernel has handed the next cell over.
func (v *ringCells) ready() bool { return ownedByUs(word(v.mem, v.cur.at)) }

// look returns how many cells the kernel has handed over, n at most. It touches
// what will be read of each: another processor has written it, and so the waits
// for all of them overlap.
func (v *ringCells) look(n int) int {
	n = min(n, v.cells-v.done) // the others are lent: they are not new
	c, seen := v.cur, byte(0)
	for k := range n {
		if !ownedByUs(word(v.mem, c.at)) {
			n = k
			break
		}
		seen ^= v.mem[c.at+cacheLine]
		v.step(&c)
	}
	v.seen = seen
	return n
}

// fill lends up to len(batch) frames and returns how many. It returns 0 only if
// the kernel has nothing, or if everything at hand was dropped.
func (v *ringCells) fill(batch []frame.Frame) int {
	n := 0
	for range v.look(len(batch)) {
		at := v.cur.at
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&v.mem[at]))
		c := cell{
			mem: v.mem[at : at+v.cellSize], header: unix.SizeofTpacket2Hdr, mac: int(h.Mac),
			snap: int(h.Snaplen), length: int(h.Len), status: h.Status,
			tci: h.Vlan_tci, tpid: h.Vlan_tpid,
		}
		if f, ok := v.pass(&c); ok {
			batch[n] = f
			n++
		}
		v.step(&v.cur)
		v.done++
	}
	return n
}

// release gives all that fill took back to the kernel, and reports whether
// there was something.
func (v *ringCells) release() bool {
	some := v.done > 0
	for ; v.done > 0; v.done-- {
		giveBack(word(v.mem, v.lent.at))
		v.step(&v.lent)
	}
	return some
}

// A cell is one frame in ring memory with what the kernel says about it.
type cell struct {
	mem          []byte // from the kernel's header of this frame on
	header       int    // its length in bytes; a sockaddr_ll follows
	mac          int    // offset of the Ethernet header
	snap, length int    // bytes that are here, and of the frame
	status       uint32
	tci, tpid    uint16
}

// A sieve turns cells into frames and drops those that cannot pass.
type sieve struct {
	snaplen  int
	keepTags bool // see RingConfig
	drops    *drop.Counters

	unfinished *atomic.Uint64 // see ring.Unfinished; may be nil
}

// pass returns the frame in c. Frames for other machines pass: the port knows
// its addresses and counts what is not for us.
func (s *sieve) pass(c *cell) (frame.Frame, bool) {
	kind := c.mem[c.header+sllPacketType]
	if kind == unix.PACKET_OUTGOING {
		return frame.Frame{}, false // we sent it ourselves
	}
	if c.length > s.snaplen || c.snap < c.length {
		return s.drop(drop.FrameTooBig)
	}
	tagged := c.status&unix.TP_STATUS_VLAN_VALID != 0
	var vlan uint16
	if tagged && !s.keepTags {
		if c.tagType() != unix.ETH_P_8021Q {
			return s.drop(drop.DoubleTagged) // 802.1ad: its numbers are not ours
		}
		vlan = c.tci & 0x0fff
	}
	start := c.header + unix.SizeofSockaddrLinklayer
	f := frame.New(c.mem[start:c.mac+c.snap], c.mac-start, c.mac+c.snap-start, vlan)
	if tagged && !s.keepTags && vlan == 0 && f.Len() >= frame.HeaderLen && f.Tagged() {
		return s.drop(drop.DoubleTagged) // behind a priority tag; the port would take it for the first
	}
	if c.status&unix.TP_STATUS_CSUMNOTREADY != 0 && finishChecksum(&f) && s.unfinished != nil {
		s.unfinished.Add(1)
	}
	if tagged && s.keepTags && f.Len() >= frame.HeaderLen {
		f = c.tagBack(start)
	}
	return f, true
}

// tagType returns the type of the tag that the kernel has taken out. Before
// Linux 3.14 it did not say, and took out no other.
func (c *cell) tagType() uint16 {
	if c.status&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
		return unix.ETH_P_8021Q
	}
	return c.tpid
}

// tagBack puts the tag back where the kernel has taken it out, in the room that
// ringReserve keeps. start is where the cell's headroom begins.
func (c *cell) tagBack(start int) frame.Frame {
	b := c.mem[c.mac-frame.TagLen : c.mac+frame.HeaderLen]
	copy(b[:12], b[frame.TagLen:])
	binary.BigEndian.PutUint16(b[12:], c.tagType())
	binary.BigEndian.PutUint16(b[14:], c.tci)
	return frame.New(c.mem[start:c.mac+c.snap], c.mac-frame.TagLen-start, c.mac+c.snap-start, 0)
}

func (s *sieve) drop(r drop.Reason) (frame.Frame, bool) {
	if s.drops != nil {
		s.drops.Add(r, 1)
	}
	return frame.Frame{}, false
}
