package wire

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"spigate/netstack"
	"spigate/netstack/frame"
)

// words are the words of a line: plain ones, and key=value. Each must be asked
// for, or the line is refused: a word that means nothing is a mistake.
type words struct {
	plain []string
	keys  map[string]string
	err   error // the first mistake
}

func newWords(text string) *words {
	w := &words{keys: map[string]string{}}
	for _, f := range strings.Fields(text) {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.keys[k] = v
		} else {
			w.plain = append(w.plain, f)
		}
	}
	return w
}

func (w *words) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// next takes the first plain word.
func (w *words) next(what string) string {
	if len(w.plain) == 0 {
		w.fail("%s is missing", what)
		return ""
	}
	first := w.plain[0]
	w.plain = w.plain[1:]
	return first
}

// flag takes a plain word, if it is there.
func (w *words) flag(name string) bool {
	for i, p := range w.plain {
		if p == name {
			w.plain = append(append([]string{}, w.plain[:i]...), w.plain[i+1:]...)
			return true
		}
	}
	return false
}

// key takes a key's value.
func (w *words) key(name string) (string, bool) {
	v, ok := w.keys[name]
	delete(w.keys, name)
	return v, ok
}

// number takes a key's value, decimal unless base says otherwise.
func (w *words) number(name string, def uint64, base, bits int) uint64 {
	v, ok := w.key(name)
	if !ok {
		return def
	}
	return w.parse(name, v, base, bits)
}

func (w *words) parse(name, v string, base, bits int) uint64 {
	n, err := strconv.ParseUint(v, base, bits)
	if err != nil {
		w.fail("%s: %q is no number", name, v)
	}
	return n
}

// two takes a key's value of two numbers with sep in between; the second may
// be missing.
func (w *words) two(name, sep string, base int) (a, b uint64) {
	v, ok := w.key(name)
	if !ok {
		return 0, 0
	}
	first, second, both := strings.Cut(v, sep)
	a = w.parse(name, first, base, 64)
	if both {
		b = w.parse(name, second, base, 64)
	}
	return a, b
}

func (w *words) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		w.fail("%q is no duration", text)
	}
	return d
}

func (w *words) hex(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		w.fail("%q is not hexadecimal", text)
	}
	return b
}

// done fails if anything was not asked for.
func (w *words) done() error {
	for _, p := range w.plain {
		w.fail("%q means nothing here", p)
	}
	for k := range w.keys {
		w.fail("%q means nothing here", k+"=")
	}
	return w.err
}

// end is one end of a packet as a script writes it: NAME, NAME:PORT or
// NAME:WORD, where the word stands for a port that need not be known yet.
type end struct {
	addr frame.Addr
	port uint16
	word string // stands for a port that is not known yet
	has  bool   // a port was given
}

// end resolves the text of an end.
func (w *world) end(in *words, text string) end {
	name, port, has := strings.Cut(text, ":")
	e := end{addr: w.addr(in, name), has: has}
	if !has {
		return e
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		e.port = uint16(n)
	} else if n, ok := w.numbers[port]; ok {
		e.port = n
	} else {
		e.word = port
	}
	return e
}

// natNames are the NAT addresses that need no declaration.
var natNames = map[string]frame.Addr{"nat": {203, 0, 113, 3}, "nat2": {203, 0, 113, 4}, "nat3": {203, 0, 113, 5}}

func (w *world) addr(in *words, name string) frame.Addr {
	if a, ok := natNames[name]; ok {
		return a
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Is4() {
		return a.As4()
	}
	h, err := w.host(name)
	if err != nil {
		in.fail("%w", err)
		return frame.Addr{}
	}
	return h.addr
}

// standardHosts are the hosts that need no declaration: port, address, and the
// host behind which they are.
var standardHosts = map[string][3]string{
	"gateway": {"wan", "203.0.113.254"}, "gateway2": {"wan", "203.0.113.253"},
	"transit": {"wan", "198.51.100.1", "gateway"}, "stranger": {"wan", "198.51.100.66", "gateway"},
}

// host returns a host by name, and lets the router meet it.
func (w *world) host(name string) (*host, error) {
	if h, ok := w.hosts[name]; ok {
		w.meet(h)
		return h, nil
	}
	def, ok := standardHosts[name]
	if n, err := strconv.ParseUint(strings.TrimPrefix(name, "client"), 10, 8); !ok && err == nil && n > 0 && n < 200 {
		def, ok = [3]string{"lan", fmt.Sprintf("192.0.2.%d", 10+n)}, true
	}
	if !ok {
		return nil, fmt.Errorf("no host is called %q", name)
	}
	return w.addHost(name, def[0], def[1], def[2])
}

func (w *world) addHost(name, on, address, via string) (*host, error) {
	p, err := w.port(on)
	if err != nil {
		return nil, err
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	h := &host{name: name, addr: a.As4(), port: p}
	if via != "" {
		if h.via, err = w.host(via); err != nil {
			return nil, err
		}
	}
	w.hosts[name] = h
	w.meet(h)
	return h, nil
}

// hostOf returns the host that has an address in a traffic domain.
func (w *world) hostOf(a frame.Addr, domain uint16) *host {
	for _, h := range w.hosts {
		if h.addr == a && h.port.domain == domain {
			return h
		}
	}
	return nil
}

// inside reports whether a is a subscriber's address in a traffic domain.
func (w *world) inside(a frame.Addr, domain uint16) bool {
	_, ok := w.chassis.Router(domain).LSN().Client(a)
	return ok
}

// router returns the router of "td=N", 0 if the line does not say.
func (w *world) router(in *words) *netstack.Router {
	domain := in.number("td", 0, 10, 16)
	if r := w.chassis.Router(uint16(domain)); r != nil {
		return r
	}
	in.fail("no VLAN is in traffic domain %d", domain)
	return w.chassis.Routers()[0]
}

// routers returns the router of "td=N", all if the line does not say.
func (w *world) routers(in *words) []*netstack.Router {
	if _, said := in.keys["td"]; said {
		return []*netstack.Router{w.router(in)}
	}
	return w.chassis.Routers()
}
