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
	tpacketAlign       = 16
	tpacketBlockHeader = int(unsafe.Sizeof(unix.TpacketBlockDesc{}))
	sllPacketType      = 10 // offset of sll_pkttype in sockaddr_ll
)

var nativeEndian = binary.NativeEndian

// word returns the 32 bit word at off, through which a block or a cell changes
// hands between the kernel and us.
func word(mem []byte, off int) *uint32 { return (*uint32)(unsafe.Pointer(&mem[off])) }

// ownedByUs and giveBack are the hand-over. The atomic operations keep the
// reading of the frame between them on weakly ordered processors.
func ownedByUs(w *uint32) bool { return atomic.LoadUint32(w)&unix.TP_STATUS_USER != 0 }
func giveBack(w *uint32)       { atomic.StoreUint32(w, unix.TP_STATUS_KERNEL) }

// ringV3 walks blocks with as many frames each as the kernel could put there
// before the block was full or its retire time was over.
type ringV3 struct {
	sieve
	mem          []byte
	size, blocks int

	cur  int // the block being read
	left int // frames in it not read yet
	next int // offset in mem of the next of them
	done int // blocks before cur that were read and are still lent
}

func (v *ringV3) fill(batch []frame.Frame) int {
	n := 0
	for n < len(batch) && (v.left > 0 || v.open()) {
		if f, ok := v.take(); ok {
			batch[n] = f
			n++
		}
		if v.left == 0 {
			v.cur = (v.cur + 1) % v.blocks
			v.done++
		}
	}
	return n
}

// open begins the block at cur if the kernel has handed it over. A retired
// block has at least one frame.
func (v *ringV3) open() bool {
	if v.done == v.blocks {
		return false // all of them are lent: this one is not new
	}
	base := v.cur * v.size
	h := (*unix.TpacketHdrV1)(unsafe.Pointer(&v.mem[base+tpacketHeaderV1]))
	if !ownedByUs(&h.Block_status) {
		return false
	}
	v.left, v.next = int(h.Num_pkts), base+int(h.Offset_to_first_pkt)
	return v.left > 0
}

// tpacketHeaderV1 is where the block's header stands in its descriptor.
const tpacketHeaderV1 = int(unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr))

func (v *ringV3) take() (frame.Frame, bool) {
	h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&v.mem[v.next]))
	c := cell{
		mem: v.mem[v.next:], header: unix.SizeofTpacket3Hdr, mac: int(h.Mac),
		snap: int(h.Snaplen), length: int(h.Len), status: h.Status,
		tci: uint16(h.Hv1.Vlan_tci), tpid: h.Hv1.Vlan_tpid,
	}
	v.left--
	v.next += int(h.Next_offset)
	return v.pass(&c)
}

func (v *ringV3) release() bool {
	some := v.done > 0
	for ; v.done > 0; v.done-- {
		b := (v.cur - v.done + v.blocks) % v.blocks
		giveBack(word(v.mem, b*v.size+tpacketHeaderV1))
	}
	return some
}

// ringV2 walks cells of equal size with one frame each.
type ringV2 struct {
	sieve
	mem                 []byte
	blockSize, cellSize int // bytes
	perBlock, cells     int // counts

	cur  int // the cell to read next
	done int // cells before cur that were read and are still lent
}

func (v *ringV2) fill(batch []frame.Frame) int {
	n := 0
	for n < len(batch) && v.done < v.cells {
		at := v.at(v.cur)
		if !ownedByUs(word(v.mem, at)) {
			break
		}
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&v.mem[at]))
		c := cell{
			mem: v.mem[at:], header: unix.SizeofTpacket2Hdr, mac: int(h.Mac),
			snap: int(h.Snaplen), length: int(h.Len), status: h.Status,
			tci: h.Vlan_tci, tpid: h.Vlan_tpid,
		}
		if f, ok := v.pass(&c); ok {
			batch[n] = f
			n++
		}
		v.cur = (v.cur + 1) % v.cells
		v.done++
	}
	return n
}

// at returns the offset of a cell: no cell lies across two blocks.
func (v *ringV2) at(i int) int { return i/v.perBlock*v.blockSize + i%v.perBlock*v.cellSize }

func (v *ringV2) release() bool {
	some := v.done > 0
	for ; v.done > 0; v.done-- {
		giveBack(word(v.mem, v.at((v.cur-v.done+v.cells)%v.cells)))
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
	if c.status&unix.TP_STATUS_CSUMNOTREADY != 0 {
		finishChecksum(&f)
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
