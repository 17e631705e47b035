package ftp

// stream is what a subscriber sends on a control connection, and what the
// remote gets of it. Some of its text is replaced by other text, which may be
// longer or shorter, so the two ends number the bytes behind it differently.
//
//	inside   ... P O R T _ a a a a a a a \r \n ...     at, old
//	                       │             \_ at+old ─► at+shift+len(new)
//	outside  ... P O R T _ b b b b b b b b b \r \n ...
//
// All of the new text stands for the first byte of the old, and the others for
// nothing. So a segment that was cut anywhere has its place outside, and so has
// each acknowledgement inside: one within the new text covers nothing of the
// old.
//
// An edit is forgotten when the remote has acknowledged it. What is repeated of
// it after that is numbered as what follows it: the remote throws it away for
// being old either way.
type stream struct {
	started bool
	atStart bool   // next is the beginning of a line
	first   uint32 // the number of the first byte
	next    uint32 // the number of the first byte not yet looked at
	shift   uint32 // of what stands before the edits, modulo 2^32
	edits   []edit // in order, at most maxEdits
}

// edit replaces old bytes from at on, by the subscriber's numbers.
type edit struct {
	at   uint32
	old  uint8
	size uint8
	new  [maxText]byte
}

// maxEdits bounds the rewritten lines that the remote has not acknowledged. A
// client waits for the answer to each.
const maxEdits = 8

func (e *edit) text() []byte   { return e.new[:e.size] }
func (e *edit) growth() uint32 { return uint32(e.size) - uint32(e.old) }

// before compares sequence numbers (RFC 9293 section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// outward returns the number outside of the byte that has the number seq inside.
func (s *stream) outward(seq uint32) uint32 {
	shift := s.shift
	for i := range s.edits {
		e := &s.edits[i]
		switch {
		case !before(e.at, seq):
			return seq + shift
		case before(seq, e.at+uint32(e.old)):
			return e.at + shift + uint32(e.size)
		}
		shift += e.growth()
	}
	return seq + shift
}

// inward returns the number inside of an edge outside. An edge within a new
// text is before the old one, or behind it if up.
func (s *stream) inward(edge uint32, up bool) uint32 {
	shift := s.shift
	for i := range s.edits {
		e := &s.edits[i]
		at := e.at + shift
		switch {
		case !before(at, edge):
			return edge - shift
		case before(edge, at+uint32(e.size)) && up:
			return e.at + uint32(e.old)
		case before(edge, at+uint32(e.size)):
			return e.at
		}
		shift += e.growth()
	}
	return edge - shift
}

// acknowledged forgets the edits before edge, a number outside. One beyond what
// was sent is somebody's forgery.
func (s *stream) acknowledged(edge uint32) {
	if before(s.outward(s.next), edge) {
		return
	}
	done := 0
	for i := range s.edits {
		e := &s.edits[i]
		if before(edge, e.at+s.shift+uint32(e.size)) {
			break
		}
		s.shift += e.growth()
		done++
	}
	if done > 0 {
		s.edits = append(s.edits[:0], s.edits[done:]...)
	}
}

// changed reports whether numbers or text differ between the ends.
func (s *stream) changed() bool { return s.shift != 0 || len(s.edits) > 0 }

// replace adds an edit behind all others. It reports false if there are too
// many.
func (s *stream) replace(at uint32, old int, text []byte) bool {
	if len(s.edits) == maxEdits {
		return false
	}
	e := edit{at: at, old: uint8(old), size: uint8(len(text))}
	copy(e.new[:], text)
	s.edits = append(s.edits, e)
	return true
}

// rewrite appends to out what the remote gets for b, which begins with the
// number seq, but at most room bytes; taken is how much of b that stands for.
func (s *stream) rewrite(out []byte, seq uint32, b []byte, room int) (_ []byte, taken int) {
	plain := func(to int) bool {
		n := min(to-taken, room)
		out, taken, room = append(out, b[taken:taken+n]...), taken+n, room-n
		return taken == to
	}
	for i := range s.edits {
		e := &s.edits[i]
		from := int(int32(e.at - seq))
		to := from + int(e.old)
		if to <= 0 {
			continue
		}
		if from >= len(b) {
			break
		}
		if from > taken && !plain(from) {
			return out, taken
		}
		if from >= 0 {
			if room < int(e.size) {
				return out, taken
			}
			out, room = append(out, e.text()...), room-int(e.size)
		}
		taken = min(to, len(b))
	}
	plain(len(b))
	return out, taken
}
