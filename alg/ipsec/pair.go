package ipsec

import (
	"sync"
	"sync/atomic"

	"spigate/netstack/frame"
)

// pairKey is the scope of a lock: inbound ESP shows nothing else (R53).
type pairKey struct{ NAT, Server frame.Addr }

// spiKey names an SPI in packets between a server and a NAT address (R62). The
// NAT address is part of it, or N1's packet could reach N2's client.
type spiKey struct {
	NAT, Server frame.Addr
	SPI         uint32
}

// pair is everything between one NAT address and one server.
type pair struct {
	key     pairKey
	lock    lock
	gate    gates
	queue   holdQueue
	clients map[frame.Addr]*client
	tokens  map[*ikeSession]bool // those that may bind late (R66); nil until there are some
	row     int32
}

// shard holds the pairs whose key hashes to it, so that lock, queue and the
// table of inbound SPIs never need a second shard (R73).
type shard struct {
	index uint64

	mu       sync.Mutex // guards everything below, and what hangs on it
	pairs    map[pairKey]*pair
	busy     agenda[*pair]          // with a lock, a gate or a waiter
	ikes     agenda[*ikeSession]    // all
	esps     agenda[*espSession]    // all
	inbound  map[spiKey]*espSession // (NAT, server, spiIn)
	outbound map[spiKey]*espSession // (NAT, server, spiOut): its owners, linked (R74)
	byID     map[uint64]*espSession
	cookies  cookies // (NAT, server, initiator SPI): the IKE sessions (N40)
	stones   tombstones
	lastID   uint64
	swept    int64      // when all sessions that were over had been ended
	tallies  []Counters // by the profile's number

	wake atomic.Int64 // when tick has something to do, as of the last step
}

func (sh *shard) init(index int, stones int) {
	sh.index = uint64(index)
	sh.pairs = make(map[pairKey]*pair)
	sh.inbound = make(map[spiKey]*espSession)
	sh.outbound = make(map[spiKey]*espSession)
	sh.byID = make(map[uint64]*espSession)
	sh.cookies = make(cookies)
	sh.stones.init(stones)
	sh.swept = never
	sh.wake.Store(farFuture)
}

// farFuture is a time after all others.
const farFuture = 1 << 62

// newID returns an id whose low bits name the shard.
func (sh *shard) newID() uint64 {
	sh.lastID++
	return sh.lastID*shardCount + sh.index
}

// pair returns the pair of a key, or nil.
func (sh *shard) pair(nat, server frame.Addr) *pair { return sh.pairs[pairKey{nat, server}] }

// client returns the subscriber's record on the pair, or nil.
func (p *pair) client(inside frame.Addr) *client {
	if p == nil {
		return nil
	}
	return p.clients[inside]
}

// ensure returns the pair and the client's record on it, made where missing.
func (sh *shard) ensure(nat, server, inside frame.Addr) (*pair, *client) {
	k := pairKey{nat, server}
	p := sh.pairs[k]
	if p == nil {
		p = &pair{key: k, clients: make(map[frame.Addr]*client)}
		sh.pairs[k] = p
	}
	c := p.clients[inside]
	if c == nil {
		c = &client{inside: inside, pair: p, lastOut: never}
		p.clients[inside] = c
	}
	return p, c
}

// settle ends a step on p: records without content go, and a pair with
// something to wait for is known to have deadlines.
func (st *step) settle(p *pair) {
	if p == nil {
		return
	}
	if p.lock.state != Free || p.gate.open || len(p.queue.messages) > 0 {
		st.sh.busy.put(p)
		return
	}
	st.sh.busy.remove(p)
	if len(p.clients) == 0 {
		delete(st.sh.pairs, p.key)
	}
}

// forget drops the client's record once nothing refers to it.
func (p *pair) forget(c *client) {
	if len(c.sessions) == 0 && c.esp == 0 {
		delete(p.clients, c.inside)
	}
}

// setToken gives or takes the right to bind late (R66).
func (p *pair) setToken(s *ikeSession, on bool) {
	if s.token == on {
		return
	}
	s.token = on
	switch {
	case !on:
		delete(p.tokens, s)
	case p.tokens == nil:
		p.tokens = map[*ikeSession]bool{s: true}
	default:
		p.tokens[s] = true
	}
}
