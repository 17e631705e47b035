package vserver

import (
	"net/netip"
	"time"

	"spigate/netstack/frame"
)

// Config is all that listens. The zero value of every option is its default.
type Config struct {
	Servers  []Server
	Profiles []FastL4 // the profile "fastL4" exists without being named here
	NATs     []NAT
	SNATs    []SNAT
	Groups   []Group
	Selfs    []netip.Addr // own addresses

	TunnelLocals     []netip.Addr // where IKE and ESP are received: for the warning of Q1
	ContinueMatching bool         // tm.continuematching: a disabled server does not discard (VR9)
}

// Switch is an option whose default depends on the option.
type Switch uint8

// The positions of a Switch.
const (
	Default Switch = iota
	On
	Off
)

// Is resolves the switch with the option's default.
func (s Switch) Is(byDefault bool) bool { return s == On || s == Default && byDefault }

// VLANs says where a listener listens: with Enabled on the listed interfaces
// only (on none, if the list is empty), otherwise on all but the listed ones.
type VLANs struct {
	Enabled bool
	List    []frame.Interface
}

// Role is what a virtual server does with what it admits.
type Role uint8

// The roles. A server has exactly one; pools and l2-forward are not built.
const (
	NoRole  Role = iota
	Forward      // ip-forward: route by the table, VR14
	Reject       // refuse with RST or ICMP
)

// Translation is how a virtual server translates source addresses (VR19).
type Translation uint8

// The source address translations.
const (
	TranslateNone Translation = iota // a matching ltm snat or nat, if any
	Automap                          // an address of the egress interface
	TranslateSNAT                    // one of Server.Translations
	TranslateLSN                     // the LSN group Server.Group
)

// SourcePort is what happens to the source port of a translated flow.
type SourcePort uint8

// The ways to treat source ports.
const (
	PreservePort SourcePort = iota
	PreserveStrict
	ChangePort
)

// Server is one ltm virtual (table 2.1).
type Server struct {
	Name        string
	Destination netip.Prefix // required; host bits are ignored
	Port        uint16       // host byte order; 0: any
	Source      netip.Prefix // zero value: 0.0.0.0/0
	Protocol    uint8        // 0: any
	Role        Role         // required
	Profile     string       // "": fastL4
	VLANs       VLANs
	Disabled    bool

	TranslateAddress, TranslatePort Switch // by default on for a host without ip-forward
	SourceTranslation               Translation
	Translations                    []netip.Addr // for TranslateSNAT
	Group                           string       // for TranslateLSN

	ConnectionLimit int // concurrent connections; 0: none (VR18)
	RateLimit       int // new connections a second; 0: none

	Mirror            bool   // refused
	AutoLasthop       Switch // On is refused
	SourcePort        SourcePort
	NoCMP             bool
	RequireProtection bool // VR31: nothing leaves in clear
}

// TranslatesAddress resolves the default of translate-address.
func (s *Server) TranslatesAddress() bool {
	return s.TranslateAddress.Is(s.Destination.IsSingleIP() && s.Role != Forward)
}

// TranslatesPort resolves the default of translate-port.
func (s *Server) TranslatesPort() bool {
	return s.TranslatePort.Is(s.Destination.IsSingleIP() && s.Role != Forward)
}

// Special idle times of FastL4.
const (
	Immediate  time.Duration = -1 // a connection ends after each packet and its answer
	Indefinite time.Duration = -2 // it never ends by idleness
)

// FastL4 is one ltm profile fastl4 (table 2.2). Acceleration and SYN cookie
// options mean nothing here and are not part of it. What is refused makes a
// fault in New: nothing that is set is silently without effect.
type FastL4 struct {
	Name                string
	IdleTimeout         time.Duration // 0: 300 s; Immediate; Indefinite
	HandshakeTimeout    time.Duration // 0: 5 s
	CloseTimeout        time.Duration // 0: 5 s
	KeepAliveInterval   time.Duration // refused unless 0
	ClientTimeout       time.Duration // 0: 30 s; for late binding, which forwarding servers do not do: without effect
	LooseInitialization bool
	LooseClose          bool
	ResetOnTimeout      Switch // default on
	ReassembleFragments bool   // refused
	MSSOverride         uint16 // bytes; 0: off. The router's to do
	PreserveTTL         bool   // ip-ttl-mode; by default decrement. The router's to do
}

// filled is f with the defaults in place of zeros.
func (f FastL4) filled() FastL4 {
	for _, t := range []struct {
		at  *time.Duration
		def time.Duration
	}{
		{&f.IdleTimeout, 300 * time.Second}, {&f.HandshakeTimeout, 5 * time.Second},
		{&f.CloseTimeout, 5 * time.Second}, {&f.ClientTimeout, 30 * time.Second},
	} {
		if *t.at == 0 {
			*t.at = t.def
		}
	}
	return f
}

// NAT is one ltm nat (table 2.3): 1:1, both ways, every protocol (VR22).
type NAT struct {
	Name         string
	Originating  netip.Addr
	Translation  netip.Addr
	ARP          Switch // default on
	VLANs        VLANs
	AutoLasthop  Switch // On is refused
	TrafficGroup string // "": traffic-group-1, inherited

	RequireProtection bool // VR31, as a server's: it is a listener of its own (VR23)
}

// SNAT is one ltm snat (table 2.3): for sources only, it accepts nothing from
// outside (VR23).
type SNAT struct {
	Name         string
	Origins      []netip.Prefix
	Translations []netip.Addr // one, or the members of a pool; or Automap
	Automap      bool
	VLANs        VLANs
	Mirror       bool // refused
	SourcePort   SourcePort
}

// Group is an LSN group as a listener (VR3): its clients' networks to anywhere.
type Group struct {
	Name    string
	Clients []netip.Prefix
}
