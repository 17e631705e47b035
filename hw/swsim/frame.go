package swsim

import "encoding/binary"

// Sizes in bytes.
const (
	headerLen = 14 // an Ethernet header without tag
	TagLen    = 4  // an 802.1Q tag
)

// The type of a tag, and the VLAN in its control word (IEEE 802.1Q section 9.6).
const (
	typeTag  = 0x8100
	vlanBits = 0x0fff
)

// Frame is one Ethernet frame as it is on the wire, tags in place, without its
// checksum: Mem[Off:End]. What stands before it is headroom, at least TagLen
// where a frame comes in, so that a tag can be put in without a copy.
type Frame struct {
	Mem      []byte
	Off, End int
}

// Bytes returns the frame from its destination address on.
func (f *Frame) Bytes() []byte { return f.Mem[f.Off:f.End] }

// Len returns the frame's length in bytes.
func (f *Frame) Len() int { return f.End - f.Off }

// tag returns the control word of the frame's tag, if it has one.
func (f *Frame) tag() (tci uint16, tagged bool) {
	b := f.Bytes()
	if len(b) < headerLen+TagLen || binary.BigEndian.Uint16(b[12:]) != typeTag {
		return 0, false
	}
	return binary.BigEndian.Uint16(b[14:]), true
}

// twice reports whether a second tag stands behind the first.
func (f *Frame) twice() bool {
	b := f.Bytes()
	return len(b) >= headerLen+TagLen && binary.BigEndian.Uint16(b[12:]) == typeTag && binary.BigEndian.Uint16(b[16:]) == typeTag
}

// setTag gives the frame a tag of the VLAN, or changes the one that it has,
// whose priority stays. It reports whether there was room.
func (f *Frame) setTag(vlan uint16) bool {
	tci, tagged := f.tag()
	if !tagged {
		if f.Off < TagLen {
			return false
		}
		f.Off -= TagLen
		b := f.Bytes()
		copy(b[:12], b[TagLen:])
		binary.BigEndian.PutUint16(b[12:], typeTag)
	}
	binary.BigEndian.PutUint16(f.Bytes()[14:], tci&^vlanBits|vlan)
	return true
}

// dropTag takes the tag out, if there is one.
func (f *Frame) dropTag() {
	if _, tagged := f.tag(); !tagged {
		return
	}
	b := f.Bytes()
	copy(b[TagLen:], b[:12])
	f.Off += TagLen
}

// address is an Ethernet address as a number of 48 bits.
type address uint64

func addressAt(b []byte) address {
	return address(binary.BigEndian.Uint32(b))<<16 | address(binary.BigEndian.Uint16(b[4:]))
}

// group reports whether it names several stations, or all.
func (a address) group() bool { return a>>40&1 != 0 }

// linkLocal reports whether frames to it concern the ends of one cable
// (IEEE 802.1Q table 8-1: 01:80:c2:00:00:00 to 0f).
func (a address) linkLocal() bool { return a>>4 == 0x0180c2000000>>4 }

func (a address) bytes() (b [6]byte) {
	binary.BigEndian.PutUint16(b[:], uint16(a>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(a))
	return b
}
