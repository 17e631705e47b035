package ike

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

// NATTraversal says what a peer does about NATs (RFC 7296 section 2.23).
type NATTraversal uint8

// NATOff sends no NAT detection and stays on port 500, so that ESP stays
// plain. NATForce makes the other end see a NAT, so that ESP goes in UDP.
const (
	NATOn NATTraversal = iota
	NATOff
	NATForce
)

// Mode is how ESP carries packets.
type Mode uint8

// The modes of a child.
const (
	Tunnel Mode = iota
	Transport
)

// String returns the name used in configuration.
func (m Mode) String() string {
	if m == Transport {
		return "transport"
	}
	return "tunnel"
}

// Config is what an Engine is made of. Zero fields take the default.
type Config struct {
	Peers []Peer
	// Random gives nonces, SPIs, IVs, private keys and jitter: crypto/rand.Reader.
	Random io.Reader
	// Date tells the time of day, for certificates alone. Required with them.
	Date func() time.Time

	MaxSAs           int           // IKE SAs, half-open ones too: 1024
	MaxHalfOpen      int           // as responder: 256
	MaxHalfOpenOf    int           // of one remote address: 8
	CookiesFrom      int           // half-open ones from which on cookies are asked for: 32; below 0: always
	MaxChildren      int           // of an IKE SA: 32
	RetransmitFirst  time.Duration // 2 s; each further one waits 1.8 times as long
	Retransmits      int           // 5; then the peer is dead
	HalfOpenLifetime time.Duration // as responder, until IKE_AUTH has come: 30 s
	RetryAfter       time.Duration // after TEMPORARY_FAILURE, or before a failed child that should be up is tried again: 5 s
	Keepalive        time.Duration // behind a NAT (RFC 3948 section 2.3): 20 s
	MessageLimit     int           // octets of an IP packet from which on messages are fragmented: 1280
}

// Peer is another IKE daemon.
type Peer struct {
	Name         string
	Local        netip.Addr // our address
	Remote       netip.Addr // theirs; unspecified or zero: any, and then only they can begin
	LocalID      Identity
	RemoteID     Identity // AnyID only with certificates
	LocalAuth    Auth
	RemoteAuth   Auth
	Secret       Secret              // PSK
	Chain        []*x509.Certificate // our own first, then what lies between it and the authority
	Key          crypto.Signer       // of the first of Chain: RSA or ECDSA
	Authorities  []*x509.Certificate // who may have signed theirs
	Proposals    []Proposal
	NATTraversal NATTraversal
	Passive      bool          // never begins
	NoFragments  bool          // does not offer RFC 7383
	DPDDelay     time.Duration // silence after which the peer is asked whether it lives: 30 s; below 0: never
	Lifetime     time.Duration // of the IKE SA: 4 h. It is rekeyed between 80 and 90 % of it
	Children     []Child
}

// Child is a pair of ESP SAs that a peer may have.
type Child struct {
	Name          string
	Mode          Mode
	Local, Remote []Selector
	Proposals     []Proposal
	Lifetime      time.Duration // 1 h. It is rekeyed between 80 and 90 % of it
	Up            bool          // is begun by itself and again whenever it is lost
}

func (c *Config) defaults() {
	set(&c.MaxSAs, 1024)
	set(&c.MaxHalfOpen, 256)
	set(&c.MaxHalfOpenOf, 8)
	set(&c.CookiesFrom, 32)
	set(&c.MaxChildren, 32)
	set(&c.RetransmitFirst, 2*time.Second)
	set(&c.Retransmits, 5)
	set(&c.HalfOpenLifetime, 30*time.Second)
	set(&c.RetryAfter, 5*time.Second)
	set(&c.Keepalive, 20*time.Second)
	set(&c.MessageLimit, 1280)
	c.Peers = slices.Clone(c.Peers)
	for i := range c.Peers {
		p := &c.Peers[i]
		set(&p.DPDDelay, 30*time.Second)
		set(&p.Lifetime, 4*time.Hour)
		p.Children = slices.Clone(p.Children)
		for j := range p.Children {
			set(&p.Children[j].Lifetime, time.Hour)
		}
	}
}

func set[T ~int | ~int64](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// any reports whether the peer's address is not known beforehand.
func (p *Peer) any() bool { return !p.Remote.IsValid() || p.Remote.IsUnspecified() }

// check finds all faults of a configuration.
func (c *Config) check() error {
	var all []error
	if c.Random == nil {
		all = append(all, errors.New("no source of random numbers"))
	}
	if c.MessageLimit < 576 || c.MessageLimit > 65535 {
		all = append(all, fmt.Errorf("message limit of %d octets: from 576 to 65535", c.MessageLimit))
	}
	names := map[string]bool{}
	for i := range c.Peers {
		p := &c.Peers[i]
		if names[p.Name] || p.Name == "" {
			all = append(all, fmt.Errorf("peer %q: the name is empty or not the only one", p.Name))
		}
		names[p.Name] = true
		for _, err := range p.check(c.Date != nil) {
			all = append(all, fmt.Errorf("peer %q: %w", p.Name, err))
		}
	}
	return errors.Join(all...)
}

func (p *Peer) check(dated bool) []error {
	var all []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	bad(!p.Local.Is4(), "the local address is not an IPv4 address")
	bad(p.LocalID.Kind == AnyID, "no local identity")
	bad(p.RemoteID.Kind == AnyID && p.RemoteAuth != Certificate, "any remote identity needs certificates")
	bad(p.LocalAuth != PSK && p.LocalAuth != Certificate || p.RemoteAuth != PSK && p.RemoteAuth != Certificate, "no way of authentication")
	bad((p.LocalAuth == PSK || p.RemoteAuth == PSK) && len(p.Secret) == 0, "no pre-shared key")
	bad(p.LocalAuth == Certificate && (len(p.Chain) == 0 || p.Key == nil), "no certificate or no key of our own")
	bad(p.RemoteAuth == Certificate && (len(p.Authorities) == 0 || !dated), "no authority for the other end's certificate, or no date")
	if p.LocalAuth == Certificate && len(p.Chain) > 0 {
		if err := named(p.Chain[0], p.LocalID); err != nil {
			all = append(all, err)
		}
	}
	bad(len(p.Proposals) == 0 || len(p.Proposals) > 16, "from 1 to 16 proposals are wanted")
	for i := range p.Proposals {
		if err := p.Proposals[i].check(false); err != nil {
			all = append(all, fmt.Errorf("proposal %v: %w", p.Proposals[i], err))
		}
	}
	names := map[string]bool{}
	for i := range p.Children {
		k := &p.Children[i]
		bad(names[k.Name] || k.Name == "", "child %q: the name is empty or not the only one", k.Name)
		names[k.Name] = true
		bad(k.Up && p.any(), "child %q: to a peer at any address nothing can be begun", k.Name)
		for _, err := range k.check() {
			all = append(all, fmt.Errorf("child %q: %w", k.Name, err))
		}
	}
	return all
}

func (k *Child) check() []error {
	var all []error
	if len(k.Local) == 0 || len(k.Remote) == 0 || max(len(k.Local), len(k.Remote)) > maxSelectors {
		all = append(all, fmt.Errorf("from 1 to %d selectors are wanted on each side", maxSelectors))
	}
	for _, s := range slices.Concat(k.Local, k.Remote) {
		if !s.valid() {
			all = append(all, fmt.Errorf("selector %v ends before it begins", s))
		}
	}
	if len(k.Proposals) == 0 || len(k.Proposals) > 16 {
		all = append(all, errors.New("from 1 to 16 proposals are wanted"))
	}
	for i := range k.Proposals {
		if err := k.Proposals[i].check(true); err != nil {
			all = append(all, fmt.Errorf("proposal %v: %w", k.Proposals[i], err))
		}
	}
	return all
}

func (p *Proposal) check(esp bool) error {
	aead := slices.ContainsFunc(p.Ciphers, Cipher.AEAD)
	plain := slices.ContainsFunc(p.Ciphers, func(c Cipher) bool { return !c.AEAD() })
	known := func(c Cipher) bool { return c >= AESGCM128 && (c < NullCipher || c == NullCipher && esp) }
	switch {
	case len(p.Ciphers) == 0 || slices.ContainsFunc(p.Ciphers, func(c Cipher) bool { return !known(c) }):
		return errors.New("no cipher, or one that is not known here")
	case aead && plain:
		return errors.New("AES-GCM and other ciphers need proposals of their own (RFC 7296 section 3.3)")
	case plain == (len(p.Integrity) == 0):
		return errors.New("an integrity algorithm is for ciphers other than AES-GCM, and needed there")
	case slices.ContainsFunc(p.Integrity, func(i Integrity) bool { return !i.known() }):
		return errors.New("an integrity algorithm is not known")
	case slices.ContainsFunc(p.Groups, func(g Group) bool { return !g.known() && !(esp && g == NoGroup) }):
		return errors.New("a group is not known")
	case !esp && (len(p.PRFs) == 0 || len(p.Groups) == 0 || p.ESN):
		return errors.New("an IKE proposal has a pseudo-random function and a group, and no extended sequence numbers")
	case esp && len(p.PRFs) != 0:
		return errors.New("a child's proposal has no pseudo-random function")
	case slices.ContainsFunc(p.PRFs, func(f PRF) bool { return !f.known() }):
		return errors.New("a pseudo-random function is not known")
	}
	return nil
}
