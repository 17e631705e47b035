package ipsec

import "encoding/binary"

// headerLen is the length in bytes of an ISAKMP header (RFC 2408 section 3.1,
// RFC 7296 section 3.1).
const headerLen = 28

// Exchange types that the ALG tells apart (section 4.3).
const (
	exMainMode      = 2
	exAggressive    = 4
	exInformational = 5
	exQuickMode     = 32
	exSAInit        = 34
	exAuth          = 35
	exCreateChild   = 36
	exFollowupKE    = 44 // RFC 9370
)

const (
	payloadSK  = 46 // encrypted and authenticated
	payloadSKF = 53 // encrypted fragment, RFC 7383

	flagEncrypted = 0x01 // IKEv1
	flagResponse  = 0x20 // IKEv2
)

// header is what the ALG reads of an IKE message. Everything behind it is
// encrypted, but for the numbers of an RFC 7383 fragment.
type header struct {
	initiator, responder uint64 // SPIs, or cookies in IKEv1
	first                uint8  // first payload's type
	version              uint8  // major: 1 or 2
	exchange             uint8
	flags                uint8
	id                   uint32 // message id
	size                 int    // of the datagram, bytes
	fragment, fragments  uint16 // RFC 7383 number and total, 0 if not a fragment
}

// parseHeader reads an IKE datagram of port 500, or of port 4500 behind the
// marker. It reports false for what R42 calls malformed: less than a header,
// another major version, a length field outside the datagram, or an encrypted
// fragment whose numbers make no sense (RFC 7383 section 2.5).
func parseHeader(b []byte) (header, bool) {
	if len(b) < headerLen {
		return header{}, false
	}
	h := header{
		initiator: binary.BigEndian.Uint64(b),
		responder: binary.BigEndian.Uint64(b[8:]),
		first:     b[16],
		version:   b[17] >> 4,
		exchange:  b[18],
		flags:     b[19],
		id:        binary.BigEndian.Uint32(b[20:]),
		size:      len(b),
	}
	length := binary.BigEndian.Uint32(b[24:])
	if h.version != 1 && h.version != 2 || length < headerLen || length > uint32(len(b)) {
		return header{}, false
	}
	if h.initiator == 0 {
		return header{}, false // no session can be named by it
	}
	if h.version == 2 && h.first == payloadSKF {
		return h, h.parseFragment(b[headerLen:length])
	}
	return h, true
}

// parseFragment reads the fragment numbers behind the generic payload header.
func (h *header) parseFragment(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	h.fragment, h.fragments = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	return h.fragment != 0 && h.fragment <= h.fragments
}

// marked takes the four zero bytes off an IKE message of port 4500. What has
// no marker is ESP in UDP or a keepalive and none of our business (RFC 3948
// section 2, R50).
func marked(b []byte) ([]byte, bool) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != 0 {
		return nil, false
	}
	return b[4:], true
}
