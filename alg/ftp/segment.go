package ftp

import (
	"bytes"
	"encoding/binary"

	"spigate/netstack/frame"
)

// segment is a TCP segment, from its header on (RFC 9293 section 3.1). The
// bytes are only read.
type segment struct {
	b    []byte
	size int // of the header, with options
}

// Where the fields are, and what frame does not name.
const (
	atSeq    = 4
	atAck    = 8
	atSize   = 12
	atFlags  = 13
	atUrgent = 18
	leastTCP = 20

	flagAck = 1 << 4
	flagUrg = 1 << 5

	optionEnd  = 0
	optionNone = 1
	optionSACK = 5
)

// parseSegment is not ok for a segment whose header is cut or lies.
func parseSegment(b []byte) (segment, bool) {
	if len(b) < leastTCP {
		return segment{}, false
	}
	size := int(b[atSize]>>4) * 4
	return segment{b, size}, size >= leastTCP && size <= len(b)
}

func (s segment) payload() []byte     { return s.b[s.size:] }
func (s segment) has(flags byte) bool { return s.b[atFlags]&flags != 0 }
func (s segment) seq() uint32         { return binary.BigEndian.Uint32(s.b[atSeq:]) }
func (s segment) ack() uint32         { return binary.BigEndian.Uint32(s.b[atAck:]) }
func (s segment) urgent() uint16      { return binary.BigEndian.Uint16(s.b[atUrgent:]) }

// first returns the number of the payload's first byte: SYN has one of its own.
func (s segment) first() uint32 {
	if s.has(frame.TCPSyn) {
		return s.seq() + 1
	}
	return s.seq()
}

// acknowledge returns s with its acknowledgement numbers as the inside counts,
// selective ones too (RFC 2018), or nil if they are the same.
func (s segment) acknowledge(st *stream) []byte {
	out := bytes.Clone(s.b)
	binary.BigEndian.PutUint32(out[atAck:], st.inward(s.ack(), false))
	sackOption(out[leastTCP:s.size], func(blocks []byte) bool {
		for ; len(blocks) >= 8; blocks = blocks[8:] {
			left := st.inward(binary.BigEndian.Uint32(blocks), true)
			right := st.inward(binary.BigEndian.Uint32(blocks[4:]), false)
			if !before(left, right) {
				return false // it lay within a new text
			}
			binary.BigEndian.PutUint32(blocks, left)
			binary.BigEndian.PutUint32(blocks[4:], right)
		}
		return true
	})
	if bytes.Equal(out, s.b) {
		return nil
	}
	return out
}

// sackOption calls change with the blocks of the option SACK, to be changed in
// place. The option makes room for no-operations if change returns false: to
// know less of what has arrived costs a repetition at most.
func sackOption(options []byte, change func(blocks []byte) bool) {
	for len(options) > 0 {
		switch options[0] {
		case optionEnd:
			return
		case optionNone:
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return
		}
		n := int(options[1])
		if options[0] == optionSACK && !change(options[2:n]) {
			for i := range n {
				options[i] = optionNone
			}
		}
		options = options[n:]
	}
}
