package configs

import (
	"log/slog"
	"net/netip"
	"time"
)

// Log holds [log.…].
type Log struct {
	NAT []*LogTarget // [log.nat.target.NAME]

	// The daemon's own log.
	Format LogText
	Level  slog.Level // and above
	Syslog *Syslog    // nil: none
}

// LogTarget is a collector of the NAT log (R30-R33), reached through the host's
// own network.
type LogTarget struct {
	Name        string
	Kind        LogKind
	Address     netip.AddrPort // IPv4 or IPv6
	Transport   LogTransport
	Detail      LogDetail
	Queue       int // records
	MessageSize int // bytes

	// Of LogSyslog.
	Format   LogFormat
	Framing  LogFraming
	Facility uint8
	Host     string // "": the address that is sent from

	// Of LogIPFIX.
	Numbering        LogNumbering
	Enterprise       uint32
	TemplateInterval time.Duration
}

// LogProfile is [lsn.logprofile.NAME] (table 1.1).
type LogProfile struct {
	Name            string
	Compact         bool
	SubscriberInfo  bool
	IPFIX           bool
	SessionDeletion bool
}

// LogKind is what a target speaks.
type LogKind uint8

// The kinds.
const (
	LogSyslog LogKind = iota
	LogIPFIX
)

func logKindWords() []word[LogKind] {
	return []word[LogKind]{{LogSyslog, "syslog", nil}, {LogIPFIX, "ipfix", nil}}
}

// String returns the word of the file.
func (k LogKind) String() string { return spell(logKindWords(), k) }

// LogTransport carries a target's messages.
type LogTransport uint8

// The transports.
const (
	LogUDP LogTransport = iota
	LogTCP
)

func logTransportWords() []word[LogTransport] {
	return []word[LogTransport]{{LogUDP, "udp", nil}, {LogTCP, "tcp", nil}}
}

// String returns the word of the file.
func (t LogTransport) String() string { return spell(logTransportWords(), t) }

// LogDetail is how much a target is told.
type LogDetail uint8

// The details.
const (
	LogBlocks   LogDetail = iota // no sessions, and so no destinations (RFC 6888 REQ-12)
	LogSessions                  // sessions of groups with session_logging too
)

func logDetailWords() []word[LogDetail] {
	return []word[LogDetail]{{LogBlocks, "block", nil}, {LogSessions, "session", nil}}
}

// LogFormat is the form of a syslog target's lines.
type LogFormat uint8

// The formats.
const (
	LogFormatProfile LogFormat = iota // as the group's log profile says
	LogFormatNetScaler
	LogFormatCompact
)

func logFormatWords() []word[LogFormat] {
	return []word[LogFormat]{{LogFormatProfile, "profile", nil}, {LogFormatNetScaler, "netscaler", nil}, {LogFormatCompact, "compact", nil}}
}

// LogFraming is the header of a syslog message.
type LogFraming uint8

// The framings.
const (
	LogRFC3164 LogFraming = iota
	LogRFC5424
)

func logFramingWords() []word[LogFraming] {
	return []word[LogFraming]{{LogRFC3164, "rfc3164", nil}, {LogRFC5424, "rfc5424", nil}}
}

// LogNumbering is whose numbers IPFIX's natEvent has.
type LogNumbering uint8

// The numberings.
const (
	LogNumberingRFC8158 LogNumbering = iota
	LogNumberingJunos
)

func logNumberingWords() []word[LogNumbering] {
	return []word[LogNumbering]{{LogNumberingRFC8158, "rfc8158", []string{"rfc"}}, {LogNumberingJunos, "junos", nil}}
}

// facilityWords are syslog's facilities for local use, as NetScaler has them.
func facilityWords() (out []word[uint8]) {
	for n := range uint8(8) {
		out = append(out, word[uint8]{16 + n, "local" + string('0'+rune(n)), nil})
	}
	return out
}
