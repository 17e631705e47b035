package frag

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Verdict is what Piece says of a fragment.
type Verdict uint8

// A fragment's verdicts.
const (
	Follow  Verdict = iota // its datagram is decided: Carry will translate it
	First                  // the caller decides about Result.Datagram
	Kept                   // a copy waits for the others
	Joined                 // Result.Whole is the datagram, complete
	Dropped                // for Result.Reason
)

// Result is what Piece or Gather found.
type Result struct {
	Verdict  Verdict
	Reason   drop.Reason // Dropped
	Datagram Datagram    // First: to be handed to Decide, Refuse or Gather
	Whole    []byte      // Joined: an IPv4 packet without DF, owned by the caller
	Tag      any         // Follow: the datagram's Translation.Tag
}

func droppedFor(why drop.Reason) Result { return Result{Verdict: Dropped, Reason: why} }

// Translation is what happens to every piece of a datagram.
type Translation struct {
	Addr frame.Addr // In2Out: the new source; Out2In: the new destination
	Port uint16     // for the first piece: port, or ICMP identifier; host byte order
	Tag  any        // the caller's: Piece returns it for the datagram's other pieces
	id   uint16     // In2Out
}

// Piece looks at a fragment as it came in, before anything was rewritten in
// it; p.Fragment must be set and k be KeyOf it. Of a first fragment p has the
// transport fields afterwards (frame.Packet.OpenFirst). Bytes are copied where
// they are kept.
func (t *Table) Piece(k Key, p *frame.Packet, now int64) Result {
	if malformed(p) {
		return droppedFor(drop.FragmentMalformed)
	}
	dg := Datagram{Key: k}
	if p.FragmentOffset() == 0 {
		if why := p.OpenFirst(); why != drop.None {
			return droppedFor(why)
		}
		copy(dg.head[:], p.Transport()) // of protocols that we do not know it may be shorter
	}
	sh := t.shardOf(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := sh.find(k, now)
	if d != nil && d.state == gathering {
		return sh.gather(d, p, now)
	}
	if p.FragmentOffset() == 0 {
		return first(d, dg, now)
	}
	return sh.follow(d, dg, p, now)
}

// first judges a piece with the transport header.
func first(d *datagram, dg Datagram, now int64) Result {
	if d != nil && d.state == decided {
		if d.head == dg.head {
			return Result{Verdict: Follow, Tag: d.to.Tag}
		}
		if why := d.contradicted(now); why != drop.None {
			return droppedFor(why)
		}
	}
	return Result{Verdict: First, Datagram: dg}
}

// contradicted judges another first piece with the same id: it does not count,
// unless it comes so late that the sender may be using the id again.
func (d *datagram) contradicted(now int64) drop.Reason {
	if now-d.born > int64(Hold) {
		return drop.None
	}
	return drop.FragmentMalformed
}

// follow judges any other piece.
func (sh *shard) follow(d *datagram, dg Datagram, p *frame.Packet, now int64) Result {
	name := accountOf(dg.Key, frame.Addr{})
	switch {
	case d == nil:
		d = sh.begin(dg, waiting, name, now)
	case d.state == joined: // another datagram with the same id
		d, _ = sh.turn(d, dg, waiting, name, now)
	case d.state == decided:
		return Result{Verdict: Follow, Tag: d.to.Tag}
	case d.state == refused:
		return droppedFor(d.reason)
	}
	if why := sh.hold(d, p, now); why != drop.None {
		return droppedFor(why)
	}
	return Result{Verdict: Kept}
}

// Decide lets a datagram pass, translated so, and returns copies of the pieces
// that came before its first one. They are to be sent in again at dg.In, behind
// the first. If another goroutine has just decided about the same datagram,
// its decision stands.
//
// A reason means that the first piece has to be dropped too: it contradicts
// one that was decided about meanwhile, or no IPv4 id is free.
func (t *Table) Decide(dg Datagram, to Translation, now int64) ([][]byte, drop.Reason) {
	name := accountOf(dg.Key, to.Addr)
	sh := t.shardOf(dg.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := sh.find(dg.Key, now)
	switch {
	case d == nil:
	case d.state == gathering:
		return nil, drop.FragmentDuplicate
	case d.state == decided && d.head == dg.head:
		return nil, drop.None
	case d.state == decided:
		if why := d.contradicted(now); why != drop.None {
			return nil, why
		}
	}
	if dg.Side == In2Out {
		var ok bool
		if to.id, ok = t.NextID(to.Addr, dg.Dst, dg.Proto, dg.Src, now); !ok {
			sh.refuse(d, dg, drop.FragmentOverflow, now)
			return nil, drop.FragmentOverflow
		}
	}
	d, pieces := sh.turn(d, dg, decided, name, now)
	d.to = to
	return pieces, drop.None
}

// Refuse lets a datagram die for why: the pieces that are here, and those that
// come. The caller drops the first piece itself.
func (t *Table) Refuse(dg Datagram, why drop.Reason, now int64) {
	sh := t.shardOf(dg.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if d := sh.find(dg.Key, now); d == nil || d.state != decided && d.state != gathering {
		sh.refuse(d, dg, why, now)
	}
}

func (sh *shard) refuse(d *datagram, dg Datagram, why drop.Reason, now int64) {
	d, pieces := sh.turn(d, dg, refused, accountOf(dg.Key, frame.Addr{}), now)
	d.reason = why
	for _, b := range pieces {
		sh.drops.Count(why, b, now)
	}
}

// Carry translates a piece of a datagram that was decided about; k is the key
// that Piece was asked with. On drop.None the addresses, of a first piece the
// ports and transport checksum, and outbound the id are rewritten. Otherwise p
// is as it was, and must not leave: its datagram is gone, or its bytes have
// passed before.
func (t *Table) Carry(k Key, p *frame.Packet, now int64) drop.Reason {
	if p.FragmentOffset() == 0 {
		if why := p.OpenFirst(); why != drop.None {
			return why
		}
	}
	sh := t.shardOf(k)
	sh.mu.Lock()
	to, why := sh.pass(k, p, now)
	sh.mu.Unlock()
	if why != drop.None {
		return why
	}
	if k.Side == In2Out {
		p.SetSource(to.Addr, to.Port)
		p.SetID(to.id)
	} else {
		p.SetDestination(to.Addr, to.Port)
	}
	return drop.None
}

// pass marks a piece as passed. The datagram is done when all have.
func (sh *shard) pass(k Key, p *frame.Packet, now int64) (Translation, drop.Reason) {
	d := sh.index[k]
	switch {
	case d == nil || d.state != decided:
		return Translation{}, drop.FragmentOverflow // pushed out
	case d.expired(now):
		sh.bury(d, drop.FragmentTimeout, now)
		return Translation{}, drop.FragmentTimeout
	}
	if why := d.seen.take(p); why != drop.None {
		return Translation{}, why
	}
	to := d.to
	if d.seen.complete() {
		sh.bury(d, drop.None, now)
	}
	return to, drop.None
}
