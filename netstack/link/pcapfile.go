package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Numbers of the classic pcap file format. See
// draft-ietf-opsawg-pcap, section 4 and 5.
const (
	pcapMicro       = 0xa1b2c3d4
	pcapNano        = 0xa1b23c4d
	pcapHeaderLen   = 24
	pcapRecordLen   = 16
	pcapEthernet    = 1
	pcapMaxRecord   = 256 << 10 // the greatest snapshot length of libpcap
	pcapMajor       = 2
	pcapMinor       = 4
	nanosPerSecond  = 1e9
	nanosPerMicro   = 1000
	pcapNGSectionID = 0x0a0d0d0a
)

// PcapRecord is one captured frame.
type PcapRecord struct {
	At   int64  // nanoseconds since 1970
	Data []byte // from the destination MAC address on, tags in place
	Full int    // the frame's length on the wire; more than len(Data) if the capture cut it
}

// PcapReader reads a capture file of Ethernet frames, in either byte order,
// with times in microseconds or nanoseconds. The newer pcapng is refused by
// name.
type PcapReader struct {
	r     io.Reader
	order binary.ByteOrder
	scale int64 // nanoseconds in one unit of the fraction
	at    int64 // offset of the next byte
}

// NewPcapReader reads the file's header. Every error of the reader names the
// offset in bytes at which the file is wrong.
func NewPcapReader(r io.Reader) (*PcapReader, error) {
	p := &PcapReader{r: r}
	var h [pcapHeaderLen]byte
	if err := p.fill(h[:], "file header"); err != nil {
		return nil, err
	}
	switch le := binary.LittleEndian.Uint32(h[:]); {
	case p.magic(binary.LittleEndian, le), p.magic(binary.BigEndian, binary.BigEndian.Uint32(h[:])):
	case le == pcapNGSectionID:
		return nil, errors.New("pcap: offset 0: this is a pcapng file; convert it to the classic format")
	default:
		return nil, fmt.Errorf("pcap: offset 0: %#08x is not the start of a capture file", le)
	}
	if v := p.order.Uint16(h[4:]); v != pcapMajor {
		return nil, fmt.Errorf("pcap: offset 4: version %d is not supported", v)
	}
	if t := p.order.Uint32(h[20:]); t != pcapEthernet {
		return nil, fmt.Errorf("pcap: offset 20: link type %d is not Ethernet (%d)", t, pcapEthernet)
	}
	return p, nil
}

// magic takes order and scale from the file's first word, if it is one of ours.
func (p *PcapReader) magic(order binary.ByteOrder, word uint32) bool {
	switch word {
	case pcapMicro:
		p.order, p.scale = order, nanosPerMicro
	case pcapNano:
		p.order, p.scale = order, 1
	default:
		return false
	}
	return true
}

// Next returns the next frame, in fresh memory, or io.EOF at the end.
func (p *PcapReader) Next() (PcapRecord, error) {
	start := p.at
	var h [pcapRecordLen]byte
	if err := p.fill(h[:], "record header"); err != nil {
		if p.at == start && errors.Is(err, io.ErrUnexpectedEOF) {
			return PcapRecord{}, io.EOF
		}
		return PcapRecord{}, err
	}
	n, full := p.order.Uint32(h[8:]), p.order.Uint32(h[12:])
	if n > pcapMaxRecord {
		return PcapRecord{}, fmt.Errorf("pcap: offset %d: record of %d bytes, more than %d", start, n, pcapMaxRecord)
	}
	if full > pcapMaxRecord || full < n {
		return PcapRecord{}, fmt.Errorf("pcap: offset %d: %d bytes of a frame of %d bytes cannot be", start, n, full)
	}
	fraction := int64(p.order.Uint32(h[4:])) * p.scale
	if fraction >= nanosPerSecond {
		return PcapRecord{}, fmt.Errorf("pcap: offset %d: fraction of a second of %d ns", start+4, fraction)
	}
	rec := PcapRecord{
		At:   int64(p.order.Uint32(h[:]))*nanosPerSecond + fraction,
		Data: make([]byte, n),
		Full: int(full),
	}
	if err := p.fill(rec.Data, "record"); err != nil {
		return PcapRecord{}, err
	}
	return rec, nil
}

// fill reads all of b. A file that ends before is io.ErrUnexpectedEOF.
func (p *PcapReader) fill(b []byte, what string) error {
	n, err := io.ReadFull(p.r, b)
	start := p.at
	p.at += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("pcap: offset %d: %s: %d of %d bytes: %w", start, what, n, len(b), err)
	}
	return nil
}

// PcapWriter writes a capture file of Ethernet frames with nanoseconds, in
// little-endian order on every machine.
type PcapWriter struct {
	w   io.Writer
	buf []byte
}

// NewPcapWriter writes the file's header.
func NewPcapWriter(w io.Writer) (*PcapWriter, error) {
	h := make([]byte, pcapHeaderLen)
	binary.LittleEndian.PutUint32(h, pcapNano)
	binary.LittleEndian.PutUint16(h[4:], pcapMajor)
	binary.LittleEndian.PutUint16(h[6:], pcapMinor)
	binary.LittleEndian.PutUint32(h[16:], pcapMaxRecord)
	binary.LittleEndian.PutUint32(h[20:], pcapEthernet)
	if _, err := w.Write(h); err != nil {
		return nil, fmt.Errorf("pcap: write header: %w", err)
	}
	return &PcapWriter{w: w}, nil
}

// Write appends one frame, tags in place, with one call of the underlying
// writer. at is in nanoseconds since 1970, and not before.
func (p *PcapWriter) Write(at int64, data []byte) error { return p.WriteCut(at, data, len(data)) }

// WriteCut is Write for the beginning of a frame that had full bytes.
func (p *PcapWriter) WriteCut(at int64, data []byte, full int) error {
	if len(data) > pcapMaxRecord {
		return fmt.Errorf("pcap: a frame of %d bytes is longer than %d", len(data), pcapMaxRecord)
	}
	at = max(at, 0)
	p.buf = binary.LittleEndian.AppendUint32(p.buf[:0], uint32(at/nanosPerSecond))
	p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(at%nanosPerSecond))
	p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(len(data)))
	p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(full))
	p.buf = append(p.buf, data...)
	if _, err := p.w.Write(p.buf); err != nil {
		return fmt.Errorf("pcap: write record: %w", err)
	}
	return nil
}
