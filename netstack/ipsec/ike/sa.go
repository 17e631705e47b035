package ike

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// option is a transform of a proposal (RFC 7296 section 3.3.2).
type option struct {
	kind uint8
	id   uint16
	bits uint16 // key length attribute, 0: none
	odd  bool   // has an attribute that is not known: not to be chosen
}

// proposal is a proposal as it stands in an SA payload.
type proposal struct {
	number   uint8
	protocol uint8
	spi      []byte
	options  []option
}

const attributeKeyLength = 0x8000 | 14

func encodeSA(list []proposal) []byte {
	var out []byte
	for i := range list {
		p := &list[i]
		body := []byte{p.number, p.protocol, uint8(len(p.spi)), uint8(len(p.options))}
		body = append(body, p.spi...)
		for j, o := range p.options {
			body = append(body, o.encode(j == len(p.options)-1)...)
		}
		more := uint8(2)
		if i == len(list)-1 {
			more = 0
		}
		out = append(out, more, 0)
		out = binary.BigEndian.AppendUint16(out, uint16(4+len(body)))
		out = append(out, body...)
	}
	return out
}

func (o option) encode(last bool) []byte {
	more, n := uint8(3), uint16(8)
	if last {
		more = 0
	}
	if o.bits != 0 {
		n = 12
	}
	b := binary.BigEndian.AppendUint16([]byte{more, 0}, n)
	b = binary.BigEndian.AppendUint16(append(b, o.kind, 0), o.id)
	if o.bits != 0 {
		b = binary.BigEndian.AppendUint16(b, attributeKeyLength)
		b = binary.BigEndian.AppendUint16(b, o.bits)
	}
	return b
}

// parseSA reads all proposals of an SA payload.
func parseSA(b []byte) ([]proposal, *fault) {
	var out []proposal
	for more := true; more; {
		if len(b) < 8 || len(out) == maxProposals {
			return nil, syntax("proposal %d cannot be read", len(out)+1)
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if b[0] != 0 && b[0] != 2 || n < 8 || n > len(b) {
			return nil, syntax("proposal %d says it has %d octets of %d", len(out)+1, n, len(b))
		}
		p, f := parseProposal(b[4:n])
		if f != nil {
			return nil, f
		}
		out = append(out, p)
		more, b = b[0] == 2, b[n:]
	}
	if len(b) != 0 {
		return nil, syntax("%d octets after the last proposal", len(b))
	}
	return out, nil
}

func parseProposal(b []byte) (proposal, *fault) {
	p := proposal{number: b[0], protocol: b[1]}
	spi, count := int(b[2]), int(b[3])
	b = b[4:]
	if spi > len(b) || count > maxOptions {
		return p, syntax("proposal %d has an SPI of %d octets and %d transforms", p.number, spi, count)
	}
	p.spi, b = b[:spi], b[spi:]
	for i := range count {
		if len(b) < 8 {
			return p, syntax("proposal %d lacks transforms", p.number)
		}
		more, n := b[0], int(binary.BigEndian.Uint16(b[2:]))
		if n < 8 || n > len(b) || (more == 3) == (i == count-1) || more != 0 && more != 3 {
			return p, syntax("transform %d of proposal %d cannot be read", i+1, p.number)
		}
		o := option{kind: b[4], id: binary.BigEndian.Uint16(b[6:])}
		if f := o.attributes(b[8:n]); f != nil {
			return p, f
		}
		p.options = append(p.options, o)
		b = b[n:]
	}
	if len(b) != 0 {
		return p, syntax("%d octets after proposal %d", len(b), p.number)
	}
	return p, nil
}

// attributes reads those of a transform (RFC 7296 section 3.3.5).
func (o *option) attributes(b []byte) *fault {
	for len(b) > 0 {
		if len(b) < 4 {
			return syntax("attribute of %d octets", len(b))
		}
		kind, value := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		b = b[4:]
		if kind == attributeKeyLength {
			o.bits = value
			continue
		}
		o.odd = true
		if kind&0x8000 == 0 { // its value is the length
			if int(value) > len(b) {
				return syntax("attribute of %d octets in %d", value, len(b))
			}
			b = b[value:]
		}
	}
	return nil
}

// Proposal is a set of algorithms that are configured, each list in order of
// preference. Ciphers with and without integrity of their own cannot stand in
// one proposal (RFC 7296 section 3.3).
type Proposal struct {
	Ciphers   []Cipher
	Integrity []Integrity // empty with AEAD ciphers
	PRFs      []PRF       // of an IKE SA
	Groups    []Group     // of a child: perfect forward secrecy; empty: none
	ESN       bool        // of a child: offer and take extended sequence numbers
}

// String lists the algorithms as configured, alternatives with a slash.
func (p Proposal) String() string {
	parts := []string{join(p.Ciphers)}
	for _, s := range []string{join(p.Integrity), join(p.PRFs), join(p.Groups)} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if p.ESN {
		parts = append(parts, "esn")
	}
	return strings.Join(parts, "-")
}

func join[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	return strings.Join(words, "/")
}

// options writes a configured proposal as transforms.
func (p *Proposal) options(protocol uint8, groups bool) []option {
	var out []option
	for _, c := range p.Ciphers {
		id, bits := c.id()
		out = append(out, option{kind: transformCipher, id: id, bits: bits})
	}
	for _, v := range p.PRFs {
		out = append(out, option{kind: transformPRF, id: uint16(v)})
	}
	for _, v := range p.Integrity {
		out = append(out, option{kind: transformIntegrity, id: uint16(v)})
	}
	for i := 0; groups && i < len(p.Groups); i++ {
		out = append(out, option{kind: transformGroup, id: uint16(p.Groups[i])})
	}
	if protocol == protocolESP {
		if p.ESN {
			out = append(out, option{kind: transformESN, id: 1})
		}
		out = append(out, option{kind: transformESN, id: 0})
	}
	return out
}

// offer writes the configured proposals for an SA payload. groups is false in
// IKE_AUTH, where a child has no key exchange of its own (RFC 7296 section 1.2).
func offer(list []Proposal, protocol uint8, spi []byte, groups bool) []proposal {
	out := make([]proposal, len(list))
	for i := range list {
		out[i] = proposal{number: uint8(i + 1), protocol: protocol, spi: spi, options: list[i].options(protocol, groups)}
	}
	return out
}
