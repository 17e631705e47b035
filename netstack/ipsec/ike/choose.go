package ike

import (
	"fmt"
	"slices"
	"strings"
)

// choice is a proposal of the peer that fits, and what it was narrowed to.
type choice struct {
	suite
	number uint8
	spi    []byte
}

// choose finds the first of the offered proposals that one of the configured
// ones accepts; within it the peer's order of algorithms counts. spiLen is
// what the SPI must have. groups is as for offer.
func choose(offered []proposal, ours []Proposal, protocol uint8, spiLen int, groups bool) (choice, bool) {
	for i := range offered {
		p := &offered[i]
		if p.protocol != protocol || len(p.spi) != spiLen || p.strange() {
			continue
		}
		for j := range ours {
			if s, ok := p.narrow(ours[j].options(protocol, groups), protocol, groups); ok {
				return choice{suite: s, number: p.number, spi: p.spi}, true
			}
		}
	}
	return choice{}, false
}

// strange reports a transform type that is not known: all types of a proposal
// must be understood, or the proposal is refused (RFC 7296 section 3.3.6).
func (p *proposal) strange() bool {
	return slices.ContainsFunc(p.options, func(o option) bool { return o.kind < transformCipher || o.kind > transformESN })
}

// narrow picks one transform of each type that both sides have. A type that
// one side does not name is NONE there, which is transform 0.
func (p *proposal) narrow(ours []option, protocol uint8, groups bool) (suite, bool) {
	var s suite
	for kind := uint8(transformCipher); kind <= transformESN; kind++ {
		if kind == transformGroup && !groups || kind == transformESN && protocol == protocolIKE || kind == transformPRF && protocol == protocolESP {
			continue
		}
		o, ok := pick(of(p.options, kind), of(ours, kind))
		if !ok || !s.set(o) {
			return s, false
		}
	}
	return s, s.cipher.AEAD() == (s.integrity == NoIntegrity)
}

func of(list []option, kind uint8) []option {
	var out []option
	for _, o := range list {
		if o.kind == kind {
			out = append(out, o)
		}
	}
	if out == nil && (kind == transformIntegrity || kind == transformGroup) {
		out = []option{{kind: kind}}
	}
	return out
}

func pick(theirs, ours []option) (option, bool) {
	for _, o := range theirs {
		if !o.odd && slices.Contains(ours, o) {
			return o, true
		}
	}
	return option{}, false
}

// set takes a transform into the suite; false for an algorithm that is not known.
func (s *suite) set(o option) bool {
	switch o.kind {
	case transformCipher:
		for c := AESGCM128; c <= NullCipher; c++ {
			if id, bits := c.id(); id == o.id && bits == o.bits {
				s.cipher = c
				return true
			}
		}
		return false
	case transformPRF:
		s.prf = PRF(o.id)
		return s.prf.known()
	case transformIntegrity:
		s.integrity = Integrity(o.id)
		return o.id == 0 || s.integrity.known()
	case transformGroup:
		s.group = Group(o.id)
		return o.id == 0 || s.group.known()
	case transformESN:
		s.esn = o.id == 1
	}
	return true
}

// answer writes the chosen proposal for the response's SA payload.
func (c *choice) answer(protocol uint8, spi []byte) []byte {
	p := Proposal{Ciphers: []Cipher{c.cipher}}
	if c.integrity != NoIntegrity {
		p.Integrity = []Integrity{c.integrity}
	}
	if c.prf != 0 {
		p.PRFs = []PRF{c.prf}
	}
	if c.group != NoGroup {
		p.Groups = []Group{c.group}
	}
	o := p.options(protocol, true)
	if protocol == protocolESP && c.esn {
		o[len(o)-1].id = 1
	}
	return encodeSA([]proposal{{number: c.number, protocol: protocol, spi: spi, options: o}})
}

// describe lists what a peer offers in the words of the configuration, for a
// message that names the remedy. Unknown algorithms stand with their numbers.
func describe(list []proposal) string {
	var out []string
	for i := range list {
		var words []string
		for _, kind := range []uint8{transformCipher, transformIntegrity, transformPRF, transformGroup} {
			if w := wordsOf(list[i].options, kind); w != "" {
				words = append(words, w)
			}
		}
		out = append(out, strings.Join(words, "-"))
		if i == 7 && len(list) > 8 {
			return strings.Join(append(out, fmt.Sprintf("and %d more", len(list)-8)), ", ")
		}
	}
	return strings.Join(out, ", ")
}

func wordsOf(list []option, kind uint8) string {
	var out []string
	for _, o := range list {
		if o.kind == kind && (o.id != 0 || kind == transformCipher) {
			out = append(out, o.word())
		}
	}
	return strings.Join(out, "/")
}

func (o option) word() string {
	var s suite
	ok := s.set(o)
	switch o.kind {
	case transformPRF:
		return s.prf.String()
	case transformIntegrity:
		return s.integrity.String()
	case transformGroup:
		return s.group.String()
	}
	if ok {
		return s.cipher.String()
	}
	return fmt.Sprintf("cipher(%d/%d)", o.id, o.bits)
}
