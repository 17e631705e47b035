package filter

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"spigate/netstack/frame"
)

// Error says where an expression is wrong, and what would be right.
type Error struct {
	At   int    // bytes from the beginning of the text
	Says string // lower case
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.At+1, e.Says) }

// Parse reads an expression. vlans are the names that "in" and "out" know. A
// text without a word is nil, which matches everything. The error is an *Error.
func Parse(text string, vlans map[string]frame.Interface) (*Expr, error) {
	if len(text) > MaxText {
		return nil, &Error{MaxText, fmt.Sprintf("the expression is longer than %d bytes", MaxText)}
	}
	p := &parser{vlans: vlans, tokens: split(text), end: len(text)}
	if len(p.tokens) == 0 {
		return nil, nil
	}
	if _, err := p.any(0); err != nil {
		return nil, err
	}
	if t, more := p.peek(); more {
		if t.text == ")" {
			return nil, &Error{t.at, "this ) closes nothing"}
		}
		return nil, &Error{t.at, fmt.Sprintf("%q does not follow from what stands before it: want and, or", t.text)}
	}
	return &Expr{p.nodes}, nil
}

type token struct {
	text string // lower case, but for names of VLANs
	at   int
}

// split cuts a text at white space and around parentheses and signs.
func split(text string) (out []token) {
	for i := 0; i < len(text); {
		n := 1
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '(' || c == ')' || c == '!':
		case strings.HasPrefix(text[i:], "&&") || strings.HasPrefix(text[i:], "||"):
			n = 2
		default:
			if n = strings.IndexAny(text[i:], " \t\n\r()"); n < 0 {
				n = len(text) - i
			}
		}
		out = append(out, token{text[i : i+n], i})
		i += n
	}
	return out
}

type parser struct {
	vlans  map[string]frame.Interface
	tokens []token
	next   int
	end    int // of the text
	nodes  []node
	words  int
}

func (p *parser) peek() (token, bool) {
	if p.next == len(p.tokens) {
		return token{at: p.end}, false
	}
	return p.tokens[p.next], true
}

// is takes the next token if it is one of these words.
func (p *parser) is(words ...string) bool {
	t, ok := p.peek()
	if !ok || !slices.Contains(words, strings.ToLower(t.text)) {
		return false
	}
	p.next++
	return true
}

func (p *parser) add(n node) int {
	p.nodes = append(p.nodes, n)
	return len(p.nodes) - 1
}

// any reads alternatives, and returns their node.
func (p *parser) any(depth int) (int, error) {
	a, err := p.all(depth)
	for err == nil && p.is("or", "||") {
		var b int
		if b, err = p.all(depth); err == nil {
			a = p.add(node{op: opOr, a: a, b: b})
		}
	}
	return a, err
}

func (p *parser) all(depth int) (int, error) {
	a, err := p.one(depth)
	for err == nil && p.is("and", "&&") {
		var b int
		if b, err = p.one(depth); err == nil {
			a = p.add(node{op: opAnd, a: a, b: b})
		}
	}
	return a, err
}

func (p *parser) one(depth int) (int, error) {
	t, ok := p.peek()
	switch {
	case !ok:
		return 0, &Error{p.end, "the expression ends here: want " + wanted}
	case depth > MaxDepth:
		return 0, &Error{t.at, fmt.Sprintf("more than %d parentheses and nots inside each other", MaxDepth)}
	case p.is("not", "!"):
		a, err := p.one(depth + 1)
		if err != nil {
			return 0, err
		}
		return p.add(node{op: opNot, a: a}), nil
	case p.is("("):
		a, err := p.any(depth + 1)
		if err != nil {
			return 0, err
		}
		if !p.is(")") {
			at, _ := p.peek()
			return 0, &Error{at.at, fmt.Sprintf("want ) for the ( at character %d, or and, or", t.at+1)}
		}
		return a, nil
	}
	return p.word(t)
}

// wanted is what a word may be, for errors.
const wanted = "host, net, port (with src or dst before it), udp, tcp, icmp, esp, ah, gre, proto, spi, ip, arp, fragment, in, out, not or ("

// word reads what chooses something.
func (p *parser) word(t token) (int, error) {
	if p.words++; p.words > MaxWords {
		return 0, tooMany(t)
	}
	name := strings.ToLower(t.text)
	if p.is("src", "dst") {
		n := node{side: source}
		if name == "dst" {
			n.side = destination
		}
		return p.sided(n)
	}
	if name == "host" || name == "net" || name == "port" {
		return p.sided(node{})
	}
	p.next++
	switch name {
	case "icmp", "esp", "ah", "gre":
		return p.add(node{op: opProto, proto: protoWords[name], name: name}), nil
	case "udp", "tcp":
		return p.ported(node{op: opProto, proto: protoWords[name], name: name})
	case "ip":
		return p.add(node{op: opKind, low: frame.TypeIPv4, name: name}), nil
	case "arp":
		return p.add(node{op: opKind, low: frame.TypeARP, name: name}), nil
	case "fragment":
		return p.add(node{op: opFragment, name: name}), nil
	case "proto":
		return p.proto()
	case "spi":
		return p.spi()
	case "in", "out":
		return p.vlan(name)
	}
	return 0, &Error{t.at, fmt.Sprintf("%q is no word of a filter: want %s", t.text, wanted)}
}

func tooMany(t token) error { return &Error{t.at, fmt.Sprintf("more than %d words", MaxWords)} }

// ported reads what may stand behind udp and tcp: their port.
func (p *parser) ported(proto node) (int, error) {
	a := p.add(proto)
	n := node{}
	switch at := p.next; {
	case p.is("src"):
		n.side = source
	case p.is("dst"):
		n.side = destination
	case p.is("port"):
		p.next = at
	default:
		return a, nil
	}
	if p.words++; p.words > MaxWords {
		return 0, tooMany(p.tokens[p.next-1])
	}
	b, err := p.sided(n)
	if err != nil {
		return 0, err
	}
	return p.add(node{op: opAnd, a: a, b: b}), nil
}

// sided reads host, net or port with its value.
func (p *parser) sided(n node) (int, error) {
	word, ok := p.peek()
	if !ok || !p.is("host", "net", "port") {
		return 0, &Error{word.at, fmt.Sprintf("want host, net or port behind src and dst%s", found(word))}
	}
	t, ok := p.peek()
	if !ok {
		return 0, &Error{t.at, fmt.Sprintf("a value is missing behind %q", word.text)}
	}
	p.next++
	var err error
	switch strings.ToLower(word.text) {
	case "host":
		err = n.host(t)
	case "net":
		err = n.network(t)
	default:
		err = n.ports(t)
	}
	if err != nil {
		return 0, err
	}
	return p.add(n), nil
}

func found(t token) string {
	if t.text == "" {
		return ""
	}
	return fmt.Sprintf(", not %q", t.text)
}

func (n *node) host(t token) error {
	a, err := netip.ParseAddr(t.text)
	if err != nil || !a.Is4() {
		return &Error{t.at, fmt.Sprintf("%q is not an IPv4 address", t.text)}
	}
	n.op, n.mask, n.addr = opNet, 1<<32-1, number(a)
	return nil
}

func (n *node) network(t token) error {
	x, err := netip.ParsePrefix(t.text)
	if err != nil || !x.Addr().Is4() {
		return &Error{t.at, fmt.Sprintf("%q is not a network like 192.0.2.0/24", t.text)}
	}
	if x != x.Masked() {
		return &Error{t.at, fmt.Sprintf("%q has host bits: write %s, or host %s", t.text, x.Masked(), x.Addr())}
	}
	n.op, n.mask, n.addr = opNet, uint32(uint64(1<<32-1)<<(32-x.Bits())), number(x.Addr())
	return nil
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func (n *node) ports(t token) error {
	first, last, several := strings.Cut(t.text, "-")
	if !several {
		last = first
	}
	low, err1 := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || low > high {
		return &Error{t.at, fmt.Sprintf("%q is not a port (0-65535), nor some, like 1024-2047", t.text)}
	}
	n.op, n.low, n.high = opPort, uint16(low), uint16(high)
	return nil
}

func (p *parser) proto() (int, error) {
	t, _ := p.peek()
	word := strings.ToLower(t.text)
	proto, known := protoWords[word]
	if !known {
		n, err := strconv.ParseUint(word, 10, 8)
		if err != nil {
			return 0, &Error{t.at, fmt.Sprintf("%q is not an IP protocol: want a number (0-255), or udp, tcp, icmp, esp, ah, gre", t.text)}
		}
		proto = uint8(n)
	}
	p.next++
	return p.add(node{op: opProto, proto: proto, name: fmt.Sprintf("proto %d", proto)}), nil
}

func (p *parser) spi() (int, error) {
	t, _ := p.peek()
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(t.text), "0x"), 16, 32)
	if err != nil || n == 0 {
		return 0, &Error{t.at, fmt.Sprintf("%q is not an SPI, up to 8 hex digits", t.text)}
	}
	p.next++
	return p.add(node{op: opSPI, spi: uint32(n)}), nil
}

// vlan reads the name behind in and out.
func (p *parser) vlan(word string) (int, error) {
	t, _ := p.peek()
	i, known := p.vlans[t.text]
	if !known {
		var names []string
		for name := range p.vlans {
			names = append(names, name)
		}
		slices.Sort(names)
		return 0, &Error{t.at, fmt.Sprintf("%q is no VLAN or tunnel: want one of %s", t.text, strings.Join(names, ", "))}
	}
	p.next++
	n := node{op: opIn, iface: i, name: word + " " + t.text}
	if word == "out" {
		n.op = opOut
	}
	return p.add(n), nil
}
