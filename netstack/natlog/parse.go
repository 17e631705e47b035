package natlog

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"spigate/netstack/frame"
)

// ParseCompact reads a line of the compact form (R32), without its syslog
// header and line end. NetScaler's codes are not published; these are ours. The
// grammar, as in RFC 5234 with single spaces:
//
//	line   = time SP seq SP event [SP "@" group]
//	event  = ("M+" / "M-") SP mode SP proto SP inside SP nat [SP remote]   ; mapping created, deleted
//	       / "S+" SP proto SP inside SP nat SP remote [SP spis]            ; session created
//	       / "S-" SP proto SP inside SP nat SP remote [SP spis] SP counts  ; session deleted
//	       / ("B+" / "B-") SP client SP addr SP port "-" port              ; block allocated, freed
//	       / ("XA" / "XP") SP proto SP client SP natip                     ; addresses, ports exhausted
//	       / ("QG" / "QS" / "QP" / "QT") SP proto SP client SP natip SP limit ; group sessions, subscriber's sessions, ports, session table
//	       / "G" SP lost SP time                                           ; gap: from this time to that of the line
//	time   = 1*DIGIT                      ; milliseconds since 1970-01-01 00:00 UTC
//	seq    = 1*DIGIT                      ; number of the line at this target, from 1; the same if it is sent again
//	mode   = "E" / "A" / "P" / "S"        ; EIM, ADM, APDM, STATIC
//	proto  = "T" / "U" / "I" / "E" / 1*3DIGIT ; TCP, UDP, ICMP, ESP, IANA's number for any other
//	inside = addr ":" port ["/" td]       ; td only if not 0
//	client = addr ["/" td]
//	nat    = addr ":" port
//	remote = nat / addr                   ; the address alone for mode A, nothing for modes E and S
//	natip  = addr / "-"
//	spis   = spi "," spi                  ; with proto E: to the client, to the server
//	spi    = 8HEXDIG / "-"                ; lower case; "-" = not known
//	counts = 1*DIGIT "," 1*DIGIT "," 1*DIGIT "," 1*DIGIT ; out packets, bytes; in packets, bytes
//
// addr is dotted, numbers are decimal without leading zeros.
//
// It takes exactly what this package writes: each record has one spelling. The
// name of a group comes back with a profile that says that it was written.
func ParseCompact(line string) (r Record, seq uint64, err error) {
	p := parser{rest: line}
	if body, group, ok := strings.Cut(line, " @"); ok {
		p.rest = body
		r.Group, r.Profile = group, &Profile{SubscriberInfo: true}
	}
	r.Wall = p.millis()
	seq = p.number(math.MaxUint64)
	p.event(&r)
	if p.err == nil && p.rest != "" {
		p.fail("ends with", p.rest)
	}
	if p.err == nil && string(appendCompact(nil, &r, seq)) != line {
		p.err = errors.New("not spelled as this program spells it")
	}
	if p.err != nil {
		return Record{}, 0, fmt.Errorf("compact NAT log line: %w", p.err)
	}
	return r, seq, nil
}

// parser takes a line apart. After the first error every getter returns zero.
type parser struct {
	rest string
	err  error
}

func (p *parser) fail(what, text string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s %q", what, text)
	}
}

// word takes the text up to the next space.
func (p *parser) word() string {
	var w string
	w, p.rest, _ = strings.Cut(p.rest, " ")
	return w
}

func (p *parser) event(r *Record) {
	code := p.word()
	for r.Kind = MappingCreated; r.Kind < kinds; r.Kind++ {
		for r.Quota = 0; r.Quota < quotas; r.Quota++ {
			if r.code() == code && (r.Quota == 0 || r.Kind == QuotaExceeded) {
				p.body(r)
				return
			}
		}
	}
	p.fail("no event has the code", code)
	// The loops have left both behind their last values.
	r.Kind, r.Quota = 0, 0
}

func (p *parser) body(r *Record) {
	switch {
	case r.Kind.isMapping():
		p.mapping(r)
	case r.Kind.isSession():
		p.session(r)
	case r.Kind.isBlock():
		p.client(r)
		r.Outside.Addr = p.addr(p.word())
		first, last, _ := strings.Cut(p.word(), "-")
		r.First, r.Last = p.port(first), p.port(last)
	case r.Kind == Started:
	case r.Kind == Gap:
		r.Lost, r.LostFrom = p.number(math.MaxUint64), p.millis()
	default:
		r.Proto = p.proto()
		p.client(r)
		if nat := p.word(); nat != "-" {
			r.Outside.Addr = p.addr(nat)
		}
		if r.Kind == QuotaExceeded {
			r.Limit = uint32(p.number(math.MaxUint32))
		}
	}
}

func (p *parser) mapping(r *Record) {
	word := p.word()
	found := false
	for m, code := range modeCodes() {
		if code == word {
			r.Mode, found = Mode(m), true
		}
	}
	if !found {
		p.fail("no mapping has the mode", word)
	}
	p.inside(r)
	switch r.Mode {
	case ADM:
		r.Remote.Addr = p.addr(p.word())
	case APDM:
		r.Remote = p.endpoint(p.word())
	}
}

func (p *parser) session(r *Record) {
	p.inside(r)
	r.Remote = p.endpoint(p.word())
	if r.Proto == protoESP {
		in, out, _ := strings.Cut(p.word(), ",")
		r.SPIIn, r.SPIOut = p.spi(in), p.spi(out)
	}
	if r.Kind != SessionDeleted {
		return
	}
	counts := strings.Split(p.word(), ",")
	if len(counts) != 4 {
		p.fail("not four counts:", strings.Join(counts, ","))
		return
	}
	for i, to := range []*uint64{&r.Packets[0], &r.Bytes[0], &r.Packets[1], &r.Bytes[1]} {
		*to = p.uint(counts[i], math.MaxUint64)
	}
}

func (p *parser) inside(r *Record) {
	r.Proto = p.proto()
	inside := p.domain(r, p.word())
	r.Inside = p.endpoint(inside)
	r.Outside = p.endpoint(p.word())
}

func (p *parser) client(r *Record) { r.Inside.Addr = p.addr(p.domain(r, p.word())) }

// domain takes the traffic domain off a word.
func (p *parser) domain(r *Record, word string) string {
	word, td, ok := strings.Cut(word, "/")
	if ok {
		r.Domain = uint16(p.uint(td, math.MaxUint16))
	}
	return word
}

func (p *parser) proto() uint8 {
	switch word := p.word(); word {
	case "T":
		return protoTCP
	case "U":
		return protoUDP
	case "I":
		return protoICMP
	case "E":
		return protoESP
	default:
		return uint8(p.uint(word, math.MaxUint8))
	}
}

func (p *parser) endpoint(text string) frame.Endpoint {
	addr, port, _ := strings.Cut(text, ":")
	return frame.Endpoint{Addr: p.addr(addr), Port: p.port(port)}
}

func (p *parser) addr(text string) frame.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		p.fail("not an IPv4 address:", text)
		return frame.Addr{}
	}
	return a.As4()
}

func (p *parser) port(text string) uint16 { return uint16(p.uint(text, math.MaxUint16)) }

func (p *parser) spi(text string) uint32 {
	if text == "-" {
		return 0
	}
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil {
		p.fail("not an SPI:", text)
	}
	return uint32(n)
}

func (p *parser) number(most uint64) uint64 { return p.uint(p.word(), most) }

func (p *parser) uint(text string, most uint64) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > most {
		p.fail("not a number in range:", text)
		return 0
	}
	return n
}

func (p *parser) millis() int64 {
	return int64(p.number(uint64(math.MaxInt64/time.Millisecond))) * int64(time.Millisecond)
}
