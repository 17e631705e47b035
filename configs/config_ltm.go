package configs

import (
	"net/netip"
	"time"
)

// LTM holds [ltm.…]: who admits new flows besides LSN groups. Defaults are
// those of tables 2.1 to 2.3 of the specification of virtual servers.
type LTM struct {
	Virtuals  []*Virtual
	FastL4s   []*FastL4 // as in the file; DefaultFastL4 is there without being written
	NATs      []*NAT
	SNATs     []*SNAT
	SNATPools []*SNATPool
}

// Virtual is [ltm.virtual.NAME].
type Virtual struct {
	Name        string
	Domain      uint16       // traffic domain
	Destination netip.Prefix // masked
	Port        uint16       // host byte order; 0 = any
	Source      netip.Prefix // masked
	Protocol    IPProtocol
	Role        Role
	Profile     *FastL4 // never nil
	VLANs       VLANList
	Disabled    bool

	TranslateAddress, TranslatePort bool // by default for a host without ip_forward

	SourceTranslation SourceTranslation
	SNATPool          *SNATPool  // of SourceSNAT, unless there is an address
	SNATAddress       netip.Addr // of SourceSNAT, unless there is a pool
	LSNGroup          *Group     // of SourceLSN

	ConnectionLimit   int // concurrent connections; 0 = none (VR18)
	RateLimit         int // new connections a second; 0 = none
	Mirror            bool
	AutoLasthop       AutoLasthop
	SourcePort        SourcePort
	CMPEnabled        bool // has no effect
	RequireProtection bool // nothing of its connections comes or leaves in clear (VR31)
}

// VLANList says where a listener listens for attempts (V5).
type VLANList struct {
	Enabled bool      // on the listed ones only, on none if there are none; otherwise on all but these
	List    []*VLAN   // of the listener's traffic domain, in the file's order
	Tunnels []*Tunnel // likewise: a tunnel's interface is listed as a VLAN is (V6)
}

// Names lists the VLANs, then the tunnels. No two have the same name.
func (v *VLANList) Names() (out []string) {
	for _, one := range v.List {
		out = append(out, one.Name)
	}
	for _, one := range v.Tunnels {
		out = append(out, one.Name)
	}
	return out
}

// Addresses returns what a server of SourceSNAT translates to.
func (v *Virtual) Addresses() []netip.Addr {
	if v.SNATPool != nil {
		return v.SNATPool.Members
	}
	if v.SNATAddress.IsValid() {
		return []netip.Addr{v.SNATAddress}
	}
	return nil
}

// DefaultFastL4 is the profile of virtual servers that name none.
const DefaultFastL4 = "fastL4"

// Special values of FastL4.IdleTimeout.
const (
	IdleImmediate  time.Duration = -1 // a connection ends after a packet and its answer
	IdleIndefinite time.Duration = -2 // it never ends by idleness
)

// FastL4 is [ltm.profile.fastl4.NAME]. Options that have no effect here are
// checked and not kept.
type FastL4 struct {
	Name                string
	IdleTimeout         time.Duration // or IdleImmediate, IdleIndefinite
	HandshakeTimeout    time.Duration
	CloseTimeout        time.Duration
	ClientTimeout       time.Duration // has no effect
	LooseInitialization bool          // VR15
	LooseClose          bool          // VR16
	ResetOnTimeout      bool          // VR17
	TTLMode             TTLMode
	MSSOverride         int // bytes: SYNs ask for no more (VR35); 0 = they pass as they come
}

// Profiles are FastL4s with DefaultFastL4, also if it is not written.
func (l *LTM) Profiles() []*FastL4 {
	for _, p := range l.FastL4s {
		if p.Name == DefaultFastL4 {
			return l.FastL4s
		}
	}
	p := builtinFastL4()
	return append([]*FastL4{&p}, l.FastL4s...)
}

// NAT is [ltm.nat.NAME]: 1:1, both ways, every protocol (VR22).
type NAT struct {
	Name                  string
	Domain                uint16 // traffic domain
	Originating           netip.Addr
	Translation           netip.Addr
	ARP                   bool
	VLANs                 VLANList
	AutoLasthop           AutoLasthop
	TrafficGroup          string
	InheritedTrafficGroup bool

	RequireProtection bool // as a virtual server's (VR31)
}

// SNAT is [ltm.snat.NAME]: it translates sources, and admits nothing from
// outside (VR23). It has exactly one of Translation, Pool and Automap.
type SNAT struct {
	Name        string
	Domain      uint16 // traffic domain
	Origins     []netip.Prefix
	Translation netip.Addr // or invalid
	Pool        *SNATPool  // or nil
	Automap     bool       // an address of the interface by which a packet leaves
	VLANs       VLANList
	Mirror      bool
	SourcePort  SourcePort
}

// Addresses returns what the SNAT translates to; none for Automap.
func (s *SNAT) Addresses() []netip.Addr {
	if s.Pool != nil {
		return s.Pool.Members
	}
	if s.Translation.IsValid() {
		return []netip.Addr{s.Translation}
	}
	return nil
}

// SNATPool is [ltm.snatpool.NAME].
type SNATPool struct {
	Name    string
	Members []netip.Addr
}

// DB holds [sys.db].
type DB struct {
	ContinueMatching bool // tm.continuematching: a disabled server does not discard (VR9)
	RejectUnmatched  bool // tm.rejectunmatched: TCP that belongs to nothing is answered with RST (VR15)
}
