package capture

import (
	"encoding/binary"

	"spigate/netstack/drop"
)

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng, sections 4 and 3.5).
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	byteOrder = 0x1a2b3c4d

	optComment     = 1
	optApplication = 4 // of a section
	optIfName      = 2
	optIfAbout     = 3
	optResolution  = 9
	optFlags       = 2 // of a packet
	optEndTime     = 3 // of statistics
	optReceived    = 4
	optLost        = 5

	inbound, outbound = 1, 2 // of flags

	linkEthernet = 1
	linkIPv4     = 228
)

// Pcapng writes captured packets as pcapng, each behind the interface of its
// point and VLAN. Comments of packets say why they were dropped.
type Pcapng struct {
	Application string
	Name        func(*Record) string // of a record's VLAN, "" if nobody knows
	Epoch       int64                // nanoseconds since 1970 at the monotonic time 0
	Snap        int                  // 0: DefaultSnap

	known map[ngInterface]uint32
	order []ngInterface
}

// ngInterface is what is one interface in the file.
type ngInterface struct {
	Source
	link uint16
}

// Begin appends the beginning of a file.
func (g *Pcapng) Begin(b []byte) []byte {
	g.known, g.order = map[ngInterface]uint32{}, nil
	at := len(b)
	b = open(b, blockSection)
	b = u32(b, byteOrder)
	b = u16(u16(b, 1), 0) // version 1.0
	b = u32(u32(b, 0xffffffff), 0xffffffff)
	b = option(b, optApplication, []byte(g.Application))
	return shut(b, at)
}

// Record appends a packet, and its interface if that is a new one.
func (g *Pcapng) Record(b []byte, r *Record) []byte {
	key := ngInterface{Source{r.Point, r.Interface()}, linkIPv4}
	if r.Frame {
		key.link = linkEthernet
	}
	id, known := g.known[key]
	if !known {
		id = uint32(len(g.order))
		g.known[key], g.order = id, append(g.order, key)
		b = g.describe(b, key, g.Name(r))
	}
	data, length := r.Tagged()
	at := len(b)
	b = open(b, blockPacket)
	b = u32(b, id)
	b = u64Time(b, g.Epoch+r.At)
	b = u32(u32(b, uint32(len(data))), uint32(length))
	b = pad(append(b, data...))
	if text := Comment(r); text != "" {
		b = option(b, optComment, []byte(text))
	}
	switch r.Point {
	case Received:
		b = option(b, optFlags, u32(nil, inbound))
	case Sent:
		b = option(b, optFlags, u32(nil, outbound))
	}
	return shut(b, at)
}

// Comment is what a file says of a packet: why it was dropped.
func Comment(r *Record) string {
	if r.Point != Dropped || r.Reason == drop.None {
		return ""
	}
	in := r.Reason.Info()
	return in.Word + ": " + in.Means
}

// describe appends an interface.
func (g *Pcapng) describe(b []byte, key ngInterface, name string) []byte {
	at, snap := len(b), g.Snap
	if snap == 0 {
		snap = DefaultSnap
	}
	b = open(b, blockInterface)
	b = u16(u16(b, key.link), 0)
	b = u32(b, uint32(snap))
	if name == "" {
		name = "?"
	}
	b = option(b, optIfName, []byte(key.Point.String()+" "+name))
	b = option(b, optIfAbout, []byte(about[key.Point]))
	b = option(b, optResolution, []byte{9}) // nanoseconds
	return shut(b, at)
}

var about = [NumPoints]string{
	"frames as they were received", "packets before their translation", "packets after their translation", "frames as they were sent",
	"what was dropped; the comments say why",
}

// End appends how many packets each interface had and lost. now is monotonic
// nanoseconds.
func (g *Pcapng) End(b []byte, s Stats, now int64) []byte {
	told := map[Source]bool{}
	for id, key := range g.order {
		if told[key.Source] {
			continue // frames and packets of one point are counted together
		}
		told[key.Source] = true
		c, at := s.Of[key.Source], len(b)
		b = open(b, blockStatistics)
		b = u32(b, uint32(id))
		b = u64Time(b, g.Epoch+now)
		b = option(b, optEndTime, u64Time(nil, g.Epoch+now))
		b = option(b, optReceived, binary.LittleEndian.AppendUint64(nil, c.Taken+c.Lost))
		b = option(b, optLost, binary.LittleEndian.AppendUint64(nil, c.Lost))
		b = shut(b, at)
	}
	return b
}

// open begins a block, shut ends it: with its length at both ends, and the end of
// its options.
func open(b []byte, kind uint32) []byte { return u32(u32(b, kind), 0) }

func shut(b []byte, at int) []byte {
	b = u32(b, 0) // opt_endofopt
	n := uint32(len(b) - at + 4)
	binary.LittleEndian.PutUint32(b[at+4:], n)
	return u32(b, n)
}

func option(b []byte, code uint16, value []byte) []byte {
	return pad(append(u16(u16(b, code), uint16(len(value))), value...))
}

// pad fills up to 32 bits: every block begins at such a place.
func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func u16(b []byte, n uint16) []byte { return binary.LittleEndian.AppendUint16(b, n) }
func u32(b []byte, n uint32) []byte { return binary.LittleEndian.AppendUint32(b, n) }

// u64Time writes a time as pcapng has it: the upper half first.
func u64Time(b []byte, at int64) []byte {
	return u32(u32(b, uint32(uint64(at)>>32)), uint32(at))
}
