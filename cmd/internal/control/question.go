package control

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The parts of a question about a packet, as they stand in a request and as
// flags of "explain".
const (
	ByIn       = "in"       // VLAN or tunnel that it comes in by
	ByFrame    = "frame"    // what it is, see ParseFrame
	ByFlags    = "flags"    // of TCP
	ByTTL      = "ttl"      // time to live
	BySize     = "size"     // of the IP packet
	ByDF       = "df"       // must not be cut
	ByPayload  = "payload"  // behind the transport header, in hex digits
	ByUnsealed = "unsealed" // it came out of a tunnel
	ByHex      = "hex"      // instead of what it is: all of its bytes, see Question.Hex
)

// FiltersOfExplain returns the parts of a question to "explain".
func FiltersOfExplain() []string {
	return []string{ByIn, ByFrame, ByFlags, ByTTL, BySize, ByDF, ByPayload, ByUnsealed, ByHex, ByTD}
}

// Question is the packet that "explain" is asked about.
type Question struct {
	In       string // required
	Frame    Frame  // required, or Hex
	Flags    TCPFlags
	TTL      uint8  // 0: 64
	Size     uint16 // bytes, 0: as long as it has to be
	DF       bool
	Payload  string // bytes
	Unsealed bool

	// Hex is a frame itself, as bytes, from the destination MAC address on and with its
	// tag, which says by which VLAN of In's port it comes in. Or a packet from its IPv4
	// header on. In and Unsealed alone go with it.
	Hex string
}

// Whole reports whether there is enough to be asked: where it comes in, and what
// it is.
func (q *Question) Whole() bool { return q.In != "" && (q.Frame != Frame{} || q.Hex != "") }

// Contradicts says what of a question does not go together, "" if nothing.
func (q *Question) Contradicts() string {
	rest := *q
	rest.In, rest.Hex, rest.Unsealed = "", "", false
	if q.Hex != "" && rest != (Question{}) {
		return fmt.Sprintf("with %s, which holds the whole frame, only %s and %s go", ByHex, ByIn, ByUnsealed)
	}
	return ""
}

// set sets one part from text; known is false if there is none of that name.
func (q *Question) set(name, text string) (known bool, err error) {
	switch name {
	case ByIn:
		q.In, err = parseName(text)
	case ByFrame:
		q.Frame, err = ParseFrame(text)
	case ByFlags:
		q.Flags, err = parseTCPFlags(text)
	case ByTTL:
		q.TTL, err = parseTTL(text)
	case BySize:
		q.Size, err = parseSize(text)
	case ByDF:
		q.DF, err = parseBool(text)
	case ByPayload:
		q.Payload, err = parsePayload(text)
	case ByUnsealed:
		q.Unsealed, err = parseBool(text)
	case ByHex:
		q.Hex, err = parseHex(text)
	default:
		return false, nil
	}
	return true, err
}

// values puts the parts that are set into a request.
func (q *Question) values(set func(name string, is bool, value any)) {
	set(ByIn, q.In != "", q.In)
	set(ByFrame, q.Frame != Frame{}, q.Frame)
	set(ByFlags, q.Flags != 0, q.Flags)
	set(ByTTL, q.TTL != 0, q.TTL)
	set(BySize, q.Size != 0, q.Size)
	set(ByDF, q.DF, q.DF)
	set(ByPayload, q.Payload != "", hex.EncodeToString([]byte(q.Payload)))
	set(ByUnsealed, q.Unsealed, q.Unsealed)
	set(ByHex, q.Hex != "", hex.EncodeToString([]byte(q.Hex)))
}

// Frame is what a packet is: protocol and ends.
type Frame struct {
	Protocol         uint8
	SourceIP, DestIP netip.Addr
	SourcePort       uint16 // TCP, UDP
	DestPort         uint16
	ICMPID           uint16
	Reply            bool // of a ping
	SPI              SPI
}

// words of a frame whose protocols have parts of their own.
const (
	wordTCP   = "tcp"
	wordUDP   = "udp"
	wordESP   = "esp"
	wordICMP  = "icmp"
	wordReply = "icmp-reply"
)

// forms is what ParseFrame takes, for its errors.
const forms = "udp,SRC:PORT,DST:PORT, tcp,SRC:PORT,DST:PORT, icmp,SRC,DST[,ID], icmp-reply,SRC,DST[,ID], esp,SRC,DST,SPI or NUMBER,SRC,DST"

// ParseFrame reads PROTOCOL,SOURCE,DESTINATION and what the protocol has besides:
//
//	udp,192.0.2.10:500,198.51.100.9:500    tcp the same
//	icmp,192.0.2.10,198.51.100.9,7         a ping with the identifier 7 (1 without); icmp-reply is its answer
//	esp,198.51.100.9,203.0.113.3,c0ffee01  an SPI, in hex
//	47,192.0.2.10,198.51.100.9             any other IP protocol; gre, ah, ospf, ipip and sctp have names
func ParseFrame(text string) (Frame, error) {
	parts := strings.Split(text, ",")
	if len(parts) < 3 || len(parts) > 4 {
		return Frame{}, fmt.Errorf("%q is not a frame, want %s", text, forms)
	}
	f, err := Frame{}, error(nil)
	more := ""
	if len(parts) == 4 {
		more = parts[3]
	}
	switch word := strings.ToLower(parts[0]); {
	case len(parts) == 4 && word != wordESP && word != wordICMP && word != wordReply:
		return f, fmt.Errorf("%q has a part too many, want %s", text, forms)
	case word == wordTCP || word == wordUDP:
		return parsePorted(word, parts[1], parts[2])
	case word == wordICMP || word == wordReply:
		f.Protocol, f.Reply = protoICMP, word == wordReply
		f.ICMPID, err = parseICMPID(more)
	case word == wordESP:
		f.Protocol = protoESP
		f.SPI, err = parseSPI(more)
	default:
		f.Protocol, err = parseProtocol(word)
	}
	if err != nil {
		return Frame{}, err
	}
	if f.SourceIP, err = parseEnd(parts[1]); err == nil {
		f.DestIP, err = parseEnd(parts[2])
	}
	if err != nil {
		return Frame{}, err
	}
	return f, nil
}

// String is what ParseFrame takes.
func (f Frame) String() string {
	switch f.Protocol {
	case protoTCP, protoUDP:
		return fmt.Sprintf("%s,%s,%s", strings.ToLower(ProtocolName(f.Protocol)), netip.AddrPortFrom(f.SourceIP, f.SourcePort), netip.AddrPortFrom(f.DestIP, f.DestPort))
	case protoICMP:
		word := wordICMP
		if f.Reply {
			word = wordReply
		}
		return fmt.Sprintf("%s,%s,%s,%d", word, f.SourceIP, f.DestIP, f.ICMPID)
	case protoESP:
		return fmt.Sprintf("%s,%s,%s,%s", wordESP, f.SourceIP, f.DestIP, f.SPI)
	}
	return fmt.Sprintf("%d,%s,%s", f.Protocol, f.SourceIP, f.DestIP)
}

func parsePorted(word, src, dst string) (f Frame, err error) {
	f.Protocol = map[string]uint8{wordTCP: protoTCP, wordUDP: protoUDP}[word]
	for _, end := range []struct {
		text string
		ip   *netip.Addr
		port *uint16
	}{{src, &f.SourceIP, &f.SourcePort}, {dst, &f.DestIP, &f.DestPort}} {
		a, err := netip.ParseAddrPort(end.text)
		if err != nil || !a.Addr().Is4() {
			return Frame{}, fmt.Errorf("%q is not an IPv4 address with a port, like 192.0.2.10:40000", end.text)
		}
		*end.ip, *end.port = a.Addr(), a.Port()
	}
	return f, nil
}

func parseEnd(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address", text)
	}
	return a, nil
}

func parseICMPID(text string) (uint16, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not the identifier of a ping (0-65535)", text)
	}
	return uint16(n), nil
}

func parseProtocol(word string) (uint8, error) {
	switch word {
	case "ipip":
		return 4, nil
	case "gre":
		return 47, nil
	case "ah":
		return 51, nil
	case "ospf":
		return 89, nil
	case "sctp":
		return 132, nil
	}
	n, err := strconv.ParseUint(word, 10, 8)
	switch {
	case err != nil || n == 0:
		return 0, fmt.Errorf("%q is no protocol, want %s", word, forms)
	case n == protoTCP || n == protoUDP || n == protoICMP || n == protoESP:
		return 0, fmt.Errorf("protocol %d is written by its name, %s", n, strings.ToLower(ProtocolName(uint8(n))))
	}
	return uint8(n), nil
}

// TCPFlags are flags of TCP as in its header.
type TCPFlags uint8

var flagWords = [...]string{"fin", "syn", "rst", "psh", "ack", "urg"}

// String is the flags' words, joined by |.
func (t TCPFlags) String() string {
	var out []string
	for i, word := range flagWords {
		if t&(1<<i) != 0 {
			out = append(out, word)
		}
	}
	return strings.Join(out, "|")
}

func parseTCPFlags(text string) (t TCPFlags, err error) {
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == '|' || r == ',' || r == '+' }) {
		bit := TCPFlags(0)
		for i, known := range flagWords {
			if word == known {
				bit = 1 << i
			}
		}
		if bit == 0 {
			return 0, fmt.Errorf("%q is no flag of TCP: want some of %s", word, strings.Join(flagWords[:], "|"))
		}
		t |= bit
	}
	if t == 0 {
		return 0, fmt.Errorf("want some of %s", strings.Join(flagWords[:], "|"))
	}
	return t, nil
}

func parseTTL(text string) (uint8, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a time to live (1-255)", text)
	}
	return uint8(n), nil
}

func parseSize(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 20 {
		return 0, fmt.Errorf("%q is not the length of an IP packet (20-65535)", text)
	}
	return uint16(n), nil
}

func parseBool(text string) (bool, error) {
	if text != "true" {
		return false, errors.New("want true, or leave it out")
	}
	return true, nil
}

// mostPayload is what a request has room for.
const mostPayload = 4096

func parsePayload(text string) (string, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(b) == 0 || len(b) > mostPayload {
		return "", fmt.Errorf("a payload is an even number of hex digits, of %d bytes at most", mostPayload)
	}
	return string(b), nil
}

// parseHex reads a frame as people copy it from dumps: digits, with or without
// blanks and colons between them.
func parseHex(text string) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" :-\t\n", r) {
			return -1
		}
		return r
	}, strings.TrimPrefix(text, "0x"))
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) == 0 || len(b) > mostPayload {
		return "", fmt.Errorf("a frame is an even number of hex digits, of %d bytes at most, from its destination MAC address on", mostPayload)
	}
	return string(b), nil
}
