package capture

import (
	"encoding/binary"
	"maps"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// buffer is what lies between the packet path and the reader: two pieces of
// memory, one that records are added to and one that is read. Whoever adds holds
// the lock for one copy; the reader holds it for the time it takes to exchange the
// two.
type buffer struct {
	mu    sync.Mutex
	room  int    // bytes of each piece
	most  uint64 // records, 0: any number
	now   []byte
	spare []byte
	over  bool
	taken uint64
	lost  uint64
	of    map[Source]Counts
}

// recordHead is the length of what stands before a record's bytes.
const recordHead = 8 + 1 + 1 + 1 + 1 + 1 + 2 + 4 + 4

// add copies a record if there is room. full reports that it was the last one.
func (b *buffer) add(r *Record, snap int) (kept, full bool) {
	n := min(len(r.Data), snap)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over || b.most != 0 && b.taken >= b.most { // full, and whoever filled it has not ended it yet
		return false, false
	}
	if b.of == nil {
		b.of = map[Source]Counts{}
	}
	at := Source{r.Point, r.Interface()}
	count := b.of[at]
	if len(b.now)+recordHead+n > b.room {
		b.lost++
		count.Lost++
		b.of[at] = count
		return false, false
	}
	if b.now == nil {
		b.now = make([]byte, 0, b.room)
	}
	b.now = r.append(b.now, n)
	b.taken++
	count.Taken++
	b.of[at] = count
	return true, b.most != 0 && b.taken == b.most
}

// append writes a record with n bytes of its data.
func (r *Record) append(b []byte, n int) []byte {
	b = binary.NativeEndian.AppendUint64(b, uint64(r.At))
	framed := byte(0)
	if r.Frame {
		framed = 1
	}
	b = append(b, byte(r.Point), byte(r.Reason), byte(r.In), byte(r.Out), framed)
	b = binary.NativeEndian.AppendUint16(b, r.VLAN)
	b = binary.NativeEndian.AppendUint32(b, uint32(r.Len))
	b = binary.NativeEndian.AppendUint32(b, uint32(n))
	return append(b, r.Data[:n]...)
}

// read reads the first record and returns what is behind it.
func (r *Record) read(b []byte) []byte {
	r.At, r.Point, r.Reason = int64(binary.NativeEndian.Uint64(b)), Point(b[8]), drop.Reason(b[9])
	r.In, r.Out, r.Frame = frame.Interface(b[10]), frame.Interface(b[11]), b[12] != 0
	r.VLAN, r.Len = binary.NativeEndian.Uint16(b[13:]), int(binary.NativeEndian.Uint32(b[15:]))
	n := int(binary.NativeEndian.Uint32(b[19:]))
	r.Data = b[recordHead : recordHead+n : recordHead+n]
	return b[recordHead+n:]
}

// take empties the buffer.
func (b *buffer) take(fn func(*Record)) {
	b.mu.Lock()
	if b.spare == nil {
		b.spare = make([]byte, 0, b.room)
	}
	full := b.now
	b.now = b.spare[:0]
	b.mu.Unlock()
	for rest := full; len(rest) > 0; {
		var r Record
		rest = r.read(rest)
		fn(&r)
	}
	b.mu.Lock()
	b.spare = full[:0]
	b.mu.Unlock()
}

// end reports whether the buffer took records until now.
func (b *buffer) end() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.over
	b.over = true
	return !was
}

func (b *buffer) stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Taken: b.taken, Lost: b.lost, Of: maps.Clone(b.of)}
}
