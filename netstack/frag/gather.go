package frag

import (
	"cmp"
	"slices"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Gather collects the datagram that p is the first piece of, in place of
// Decide: it has to be judged as a whole. Pieces that came before are in it
// already; the result is Kept, Joined or Dropped, as it will be of each further
// piece that Piece is asked about.
//
// Sent in again at dg.In, the joined packet passes as one that never was cut.
// inside is the subscriber whom it is from or for.
func (t *Table) Gather(dg Datagram, inside frame.Addr, p *frame.Packet, now int64) Result {
	sh := t.shardOf(dg.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := sh.find(dg.Key, now)
	if d != nil && d.state == gathering {
		return sh.gather(d, p, now)
	}
	if d != nil && d.state == decided {
		if why := d.contradicted(now); why != drop.None {
			return droppedFor(why)
		}
	}
	d, pieces := sh.turn(d, dg, gathering, accountOf(dg.Key, inside), now)
	res := sh.gather(d, p, now)
	for _, b := range pieces { // the first piece wins over what came before it
		why := drop.FragmentDuplicate // all is here already
		if res.Verdict == Dropped {
			why = res.Reason
		} else if sh.index[dg.Key] != d {
			why = drop.FragmentOverflow // pushed out, with the first piece
		} else if res.Verdict == Kept {
			var q frame.Packet
			q.Parse(b)
			next := sh.gather(d, &q, now)
			if why = next.Reason; next.Verdict == Joined {
				res = next
			}
		}
		if why != drop.None {
			sh.drops.Count(why, b, now)
		}
	}
	return res
}

// gather adds a piece, and joins all if it was the last.
func (sh *shard) gather(d *datagram, p *frame.Packet, now int64) Result {
	if why := sh.hold(d, p, now); why != drop.None {
		return droppedFor(why)
	}
	d.cut = max(d.cut, len(p.Bytes()))
	if !d.seen.complete() {
		return Result{Verdict: Kept}
	}
	whole, cut := join(d), d.cut
	d, _ = sh.turn(d, d.Datagram, joined, d.owner.name, now)
	d.cut = cut
	return Result{Verdict: Joined, Whole: whole}
}

// join puts a complete datagram together, behind the header of its first piece.
func join(d *datagram) []byte {
	type part struct {
		at int
		b  []byte
	}
	parts := make([]part, 0, len(d.pieces))
	var p frame.Packet
	var whole []byte
	for _, b := range d.pieces {
		p.Parse(b)
		parts = append(parts, part{p.FragmentOffset(), p.Transport()})
		if p.FragmentOffset() == 0 {
			whole = make([]byte, p.HeaderLength(), p.HeaderLength()+d.seen.end)
			copy(whole, b)
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.at, b.at) })
	for _, part := range parts {
		whole = append(whole, part.b...)
	}
	frame.SetFragment(whole, 0, false)
	return whole
}

// Cut returns the length in bytes of the longest piece that a joined datagram
// came in, or 0 if k names none, and forgets it. Split cuts it so again: a host
// that sends short pieces may know that the way is narrow.
func (t *Table) Cut(k Key, now int64) int {
	sh := t.shardOf(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := sh.find(k, now)
	if d == nil || d.state != joined {
		return 0
	}
	cut := d.cut
	sh.bury(d, drop.None, now)
	return cut
}

// Remember makes Cut(k) return cut: for an inbound datagram, whose key is
// another one where it leaves: with the subscriber as its destination.
func (t *Table) Remember(k Key, cut int, now int64) {
	sh := t.shardOf(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if d := sh.find(k, now); d == nil || d.state == joined {
		d, _ = sh.turn(d, Datagram{Key: k}, joined, accountOf(k, k.Dst), now)
		d.cut = cut
	}
}

// Split cuts a whole packet into pieces of at most size bytes, all with its
// id. A packet that fits is returned as it is, and so is one with IP options,
// of which not all may be copied (RFC 791): the stack knows how.
func Split(p *frame.Packet, size int) [][]byte {
	b, hlen := p.Bytes(), p.HeaderLength()
	chunk := (size - hlen) &^ 7
	if len(b) <= size || chunk <= 0 || hlen != 20 || p.Fragment {
		return [][]byte{b}
	}
	body := p.Transport()
	var out [][]byte
	for at := 0; at < len(body); at += chunk {
		end := min(at+chunk, len(body))
		piece := append(slices.Clone(b[:hlen]), body[at:end]...)
		frame.SetFragment(piece, at, end < len(body))
		out = append(out, piece)
	}
	return out
}
