package ipsec

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"spigate/netstack/frame"
)

const (
	// DefaultMaxSAs bounds how many SAs there may be.
	DefaultMaxSAs = 16384

	maxReserved = 4096             // SPIs that are being negotiated
	reservedFor = 10 * time.Minute // longer than any negotiation
	buckets     = 4096             // of the table of inbound SPIs
)

// Options are those of a Database.
type Options struct {
	MaxSAs int       // 0: DefaultMaxSAs
	Random io.Reader // for SPIs and IVs; nil: the system's
}

// Database is all that the packets of all tunnels are looked up in: the
// policies of the day and the SAs. Packets take no lock in it; whoever changes
// something does.
type Database struct {
	policies atomic.Pointer[Policies]
	inbound  [buckets]atomic.Pointer[node] // by SPI
	sent     [NumVerdicts]atomic.Uint64    // what Send said
	received [NumVerdicts]atomic.Uint64    // what Receive said, also of what belongs to no SA
	asked    [NumVerdicts]atomic.Uint64    // what Count was told
	held     atomic.Int64                  // bytes
	ids      atomic.Uint32                 // of outer headers
	random   io.Reader
	maxSAs   int

	mu       sync.Mutex // guards what follows, and every change
	all      map[*SA]bool
	reserved map[uint32]int64 // SPIs that are being negotiated, since when
}

// node is a place in a bucket. A removed one keeps its next, so that a reader
// who stands on it finds the rest.
type node struct {
	sa   *SA
	next atomic.Pointer[node]
}

// NewDatabase makes an empty one: every packet misses.
func NewDatabase(o Options) *Database {
	db := &Database{random: o.Random, maxSAs: o.MaxSAs, all: map[*SA]bool{}, reserved: map[uint32]int64{}}
	if db.random == nil {
		db.random = rand.Reader
	}
	if db.maxSAs <= 0 {
		db.maxSAs = DefaultMaxSAs
	}
	empty, _ := NewPolicies(Config{}) // nothing cannot be wrong
	db.policies.Store(empty)
	return db
}

// Policies are those of the day. What one packet asks, it should ask of the
// same ones.
func (db *Database) Policies() *Policies { return db.policies.Load() }

// bucket: SPIs are random, ours and those of manual SAs as far as anybody could
// choose them to collide.
func (db *Database) bucket(spi uint32) *atomic.Pointer[node] { return &db.inbound[spi%buckets] }

// Find returns the inbound SA with an SPI and one of our addresses, nil if there
// is none (RFC 4301 section 4.1). It takes no lock.
func (db *Database) Find(spi uint32, local frame.Addr) *SA {
	for n := db.bucket(spi).Load(); n != nil; n = n.next.Load() {
		if n.sa.SPI == spi && n.sa.Local == local {
			return n.sa
		}
	}
	return nil
}

// taken reports whether an SPI is in use, whatever the address.
func (db *Database) taken(spi uint32) bool {
	for n := db.bucket(spi).Load(); n != nil; n = n.next.Load() {
		if n.sa.SPI == spi {
			return true
		}
	}
	return false
}

// ReserveSPI draws an SPI for an inbound SA that is about to be negotiated:
// random, above 255, and nobody else's until Add uses it, ReleaseSPI gives it
// back, or ten minutes are over.
func (db *Database) ReserveSPI(now int64) (uint32, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.reserved) >= maxReserved {
		return 0, fmt.Errorf("%d SPIs are being negotiated: no more at once", maxReserved)
	}
	var b [4]byte
	for range 64 {
		if _, err := io.ReadFull(db.random, b[:]); err != nil {
			return 0, fmt.Errorf("an spi: %w", err)
		}
		spi := binary.BigEndian.Uint32(b[:])
		if _, other := db.reserved[spi]; other || spi < reservedSPIs || db.taken(spi) {
			continue
		}
		db.reserved[spi] = now
		return spi, nil
	}
	return 0, errors.New("no free spi was drawn in 64 tries")
}

// ReleaseSPI gives back what ReserveSPI drew.
func (db *Database) ReleaseSPI(spi uint32) {
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.reserved, spi)
}

// Add makes an SA of a selector's and puts it to work: an inbound one is found
// by its SPI from now on, an outbound one is the selector's first choice. So a
// successor is added inbound first, and the old one removed when the peer has
// let go of it: no packet is lost between them. An SA without a scope carries
// what the selector says; one with a scope must not go beyond it.
func (db *Database) Add(selector string, c SAConfig, now int64) (*SA, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	p := db.policies.Load()
	s, ok := p.byName[selector]
	if !ok || s.Protects == nil {
		return nil, fmt.Errorf("security association %08x: no selector %q protects anything", c.SPI, selector)
	}
	whole := len(c.Scope) == 0
	if whole {
		c.Scope = []Pair{s.pair}
	}
	for i := range c.Scope {
		if !c.Scope[i].within(&s.pair) {
			return nil, fmt.Errorf("security association %08x: its traffic goes beyond selector %q", c.SPI, selector)
		}
	}
	sa, err := db.make(c, now)
	if err != nil {
		return nil, err
	}
	sa.whole = whole
	if sa.Outbound && !s.bundle.add(sa) {
		sa.Wipe()
		return nil, fmt.Errorf("security association %08x: selector %q has %d outbound ones", c.SPI, selector, maxOutbound)
	}
	sa.selectors = []string{selector}
	sa.label.Store(uint32(p.Label(s.Policy)))
	db.insert(sa)
	return sa, nil
}

// make checks what concerns other SAs, and makes one.
func (db *Database) make(c SAConfig, now int64) (*SA, error) {
	if len(db.all) >= db.maxSAs {
		return nil, fmt.Errorf("security association %08x: there are %d: no more", c.SPI, db.maxSAs)
	}
	if !c.Outbound && db.Find(c.SPI, c.Local) != nil {
		return nil, fmt.Errorf("security association %08x: %v has one with this spi", c.SPI, c.Local)
	}
	if c.Random == nil {
		c.Random = db.random
	}
	sa, err := NewSA(c, now)
	if err == nil {
		sa.ids = &db.ids
	}
	return sa, err
}

func (db *Database) insert(sa *SA) {
	db.all[sa] = true
	if sa.Outbound {
		return
	}
	delete(db.reserved, sa.SPI)
	n, head := &node{sa: sa}, db.bucket(sa.SPI)
	n.next.Store(head.Load())
	head.Store(n)
}

// Remove takes an SA away and wipes its keys. Doing it twice does no harm.
func (db *Database) Remove(sa *SA) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.drop(sa)
}

func (db *Database) drop(sa *SA) {
	if !db.all[sa] {
		return
	}
	delete(db.all, sa)
	db.retire(sa)
	if sa.Outbound {
		for _, s := range db.policies.Load().selectors {
			if s.bundle != nil {
				s.bundle.remove(sa)
			}
		}
	} else {
		db.unlink(sa)
	}
	sa.Wipe()
}

func (db *Database) unlink(sa *SA) {
	at := db.bucket(sa.SPI)
	for n := at.Load(); n != nil; n = at.Load() {
		if n.sa == sa {
			at.Store(n.next.Load())
			return
		}
		at = &n.next
	}
}

// LearnMTU takes over an ICMP 3/4 about ESP that we sent: to remote, with an
// SPI (VR35). It reports whether such an SA is here.
func (db *Database) LearnMTU(remote frame.Addr, spi uint32, mtu int, now int64) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	for sa := range db.all {
		if sa.Outbound && sa.SPI == spi && sa.Remote().Addr == remote {
			sa.LearnMTU(mtu, now)
			return true
		}
	}
	return false
}
