package frame

import "encoding/binary"

// HeaderLen is the length in bytes of an Ethernet header without a tag.
const HeaderLen = 14

// TagLen is the length in bytes of an 802.1Q tag, and the least headroom that
// a port keeps before each frame, so that a tag can be put in without a copy.
const TagLen = 4

// EtherTypes that the router looks at, in host byte order.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeVLAN = 0x8100

	TypeProvider    = 0x88a8 // the outer tag of IEEE 802.1ad
	TypeOldProvider = 0x9100 // and what was used before there was one
)

// Interface numbers a VLAN on a port: 1 to 255, and the same number as its NIC
// in the stack. 0 means none.
type Interface uint8

// MarkBits are the bits of a mark that belong to those who look on; the others
// are the stack's hooks'.
const MarkBits = 0xffffff00

// Batch is the greatest number of frames that travel from link to link
// together: with 32 to 64 the flow table hides most of its cache misses.
const Batch = 64

// Frame is one Ethernet frame in borrowed memory, without its 802.1Q tag: the
// tag's id is in VLAN. The memory belongs to the port that read it and is
// valid until that port's next read.
type Frame struct {
	mem      []byte
	off, end int

	VLAN uint16    // 802.1Q id, 0 untagged
	In   Interface // where it came in, once the port has told its VLANs apart
	Out  Interface // where the fast path sends it, 0: the stack decides
	Mark uint32    // what those who look on know it by (link.Onlooker), 0: nobody does
}

// New makes a frame of mem[off:end]. mem[:off] is headroom, at least TagLen
// where the frame may have to leave tagged.
func New(mem []byte, off, end int, vlan uint16) Frame {
	return Frame{mem: mem, off: off, end: end, VLAN: vlan}
}

// Copy makes a frame of a fresh copy of b with headroom. It is for slow paths
// and tests.
func Copy(b []byte, vlan uint16) Frame {
	mem := make([]byte, TagLen+len(b))
	copy(mem[TagLen:], b)
	return New(mem, TagLen, len(mem), vlan)
}

// Memory returns where the frame lies: mem[off:end], headroom before it. It is
// for those who hand a frame to code with a frame type of its own; New is the
// way back.
func (f *Frame) Memory() (mem []byte, off, end int) { return f.mem, f.off, f.end }

// Bytes returns the frame from its destination MAC address on.
func (f *Frame) Bytes() []byte { return f.mem[f.off:f.end] }

// Len returns the frame's length in bytes, without tag and checksum.
func (f *Frame) Len() int { return f.end - f.off }

// Payload returns what follows the Ethernet header. The frame must be at
// least HeaderLen long.
func (f *Frame) Payload() []byte { return f.mem[f.off+HeaderLen : f.end] }

// Dst returns the destination MAC address. The frame must be at least
// HeaderLen long.
func (f *Frame) Dst() MAC { return MAC(f.mem[f.off : f.off+6]) }

// Src returns the source MAC address. The frame must be at least HeaderLen
// long.
func (f *Frame) Src() MAC { return MAC(f.mem[f.off+6 : f.off+12]) }

// EtherType returns the type in host byte order. The frame must be at least
// HeaderLen long.
func (f *Frame) EtherType() uint16 {
	return binary.BigEndian.Uint16(f.mem[f.off+12:])
}

// Trim cuts what stands behind the first n bytes: the padding of a short frame
// (IEEE 802.3 section 3.2.8) is not part of the packet in it. n is at most Len.
func (f *Frame) Trim(n int) { f.end = f.off + n }

// SetMACs writes both addresses.
func (f *Frame) SetMACs(dst, src MAC) {
	copy(f.mem[f.off:], dst[:])
	copy(f.mem[f.off+6:], src[:])
}

// StripTag takes a leading 802.1Q tag out of the frame into VLAN, for ports
// whose driver leaves it in place. A priority tag (id 0) is taken out too.
func (f *Frame) StripTag() {
	b := f.Bytes()
	if len(b) < HeaderLen+TagLen || f.EtherType() != TypeVLAN {
		return
	}
	f.VLAN = binary.BigEndian.Uint16(b[14:]) & 0x0fff
	copy(b[TagLen:], b[:12])
	f.off += TagLen
}

// Tagged reports whether the frame, as it is, begins with a tag of any kind:
// after StripTag that is a second one, or one of a provider.
func (f *Frame) Tagged() bool {
	switch f.EtherType() {
	case TypeVLAN, TypeProvider, TypeOldProvider:
		return true
	}
	return false
}

// PushTag puts VLAN back into the frame as an 802.1Q tag, using four bytes of
// headroom, and reports whether there was room. VLAN 0 needs no tag.
func (f *Frame) PushTag() bool {
	if f.VLAN == 0 {
		return true
	}
	if f.off < TagLen || f.Len() < HeaderLen {
		return false
	}
	f.off -= TagLen
	b := f.Bytes()
	copy(b[:12], b[TagLen:])
	binary.BigEndian.PutUint16(b[12:], TypeVLAN)
	binary.BigEndian.PutUint16(b[14:], f.VLAN)
	f.VLAN = 0
	return true
}
