package ike

import "encoding/binary"

const headerLen = 28

// Flags of the header (RFC 7296 section 3.1).
const (
	flagInitiator = 0x08
	flagResponse  = 0x20
)

// header is the IKE header. SPIs are in host byte order.
type header struct {
	spiI, spiR uint64
	next       uint8
	version    uint8 // major in the upper four bits
	exchange   exchange
	flags      uint8
	id         uint32 // message id
	length     uint32 // of the whole message, octets
}

const version2 = 0x20

func (h *header) response() bool  { return h.flags&flagResponse != 0 }
func (h *header) initiator() bool { return h.flags&flagInitiator != 0 }
func (h *header) major() uint8    { return h.version >> 4 }

// parseHeader reads the header and checks that the length field is the
// datagram's: a message that is longer or shorter than it says is forged or
// cut. Versions other than 2 are returned for the caller to refuse.
func parseHeader(b []byte) (header, bool) {
	if len(b) < headerLen || len(b) > maxMessage {
		return header{}, false
	}
	h := header{
		spiI: binary.BigEndian.Uint64(b), spiR: binary.BigEndian.Uint64(b[8:]),
		next: b[16], version: b[17], exchange: exchange(b[18]), flags: b[19],
		id: binary.BigEndian.Uint32(b[20:]), length: binary.BigEndian.Uint32(b[24:]),
	}
	return h, h.length == uint32(len(b)) && h.spiI != 0
}

// appendTo writes the header with the length given in it.
func (h *header) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, h.spiI)
	b = binary.BigEndian.AppendUint64(b, h.spiR)
	b = append(b, h.next, h.version, uint8(h.exchange), h.flags)
	b = binary.BigEndian.AppendUint32(b, h.id)
	return binary.BigEndian.AppendUint32(b, h.length)
}

// clearMessage writes a message whose payloads are not encrypted.
func clearMessage(h header, c chain) []byte {
	first, body := c.encode()
	h.next, h.version = first, version2
	h.length = uint32(headerLen + len(body))
	return append(h.appendTo(make([]byte, 0, h.length)), body...)
}
