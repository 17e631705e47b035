package natlog

import (
	"strconv"
	"time"
)

// Format is the form of a syslog target's lines.
type Format uint8

// The formats.
const (
	FormatProfile   Format = iota // as the group's log profile says (logCompact), without one FormatNetScaler
	FormatNetScaler               // long lines (R30, R31)
	FormatCompact                 // short lines (R32)
)

// Framing is the syslog header that stands before a line.
type Framing uint8

// The framings.
const (
	RFC3164 Framing = iota // <PRI>Mmm dd hh:mm:ss HOST …, which every collector takes
	RFC5424                // <PRI>1 TIME HOST spigate - MSGID - …
)

// A syslog priority is facility·8 + severity; NAT records are informational.
const severityInfo = 6

// syslog writes one line for each record. Over UDP each is a datagram of its
// own (RFC 5426); over TCP lines end with LF (RFC 6587 section 3.4.2), which
// collectors take without being told, other than octet counts. No line of ours
// has an LF inside.
type syslog struct {
	format   Format
	framing  Framing
	priority uint64
	host     string
	fixed    bool // host is the configuration's
	stream   bool // TCP
	most     int  // bytes of one message over TCP

	buf []byte
}

func newSyslog(t *Target) *syslog {
	return &syslog{
		format: t.Format, framing: t.Framing, priority: uint64(t.Facility)*8 + severityInfo,
		host: t.Host, fixed: t.Host != "", stream: t.Network == "tcp", most: t.MessageSize,
	}
}

// reset: a new connection changes nothing but, where nobody has set one, the
// host: R30 wants the address that the message is sent from.
func (s *syslog) reset(local string) {
	if !s.fixed {
		s.host = local
	}
}

// encode writes the first records of batch as one message.
func (s *syslog) encode(batch []Record, number uint64, now time.Time) (message []byte, used int) {
	s.buf = s.buf[:0]
	for i := range batch {
		start := len(s.buf)
		s.buf = s.line(s.buf, &batch[i], number+uint64(i), now)
		if !s.stream {
			return s.buf, 1
		}
		s.buf = append(s.buf, '\n')
		if i > 0 && len(s.buf) > s.most {
			return s.buf[:start], i
		}
	}
	return s.buf, len(batch)
}

func (s *syslog) line(dst []byte, r *Record, number uint64, now time.Time) []byte {
	dst = strconv.AppendUint(append(dst, '<'), s.priority, 10)
	dst = append(dst, '>')
	if s.framing == RFC5424 {
		dst = append(dst, "1 "...)
		dst = now.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
		dst = append(append(append(dst, ' '), s.host...), " spigate - "...)
		dst = append(append(dst, r.messageID()...), " - "...)
	} else {
		dst = now.UTC().AppendFormat(dst, time.Stamp)
		dst = append(append(append(dst, ' '), s.host...), ' ')
	}
	if s.compact(r) {
		if s.framing == RFC3164 {
			// A tag (RFC 3164 section 4.1.3): else daemons take the time for one.
			// The long form has none because NetScaler's lines have none.
			dst = append(dst, "nat: "...)
		}
		return appendCompact(dst, r, number)
	}
	return appendLong(dst, r, number)
}

func (s *syslog) compact(r *Record) bool {
	if s.format == FormatProfile {
		return r.Profile != nil && r.Profile.Compact
	}
	return s.format == FormatCompact
}

// due: syslog has nothing to say between records.
func (s *syslog) due(time.Time) []byte { return nil }
