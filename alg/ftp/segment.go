package ftp

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// segment is a TCP segment, from its header on. The bytes are only read.
type segment struct {
	header.TCP
	size int // of the header, with options
}

// parseSegment is not ok for a segment whose header is cut or lies.
func parseSegment(b []byte) (segment, bool) {
	if len(b) < header.TCPMinimumSize {
		return segment{}, false
	}
	size := int(header.TCP(b).DataOffset())
	return segment{b, size}, size >= header.TCPMinimumSize && size <= len(b)
}

func (s segment) payload() []byte { return s.TCP[s.size:] }

func (s segment) has(f header.TCPFlags) bool { return s.Flags()&f != 0 }

// first returns the number of the payload's first byte: SYN has one of its own.
func (s segment) first() uint32 {
	if s.has(header.TCPFlagSyn) {
		return s.SequenceNumber() + 1
	}
	return s.SequenceNumber()
}

// acknowledge returns s with its acknowledgement numbers as the inside counts,
// selective ones too (RFC 2018), or nil if they are the same.
func (s segment) acknowledge(st *stream) []byte {
	out := header.TCP(bytes.Clone(s.TCP))
	out.SetAckNumber(st.inward(s.AckNumber(), false))
	sackOption(out[header.TCPMinimumSize:s.size], func(blocks []byte) bool {
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
	if bytes.Equal(out, s.TCP) {
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
		case header.TCPOptionEOL:
			return
		case header.TCPOptionNOP:
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return
		}
		n := int(options[1])
		if options[0] == header.TCPOptionSACK && !change(options[2:n]) {
			for i := range n {
				options[i] = header.TCPOptionNOP
			}
		}
		options = options[n:]
	}
}
