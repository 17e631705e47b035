package ipsec

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"spigate/netstack/frame"
)

// Lifetime is how long an SA lives. 0 is without end.
type Lifetime struct {
	SoftTime, HardTime   time.Duration // since it was made
	SoftBytes, HardBytes uint64        // of what was encrypted or decrypted, trailers included
}

func (l *Lifetime) check() error {
	if l.SoftTime < 0 || l.HardTime < 0 {
		return errors.New("a lifetime is negative")
	}
	if l.HardTime > 0 && l.SoftTime > l.HardTime || l.HardBytes > 0 && l.SoftBytes > l.HardBytes {
		return errors.New("the soft lifetime is longer than the hard one")
	}
	return nil
}

// SAConfig is a security association, for one direction. Addresses and ports
// are seen from here in both.
type SAConfig struct {
	SPI           uint32
	Outbound      bool
	Mode          Mode       // on the wire Tunnel and Interface are the same
	Local, Remote frame.Addr // of the outer header

	Suite  Suite
	Keys   Keys
	ESN    bool // extended sequence numbers (RFC 4303 section 2.2.1)
	Window int  // inbound: of anti-replay, in packets; 0: DefaultWindow
	Manual bool // VR36: its numbers may begin anew, so it has no window

	Lifetime Lifetime
	Scope    []Pair // what was negotiated, MaxPairs at most; none: what the selector says

	// LocalPort and RemotePort, if they are not 0, put the ESP into UDP
	// (RFC 3948). Inbound both kinds are understood (RFC 7296 section 2.23).
	LocalPort, RemotePort uint16

	// Follow: the other end is behind a NAT and we are not. It is where its
	// newest packet in UDP came from (Received.Moved). It needs a window.
	Follow bool

	Random io.Reader // for IVs; nil: the system's
}

// MaxPairs bounds what one SA may be negotiated for.
const MaxPairs = 64

// reservedSPIs are 0 to 255 (RFC 4303 section 2.1).
const reservedSPIs = 256

func (c *SAConfig) check() error {
	var faults []error
	if c.SPI < reservedSPIs {
		faults = append(faults, fmt.Errorf("spi %#x is reserved: it must be 0x100 or higher", c.SPI))
	}
	if err := c.Suite.Check(); err != nil {
		faults = append(faults, err)
	} else if e, a := c.Suite.KeyLengths(); len(c.Keys.Encrypt) != e || len(c.Keys.Auth) != a {
		faults = append(faults, fmt.Errorf("%v needs %d and %d bytes of keys, not %d and %d", c.Suite, e, a, len(c.Keys.Encrypt), len(c.Keys.Auth)))
	}
	if c.Manual && c.Suite.Cipher == AESGCM {
		// After a restart the numbers begin anew, and with them the nonces.
		faults = append(faults, errors.New("aes-gcm must not be used with manual keys (RFC 4106 section 2): use aes-cbc with hmac-sha2"))
	}
	if c.Manual && c.ESN {
		faults = append(faults, errors.New("extended sequence numbers need negotiated keys (RFC 4303 section 2.2.1)"))
	}
	if c.Window < 0 || c.Window > MaxWindow {
		faults = append(faults, fmt.Errorf("the anti-replay window is %d: it may be 1 to %d", c.Window, MaxWindow))
	}
	if c.Local.IsZero() || c.Remote.IsZero() || c.Mode > Interface {
		faults = append(faults, errors.New("the ends or the mode are missing"))
	}
	if (c.LocalPort == 0) != (c.RemotePort == 0) {
		faults = append(faults, errors.New("only one of two UDP ports is there"))
	}
	if len(c.Scope) > MaxPairs {
		faults = append(faults, fmt.Errorf("%d pairs of traffic: there may be %d", len(c.Scope), MaxPairs))
	}
	return errors.Join(append(faults, c.Lifetime.check())...)
}

// SA is one security association: one direction between two ends. It may be
// used from everywhere at once.
type SA struct {
	SPI      uint32
	Outbound bool
	Mode     Mode
	Local    frame.Addr
	Suite    Suite
	ESN      bool
	Manual   bool
	Lifetime Lifetime

	crypt  *crypt
	window *window // inbound
	born   int64
	hardAt int64 // never if without end
	softAt int64

	peer   atomic.Uint64 // address and UDP port of the other end
	port   uint16        // our UDP port, 0: bare ESP
	follow bool          // SAConfig.Follow
	scope  atomic.Pointer[[]Pair]
	whole  bool          // its scope is its only selector's
	label  atomic.Uint32 // the tunnel's interface, 0: none (VR34)
	ids    *atomic.Uint32

	sent      atomic.Uint64 // outbound: the last sequence number
	bytes     atomic.Uint64 // encrypted or decrypted
	last      atomic.Int64  // when a packet last passed
	path      atomic.Int64  // what ICMP said about the way, with its time
	counts    [NumVerdicts]atomic.Uint64
	spent     atomic.Bool // no number or byte is left
	asked     bool        // under the database's lock: that a successor is wanted was said
	selectors []string    // whose it is, under the database's lock
	manual    *manualID   // which manual SA it is, or nil
}

const never = int64(^uint64(0) >> 1)

// NewSA makes an SA that stands alone; Database.Add makes those that are found
// by their packets.
func NewSA(c SAConfig, now int64) (*SA, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("security association %08x: %w", c.SPI, err)
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	k, err := newCrypt(c.Suite, c.Keys, c.Random)
	if err != nil {
		return nil, fmt.Errorf("security association %08x: %w", c.SPI, err)
	}
	sa := &SA{
		SPI: c.SPI, Outbound: c.Outbound, Mode: c.Mode, Local: c.Local, Suite: c.Suite, ESN: c.ESN, Manual: c.Manual, follow: c.Follow,
		Lifetime: c.Lifetime, crypt: k, born: now, port: c.LocalPort, ids: &atomic.Uint32{},
		hardAt: deadline(now, c.Lifetime.HardTime), softAt: deadline(now, c.Lifetime.SoftTime),
	}
	sa.Redirect(frame.Endpoint{Addr: c.Remote, Port: c.RemotePort})
	sa.setScope(c.Scope)
	sa.last.Store(now)
	size := c.Window
	switch {
	case c.Manual:
		size = 0
	case size == 0:
		size = DefaultWindow
	}
	sa.window = newWindow(size, c.ESN)
	return sa, nil
}

func deadline(now int64, d time.Duration) int64 {
	if d == 0 {
		return never
	}
	return now + int64(d)
}

// Remote is the other end: its address, and its UDP port or 0 for bare ESP.
func (sa *SA) Remote() frame.Endpoint {
	p := sa.peer.Load()
	return frame.Endpoint{
		Addr: frame.Addr{byte(p >> 40), byte(p >> 32), byte(p >> 24), byte(p >> 16)},
		Port: uint16(p),
	}
}

// Redirect gives the SA another end: a NAT on the way changed its mind
// (RFC 7296 section 2.23), or the peer moved. Whether to believe it is IKE's to
// decide.
func (sa *SA) Redirect(to frame.Endpoint) {
	sa.peer.Store(uint64(number(to.Addr))<<16 | uint64(to.Port))
}

func (sa *SA) setScope(pairs []Pair) {
	pairs = append([]Pair(nil), pairs...)
	sa.scope.Store(&pairs)
}

// Scope is what the SA may carry.
func (sa *SA) Scope() []Pair { return append([]Pair(nil), *sa.scope.Load()...) }

// Covers reports whether an outbound packet of this flow, or an inbound one of
// its Reversed, may use the SA.
func (sa *SA) Covers(f Flow) bool {
	pairs := *sa.scope.Load()
	for i := range pairs {
		if pairs[i].Covers(f) {
			return true
		}
	}
	return false
}

// mayCover is Covers for a flow whose ports are not known.
func (sa *SA) mayCover(f Flow) bool {
	pairs := *sa.scope.Load()
	for i := range pairs {
		if pairs[i].coversHosts(f) {
			return true
		}
	}
	return false
}

// Admits is the check of an inbound packet (VR32, RFC 4301 section 5.2): it
// must be what the very SA was made for, mirrored; or an ICMP error about a
// packet that this SA's other half sealed, whoever reports it (RFC 4301
// section 6, Q16).
func (sa *SA) Admits(p *frame.Packet) bool {
	if sa.Covers(FlowOf(p).Reversed()) {
		return true
	}
	quoted, ok := QuotedFlow(p)
	return ok && sa.Covers(quoted)
}

// Wipe ends the SA and overwrites its keys as far as Go allows: what the
// standard library's ciphers expanded stays in memory until that is used again.
// Packets in other goroutines' hands are finished.
func (sa *SA) Wipe() { sa.crypt.wipe() }

// ready reports whether the SA may still be used (its hard lifetime).
func (sa *SA) ready(now int64) Verdict {
	switch {
	case now >= sa.hardAt:
		return Expired
	case sa.spent.Load():
		if sa.Outbound && !sa.Manual && !sa.ESN && sa.sent.Load() > maxShort {
			return Exhausted
		}
		return Expired
	}
	return Pass
}

// charge counts bytes against the hard lifetime.
func (sa *SA) charge(n int) bool {
	used := sa.bytes.Add(uint64(n))
	if hard := sa.Lifetime.HardBytes; hard > 0 && used > hard {
		sa.spent.Store(true)
		return false
	}
	return true
}

func (sa *SA) count(v Verdict) Verdict {
	sa.counts[v].Add(1)
	return v
}
