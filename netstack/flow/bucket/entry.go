package bucket

import "unsafe"

// The layout. bucket.h says the same in C.
const (
	// EntrySize is an entry's length in bytes.
	EntrySize = 32
	// Ways is how many entries a bucket has.
	Ways = 4
	// Size is a bucket's length in bytes, and how an arena must be aligned.
	Size = EntrySize * Ways

	lineSize = Size / 2 // a bucket is two cache lines of 64 bytes
)

// Entry is one direction of one flow as it stands in the arena. What is "as on
// the wire" has the bytes of the packet's header in their order; the numbers of
// the fields are what the machine reads there, so they differ between byte
// orders and are only compared, copied and hashed.
type Entry struct {
	addrs uint64 // source and destination address, as on the wire
	id    uint32 // SPI or ports, as on the wire; ICMP: what the caller composes
	tag   uint32 // proto<<24 | ctx<<16 | version<<4 | flags, a number
	value uint64 // see PackValue
	count uint64 // packets<<36 | bytes, wrapping
}

// The flags of an entry.
const (
	Valid       uint32 = 1 << iota // it lives; set and taken away by the table
	Destination                    // the destination is rewritten, else the source
	Extended                       // value is not a rewrite but a number of the caller's
	DFOnly                         // only for packets that have DF set (R29)
)

// The parts of a tag.
const (
	flagMask    = 0x0000000f
	versionMask = 0x0000fff0
	oneVersion  = 0x00000010
	scopeMask   = 0xffff0000 // protocol and context
)

// The parts of a count. One addition counts a packet, and the difference of two
// readings is exact as long as less than 64 GiB and 2^27 packets lie between
// them: 9 seconds of the smallest frames at 10 Gbit/s.
const (
	bytesBits = 36
	onePacket = uint64(1) << bytesBits
	bytesMask = onePacket - 1
)

// Packets is how many packets a difference of two counts stands for.
func packetsOf(d uint64) uint64 { return d >> bytesBits }

// bytesOf is how many bytes a difference of two counts stands for.
func bytesOf(d uint64) uint64 { return d & bytesMask }

// Add counts one packet of that many bytes. Only one goroutine at a time may add
// to an entry: on 64-bit machines it is a plain addition.
func (e *Entry) Add(bytes int) { addCount(&e.count, onePacket+uint64(bytes)) }

// next is the tag of the slot's next state: one version on, with these flags.
func next(tag, scope, flags uint32) uint32 {
	return scope | (tag+oneVersion)&versionMask | flags&flagMask
}

// key is what the entry is found by.
func (e *Entry) key() Key {
	return makeKey(loadWord(&e.addrs), loadHalf(&e.id), loadHalf(&e.tag))
}

// PackValue composes the value of an entry that rewrites: the new address and
// port as the machine reads their 4 and 2 bytes as on the wire, and the number
// of the next hop.
func PackValue(addr uint32, port, hop uint16) uint64 {
	return uint64(addr)<<addrShift | uint64(port)<<portShift | uint64(hop)<<hopShift
}

// UnpackValue is the inverse of PackValue.
func UnpackValue(value uint64) (addr uint32, port, hop uint16) {
	return uint32(value >> addrShift), uint16(value >> portShift), uint16(value >> hopShift)
}

// The compiler holds the layout.
var _ [0]struct{} = [unsafe.Sizeof(Entry{}) - EntrySize]struct{}{}
