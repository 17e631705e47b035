package frag

import "slices"

// pool bounds the datagrams of one kind in one shard. The kinds are apart, so
// that pieces about which nothing is known cannot push out those that are
// decided, nor either of them an IKE message that is almost complete.
type pool struct {
	perOwner  int // datagrams
	datagrams int
	bytes     int // of held pieces
	owners    map[account]*owner
	list      []*owner
	n, held   int
}

// owner is one account in one pool.
type owner struct {
	name  account
	pool  *pool
	at    int         // in pool.list
	own   []*datagram // oldest first
	bytes int
}

// The bounds of R29, shared out among the shards: 4096 datagrams, 2 MB that
// wait and 4 MB that are gathered.
const (
	shardsPerSide = 4
	shards        = 2 * shardsPerSide

	maxPieces      = 2 * maxSpans // held of one datagram: they are let go together
	perOwner       = 64
	gathersOfOwner = 16
	maxWaiting     = 1536 / shards
	maxDecided     = 2048 / shards
	maxGathers     = 512 / shards
	maxWaitBytes   = 2 << 20 / shards
	maxGatherBytes = 4 << 20 / shards
)

// poolOf returns the pool for datagrams in a state.
func (sh *shard) poolOf(s state) *pool {
	switch s {
	case waiting, refused:
		return &sh.waiting
	case gathering:
		return &sh.gathering
	}
	return &sh.decided
}

// adopt charges d to an account of the pool that its state belongs to. Where
// that has no room, room is made.
func (sh *shard) adopt(d *datagram, name account, now int64) {
	pl := sh.poolOf(d.state)
	o := pl.owners[name]
	if o != nil && len(o.own) >= pl.perOwner {
		sh.lose(o.own[0], now)
	} else if pl.n >= pl.datagrams {
		sh.lose(pl.victim(), now)
	}
	if o = pl.owners[name]; o == nil { // also where it has just lost its last one
		o = sh.newOwner()
		o.name, o.pool, o.at = name, pl, len(pl.list)
		pl.list = append(pl.list, o)
		pl.owners[name] = o
	}
	o.own = append(o.own, d)
	d.owner = o
	pl.n++
}

// disown is the opposite of adopt. d must hold no bytes.
func (sh *shard) disown(d *datagram) {
	o := d.owner
	pl := o.pool
	d.owner = nil
	pl.n--
	i := slices.Index(o.own, d)
	o.own = slices.Delete(o.own, i, i+1)
	if len(o.own) > 0 {
		return
	}
	last := pl.list[len(pl.list)-1]
	pl.list[o.at], last.at = last, o.at
	pl.list = pl.list[:len(pl.list)-1]
	delete(pl.owners, o.name)
	sh.spareOwners = append(sh.spareOwners, o)
}

// victim is the oldest datagram of the owner with most of them; of several
// such the one with the oldest.
func (pl *pool) victim() *datagram {
	v := pl.list[0]
	for _, o := range pl.list[1:] {
		if len(o.own) > len(v.own) || len(o.own) == len(v.own) && o.own[0].born < v.own[0].born {
			v = o
		}
	}
	return v.own[0]
}

// heaviest is the oldest datagram of the owner that holds most bytes.
func (pl *pool) heaviest() *datagram {
	v := pl.list[0]
	for _, o := range pl.list[1:] {
		if o.bytes > v.bytes {
			v = o
		}
	}
	for _, d := range v.own {
		if d.bytes > 0 {
			return d
		}
	}
	return nil
}

// room makes room for n more bytes of d and reports whether d still lives.
func (sh *shard) room(d *datagram, n int, now int64) bool {
	pl := d.owner.pool
	for pl.held+n > pl.bytes {
		v := pl.heaviest()
		if v == nil {
			v = d
		}
		sh.lose(v, now)
		if v == d {
			return false
		}
	}
	return true
}

// charge adds n to the bytes that d holds; n may be negative.
func (d *datagram) charge(n int) {
	d.bytes += n
	d.owner.bytes += n
	d.owner.pool.held += n
}

func (sh *shard) newOwner() *owner {
	n := len(sh.spareOwners)
	if n == 0 {
		return &owner{}
	}
	o := sh.spareOwners[n-1]
	sh.spareOwners = sh.spareOwners[:n-1]
	return o
}
