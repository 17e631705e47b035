package natlog

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Protocol is what a target speaks.
type Protocol uint8

// The protocols.
const (
	Syslog Protocol = iota
	IPFIX
)

// String returns the protocol's name.
func (p Protocol) String() string {
	if p == IPFIX {
		return "ipfix"
	}
	return "syslog"
}

// Detail is how much a target is told.
type Detail uint8

// The details. The zero value is what should be kept for years.
const (
	BlockDetail   Detail = iota // blocks, mappings, refusals
	SessionDetail               // and each session, with its destination
)

// Target is a collector. The zero value of a field but Name and Address is its
// default.
type Target struct {
	Name     string
	Protocol Protocol
	Network  string // "udp" (default) or "tcp"
	Address  string // host:port as net.Dial takes it
	Detail   Detail
	Queue    int // records that may wait: 2-1048576, default 8192

	// MessageSize is the most bytes of a UDP payload or of one write over TCP,
	// 512-65507, default 1400: what passes an Ethernet of 1500 bytes, with room
	// for a tunnel on the way (RFC 7011 section 10.3.3 asks for less than the
	// path MTU). A single syslog line is never cut, and never longer than 512.
	MessageSize int

	// Of Syslog.
	Format   Format
	Framing  Framing
	Facility uint8  // 0-23
	Host     string // what the header names; "" = the address that we send from

	// Of IPFIX.
	Numbering        Numbering
	Enterprise       uint32        // owner of the SPI elements, 0 = DocumentationEnterprise
	TemplateInterval time.Duration // how often templates are sent again over UDP, default 10 min
}

// Ranges and defaults.
const (
	DefaultQueue            = 8192
	MaxQueue                = 1 << 20
	DefaultMessageSize      = 1400
	MinMessageSize          = 512
	MaxMessageSize          = 65507
	DefaultTemplateInterval = 10 * time.Minute
	MaxTargets              = 16
	maxFacility             = 23
)

// checked returns t with its defaults, and everything that is wrong with it.
func (t Target) checked() (Target, error) {
	t.Network = strings.ToLower(t.Network)
	defaults(&t.Network, "udp")
	defaults(&t.Queue, DefaultQueue)
	defaults(&t.MessageSize, DefaultMessageSize)
	defaults(&t.Enterprise, DocumentationEnterprise)
	defaults(&t.TemplateInterval, DefaultTemplateInterval)
	var faults []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("nat log target %q: "+format, append([]any{t.Name}, args...)...))
		}
	}
	refuse(t.Name == "", "has no name")
	refuse(t.Network != "udp" && t.Network != "tcp", "network %q is neither udp nor tcp", t.Network)
	_, _, err := net.SplitHostPort(t.Address)
	refuse(err != nil, "address: %w", err)
	refuse(t.Queue < 2 || t.Queue > MaxQueue, "queue of %d records: must be 2-%d", t.Queue, MaxQueue)
	refuse(t.MessageSize < MinMessageSize || t.MessageSize > MaxMessageSize,
		"messages of %d bytes: must be %d-%d", t.MessageSize, MinMessageSize, MaxMessageSize)
	refuse(t.Facility > maxFacility, "facility %d: there are 0-%d", t.Facility, maxFacility)
	refuse(t.TemplateInterval < 0, "template interval %v", t.TemplateInterval)
	refuse(strings.ContainsAny(t.Host, " \t\r\n"), "host %q has a space", t.Host)
	return t, errors.Join(faults...)
}

func defaults[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// wants says whether a record is for this target.
func (t *Target) wants(r *Record) bool {
	if t.Protocol == IPFIX && r.Kind == Started {
		return false // RFC 8158 has no such event; sequence numbers that begin again tell
	}
	if t.Protocol == IPFIX && r.Profile != nil && !r.Profile.IPFIX {
		return false
	}
	if !r.Kind.isSession() {
		return true
	}
	if t.Detail != SessionDetail {
		return false
	}
	return r.Kind != SessionDeleted || r.Profile == nil || r.Profile.SessionDeletion
}
