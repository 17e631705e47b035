package ike

import "io"

// maxFragments bounds the pieces of one message, maxGathered the octets that
// wait for the rest of one (RFC 7383 section 2.6).
const (
	maxFragments = 64
	maxGathered  = maxMessage
)

// sealAll writes a message as one datagram, or as fragments if it is longer
// than limit octets and split is true.
func (p *protection) sealAll(h header, c chain, limit int, split bool, random io.Reader) ([][]byte, error) {
	first, inner := c.encode()
	if !split || len(inner)+p.overhead() <= limit {
		b, err := p.seal(h, first, inner, 0, 0, random)
		return [][]byte{b}, err
	}
	size := limit - p.overhead()
	total := (len(inner) + size - 1) / size
	var out [][]byte
	for i := range total {
		piece := inner[i*size : min(len(inner), (i+1)*size)]
		b, err := p.seal(h, first, piece, uint16(i+1), uint16(total), random)
		if err != nil {
			return nil, err
		}
		out, first = append(out, b), payloadNone
	}
	return out, nil
}

// gathering puts the fragments of one message together. There is one for
// requests and one for responses of an IKE SA: with a window of one, more
// than one message cannot be under way. Pieces are decrypted before they are
// kept, so that nobody else can fill it.
type gathering struct {
	id     uint32
	total  uint16
	have   uint16
	octets int
	first  uint8
	pieces [][]byte
}

// add keeps a piece. It returns the whole message's first payload type and
// inner payloads with the last one. A message that is cut anew into more
// pieces begins again (RFC 7383 section 2.6.1); pieces of fewer are old ones.
func (g *gathering) add(id uint32, o opened) (first uint8, inner []byte, done bool) {
	if o.total > maxFragments {
		return 0, nil, false
	}
	if g.pieces == nil || g.id != id || o.total > g.total {
		g.drop()
		*g = gathering{id: id, total: o.total, pieces: make([][]byte, o.total)}
	}
	if o.total != g.total || g.pieces[o.number-1] != nil || g.octets+len(o.inner) > maxGathered {
		return 0, nil, false
	}
	if o.number == 1 {
		g.first = o.first
	}
	g.pieces[o.number-1] = append([]byte{}, o.inner...)
	g.have++
	g.octets += len(o.inner)
	if g.have < g.total {
		return 0, nil, false
	}
	for _, p := range g.pieces {
		inner = append(inner, p...)
	}
	first = g.first
	g.drop()
	return first, inner, true
}

// drop forgets and overwrites what was gathered.
func (g *gathering) drop() {
	for _, p := range g.pieces {
		clear(p)
	}
	*g = gathering{}
}
