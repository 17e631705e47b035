package ike

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"
)

const second = int64(time.Second)

// Never is the deadline of an engine that waits for nothing.
const Never = int64(math.MaxInt64)

// Counters count since the engine was made.
type Counters struct {
	Received, Sent        uint64 // datagrams
	Malformed             uint64 // header or payloads cannot be read
	Unknown               uint64 // of no IKE SA that is there
	BadIntegrity          uint64 // forged, or of an SA that was
	Duplicates            uint64 // repeated requests, answered from the cache or ignored
	Retransmits           uint64 // our requests that were sent again
	CookiesAsked          uint64
	HalfOpenRefused       uint64 // too many half-open SAs, of all or of one address
	IKEUps, ChildUps      uint64
	IKERekeys, ChildRekey uint64 // that took over
	Failures              uint64 // IKE SAs and children that did not come up
}

// Engine negotiates with all peers. It does no I/O and is not safe for
// concurrent use. Every method takes now, monotonic nanoseconds.
type Engine struct {
	Counters
	cfg    Config
	peers  []*peer
	list   []*ikeSA          // all, by number
	bySPI  map[uint64]*ikeSA // by our SPI
	inits  map[initKey]*ikeSA
	graves []*grave
	spis   map[uint32]*childSA // by In
	number uint64
	jar    cookieJar
	limit  [numEventKinds]limiter
	now    int64
	out    []Action
}

// peer is a configured peer and when its children are begun again.
type peer struct {
	*Peer
	retryAt []int64 // by child
	sas     []*ikeSA
}

// initKey finds the IKE SA of a repeated first message.
type initKey struct {
	remote netip.AddrPort
	spiI   uint64
}

// New makes an engine. All faults of the configuration are returned at once.
func New(c Config) (*Engine, error) {
	c.defaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: c, bySPI: map[uint64]*ikeSA{}, inits: map[initKey]*ikeSA{}, spis: map[uint32]*childSA{}}
	for i := range c.Peers {
		e.peers = append(e.peers, newPeer(&c.Peers[i]))
	}
	return e, nil
}

func newPeer(p *Peer) *peer { return &peer{Peer: p, retryAt: make([]int64, len(p.Children))} }

// begin starts a call; finish ends it and hands out what is to be done.
func (e *Engine) begin(now int64) { e.now, e.out = now, nil }

func (e *Engine) finish() []Action {
	for _, sa := range slices.Clone(e.list) {
		sa.run()
	}
	e.list = slices.DeleteFunc(e.list, func(sa *ikeSA) bool { return sa.state == stateGone })
	out := e.out
	e.out = nil
	return out
}

// Initiate brings up a child of a peer, over the IKE SA that is there or over
// a new one. A child that is up or on its way is left alone.
func (e *Engine) Initiate(peerName, childName string, now int64) ([]Action, error) {
	p := e.peer(peerName)
	if p == nil {
		return nil, fmt.Errorf("no peer %q", peerName)
	}
	i := slices.IndexFunc(p.Children, func(c Child) bool { return c.Name == childName })
	if i < 0 {
		return nil, fmt.Errorf("peer %q has no child %q", peerName, childName)
	}
	if p.any() || p.Passive {
		return nil, fmt.Errorf("peer %q is at any address or passive: it has to begin", peerName)
	}
	e.begin(now)
	if !e.hasChild(p, &p.Children[i]) {
		e.start(p, &p.Children[i])
	}
	return e.finish(), nil
}

// RekeyChild replaces a pair of ESP SAs, for example because it has carried
// many octets. In is its inbound SPI; one that is not there is ignored.
func (e *Engine) RekeyChild(in uint32, now int64) []Action {
	e.begin(now)
	if c := e.spis[in]; c != nil {
		c.rekey()
	}
	return e.finish()
}

// DeleteChild ends a pair of ESP SAs, for example at its limit of octets.
func (e *Engine) DeleteChild(in uint32, now int64) []Action {
	e.begin(now)
	if c := e.spis[in]; c != nil {
		c.close()
	}
	return e.finish()
}

// Rekey replaces the IKE SAs of a peer.
func (e *Engine) Rekey(peerName string, now int64) []Action {
	e.begin(now)
	for _, sa := range e.of(e.peer(peerName)) {
		sa.rekey()
	}
	return e.finish()
}

// Close ends all SAs of a peer. Children that should be up come up again.
func (e *Engine) Close(peerName string, now int64) []Action {
	e.begin(now)
	for _, sa := range e.of(e.peer(peerName)) {
		sa.close("it was closed", 0)
	}
	return e.finish()
}

// CloseAll ends everything: each peer is told once, and all keys are wiped.
// The engine may not be used again.
func (e *Engine) CloseAll(now int64) []Action {
	e.begin(now)
	for _, sa := range slices.Clone(e.list) {
		sa.close("spigate stops", 0)
		sa.pending = nil // nobody waits for its answer
		sa.run()
		sa.bury()
	}
	e.peers, e.graves = nil, nil
	return e.finish()
}

func (e *Engine) peer(name string) *peer {
	for _, p := range e.peers {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// of lists the IKE SAs of a peer.
func (e *Engine) of(p *peer) []*ikeSA {
	if p == nil {
		return nil
	}
	return slices.Clone(p.sas)
}

// hasChild reports whether a child is there or on its way.
func (*Engine) hasChild(p *peer, k *Child) bool {
	for _, sa := range p.sas {
		for _, c := range sa.children {
			if c.cfg == k && !c.closing {
				return true
			}
		}
		if sa.state < stateRekeyed && sa.hasTask(k) {
			return true
		}
	}
	return false
}

// start begins a child.
func (e *Engine) start(p *peer, k *Child) {
	if i := slices.IndexFunc(p.Children, func(c Child) bool { return c.Name == k.Name }); i >= 0 {
		p.retryAt[i] = e.now + e.jitter(int64(e.cfg.RetryAfter))
	}
	for _, sa := range e.of(p) {
		if sa.state == stateUp || sa.initiator && sa.state < stateUp {
			sa.tasks = append(sa.tasks, &task{kind: taskChild, cfg: k})
			return
		}
	}
	if len(e.list) < e.cfg.MaxSAs {
		e.startSA(p, k)
	}
}

// jitter is between three and five quarters of d.
func (e *Engine) jitter(d int64) int64 {
	return d*3/4 + int64(float64(d)/2*(float64(binary.BigEndian.Uint32(e.random(4)))/math.MaxUint32))
}

// random draws n octets. There is nothing that could be done without them:
// like crypto/rand, it does not return when there are none.
func (e *Engine) random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.cfg.Random, b); err != nil {
		panic(fmt.Sprintf("ike: no random numbers: %v", err))
	}
	return b
}

// newSPI draws an SPI for an IKE SA.
func (e *Engine) newSPI() uint64 {
	for {
		spi := binary.BigEndian.Uint64(e.random(8))
		if spi != 0 && e.bySPI[spi] == nil && !slices.ContainsFunc(e.graves, func(g *grave) bool { return g.spi == spi }) {
			return spi
		}
	}
}

// newChildSPI draws an inbound SPI for ESP and keeps it for c. The first 256
// are reserved (RFC 4303 section 2.1).
func (e *Engine) newChildSPI() uint32 {
	for {
		spi := binary.BigEndian.Uint32(e.random(4))
		if _, taken := e.spis[spi]; spi > 255 && !taken {
			e.spis[spi] = nil
			return spi
		}
	}
}

// freeChildSPI gives back one that no child was made of.
func (e *Engine) freeChildSPI(spi uint32) {
	if c, ok := e.spis[spi]; ok && c == nil {
		delete(e.spis, spi)
	}
}
