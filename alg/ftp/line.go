package ftp

import (
	"bytes"
	"strconv"

	"spigate/netstack/frame"
)

// form is how a line writes an endpoint.
type form uint8

const (
	commas   form = iota // h1,h2,h3,h4,p1,p2: PORT and 227 (RFC 959 section 4.1.2)
	bars                 // |1|h1.h2.h3.h4|port|: EPRT (RFC 2428 section 2)
	portOnly             // port: within the bars of 229 (RFC 2428 section 3)
)

// announcement is an endpoint that a line names, and where it stands there.
type announcement struct {
	form      form
	bar       byte           // what stands for | in bars
	at, end   int            // of its text in the line
	named     frame.Endpoint // the address is zero with portOnly
	addressed bool           // the text has an address
}

// maxText is the longest text of an endpoint: |1|255.255.255.255|65535|.
const maxText = 25

// text appends the endpoint to b in the announcement's form.
func (a *announcement) text(b []byte, e frame.Endpoint) []byte {
	switch a.form {
	case commas:
		for _, n := range e.Addr {
			b = append(strconv.AppendUint(b, uint64(n), 10), ',')
		}
		b = append(strconv.AppendUint(b, uint64(e.Port>>8), 10), ',')
		return strconv.AppendUint(b, uint64(e.Port&0xff), 10)
	case bars:
		b = append(b, a.bar, '1', a.bar)
		b = append(e.Addr.Netip().AppendTo(b), a.bar)
		return append(strconv.AppendUint(b, uint64(e.Port), 10), a.bar)
	}
	return strconv.AppendUint(b, uint64(e.Port), 10)
}

// parseCommand finds the endpoint in a client's line: PORT or EPRT. The line
// has no end of line any more.
func parseCommand(line []byte) (announcement, bool) {
	const verb = 5 // with its space
	if len(line) < verb {
		return announcement{}, false
	}
	arg := line[:verb+len(bytes.TrimRight(line[verb:], " "))]
	switch {
	case bytes.EqualFold(line[:verb], []byte("PORT ")):
		a, rest, ok := parseCommas(arg, verb)
		return a, ok && len(rest) == 0
	case bytes.EqualFold(line[:verb], []byte("EPRT ")):
		return parseBars(arg, verb)
	}
	return announcement{}, false
}

// parseReply finds the endpoint in a server's line: 227 or 229, but not as the
// first of several lines ("227-"). The text around it is free, and the
// parentheses of 227 are missing with some servers (RFC 1123 section 4.1.2.6).
func parseReply(line []byte) (announcement, bool) {
	switch {
	case bytes.HasPrefix(line, []byte("227 ")):
		at := bytes.IndexAny(line[4:], "0123456789")
		if at < 0 {
			return announcement{}, false
		}
		a, _, ok := parseCommas(line, 4+at)
		return a, ok
	case bytes.HasPrefix(line, []byte("229 ")):
		return parseExtended(line)
	}
	return announcement{}, false
}

// parseCommas reads six numbers from at on and returns what follows them.
func parseCommas(line []byte, at int) (announcement, []byte, bool) {
	var n [6]byte
	rest := line[at:]
	for i := range n {
		v, after, ok := number(rest, 255)
		if !ok || i < 5 && (len(after) == 0 || after[0] != ',') {
			return announcement{}, nil, false
		}
		n[i], rest = byte(v), after
		if i < 5 {
			rest = rest[1:]
		}
	}
	named := frame.Endpoint{Addr: frame.Addr(n[:4]), Port: uint16(n[4])<<8 | uint16(n[5])}
	return announcement{form: commas, at: at, end: len(line) - len(rest), named: named, addressed: true}, rest, true
}

// parseBars reads |1|address|port| from at to the end of the line; any printable
// character may stand for the bar.
func parseBars(line []byte, at int) (announcement, bool) {
	text := line[at:]
	if len(text) == 0 || !delimiter(text[0]) {
		return announcement{}, false
	}
	fields := bytes.Split(text, text[:1])
	if len(fields) != 5 || len(fields[4]) != 0 || string(fields[1]) != "1" {
		return announcement{}, false // another family is IPv6
	}
	a := announcement{form: bars, bar: text[0], at: at, end: len(line), addressed: true}
	rest := fields[2]
	for i := range a.named.Addr {
		v, after, ok := number(rest, 255)
		if !ok || i < 3 && (len(after) == 0 || after[0] != '.') || i == 3 && len(after) > 0 {
			return announcement{}, false
		}
		a.named.Addr[i], rest = byte(v), after
		if i < 3 {
			rest = rest[1:]
		}
	}
	port, after, ok := number(fields[3], 65535)
	a.named.Port = uint16(port)
	return a, ok && len(after) == 0
}

// parseExtended reads (|||port|) of the reply 229.
func parseExtended(line []byte) (announcement, bool) {
	open := bytes.IndexByte(line, '(')
	if open < 0 || len(line) < open+4 {
		return announcement{}, false
	}
	bar := line[open+1]
	if !delimiter(bar) || line[open+2] != bar || line[open+3] != bar {
		return announcement{}, false
	}
	at := open + 4
	port, rest, ok := number(line[at:], 65535)
	if !ok || len(rest) < 2 || rest[0] != bar || rest[1] != ')' {
		return announcement{}, false
	}
	return announcement{form: portOnly, at: at, end: len(line) - len(rest), named: frame.Endpoint{Port: uint16(port)}}, true
}

// delimiter reports whether b may stand for the bar: any printable character
// (RFC 2428 section 2), and here no digit or full stop, which the fields have.
func delimiter(b byte) bool { return b >= 33 && b <= 126 && b != '.' && (b < '0' || b > '9') }

// number reads a decimal number of at most five digits and at most most.
func number(b []byte, most uint32) (v uint32, rest []byte, ok bool) {
	i := 0
	for i < len(b) && i < 5 && b[i] >= '0' && b[i] <= '9' {
		v = v*10 + uint32(b[i]-'0')
		i++
	}
	return v, b[i:], i > 0 && v <= most
}
