package golden

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxFrame bounds one record, so that a broken length cannot take all memory.
const maxFrame = 1 << 18

// reader reads the classic pcap format with microseconds, written by a little
// endian machine: all that the recordings need.
type reader struct {
	r io.Reader
}

func newReader(r io.Reader) (*reader, error) {
	var h [24]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, fmt.Errorf("pcap header: %w", err)
	}
	if m := binary.LittleEndian.Uint32(h[:]); m != 0xa1b2c3d4 {
		return nil, fmt.Errorf("pcap header: magic %08x is not supported", m)
	}
	if l := binary.LittleEndian.Uint32(h[20:]); l != 1 {
		return nil, fmt.Errorf("pcap header: link type %d is not Ethernet", l)
	}
	return &reader{r}, nil
}

// next returns one frame and its time; io.EOF at the end of the file.
func (r *reader) next() ([]byte, time.Duration, error) {
	var h [16]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, 0, io.EOF
		}
		return nil, 0, fmt.Errorf("pcap record: %w", err)
	}
	n := binary.LittleEndian.Uint32(h[8:])
	if n > maxFrame {
		return nil, 0, fmt.Errorf("pcap record: length %d exceeds %d", n, maxFrame)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.r, b); err != nil {
		return nil, 0, fmt.Errorf("pcap record: %w", err)
	}
	at := time.Duration(binary.LittleEndian.Uint32(h[:]))*time.Second +
		time.Duration(binary.LittleEndian.Uint32(h[4:]))*time.Microsecond
	return b, at, nil
}
