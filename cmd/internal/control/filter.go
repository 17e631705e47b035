package control

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Names of the filters, as they stand in a request and, with dashes, as flags
// of the command line.
const (
	BySourceIP = "source_ip"
	ByNATIP    = "nat_ip"
	ByDestIP   = "dest_ip"
	ByNATPort  = "nat_port"
	ByClient   = "client"
	ByNetwork  = "network"
	ByTD       = "td"
	ByVirtual  = "virtual" // virtual server, NAT or SNAT that admitted it
	BySelector = "selector"
	ByPeer     = "peer"
	BySPI      = "spi"
	ByName     = "name" // no flag: the word behind the noun
)

// MaxTD is the highest traffic domain.
const MaxTD = 4094

// maxName is the longest name of an object (rule R1).
const maxName = 127

// Filter chooses rows. The zero value chooses all; what is set is combined
// with "and".
type Filter struct {
	SourceIP netip.Addr   // the subscriber; of a connection, who sent its first packet
	NATIP    netip.Addr   // the NAT address
	DestIP   netip.Addr   // the remote
	NATPort  uint16       // 0 is any
	Client   string       // name of an LSN client
	Network  netip.Prefix // the subscriber is inside
	TD       *uint16      // the traffic domain
	Name     string       // of the object itself, in the views of the configuration
	Virtual  string       // who admitted a connection
	Selector string       // of an IPsec tunnel
	Peer     string       // of an IPsec tunnel: with whom it was negotiated
	SPI      SPI          // 0 is any

	Question Question // of "explain"
	Looking  Looking  // of "trace" and "capture"
}

// Set sets one filter from text. An address of "*" is any (section 1.3 of the
// specification). The error names the filter and what it wants.
func (f *Filter) Set(name, text string) error {
	var err error
	switch name {
	case BySourceIP:
		f.SourceIP, err = parseAddr(text)
	case ByNATIP:
		f.NATIP, err = parseAddr(text)
	case ByDestIP:
		f.DestIP, err = parseAddr(text)
	case ByNATPort:
		f.NATPort, err = parsePort(text)
	case ByClient:
		f.Client, err = parseName(text)
	case ByNetwork:
		f.Network, err = parseNetwork(text)
	case ByName:
		f.Name, err = parseName(text)
	case ByVirtual:
		f.Virtual, err = parseName(text)
	case BySelector:
		f.Selector, err = parseName(text)
	case ByPeer:
		f.Peer, err = parseName(text)
	case BySPI:
		f.SPI, err = parseSPI(text)
	case ByTD:
		f.TD, err = parseTD(text)
	default:
		var known bool
		if known, err = f.Question.set(name, text); !known {
			known, err = f.Looking.set(name, text)
		}
		if !known {
			return fmt.Errorf("unknown filter %q", name)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Values returns the filter as the query of a request.
func (f *Filter) Values() url.Values {
	v := url.Values{}
	set := func(name string, is bool, value any) {
		if is {
			v.Set(name, fmt.Sprint(value))
		}
	}
	set(BySourceIP, f.SourceIP.IsValid(), f.SourceIP)
	set(ByNATIP, f.NATIP.IsValid(), f.NATIP)
	set(ByDestIP, f.DestIP.IsValid(), f.DestIP)
	set(ByNATPort, f.NATPort != 0, f.NATPort)
	set(ByClient, f.Client != "", f.Client)
	set(ByName, f.Name != "", f.Name)
	set(ByVirtual, f.Virtual != "", f.Virtual)
	set(BySelector, f.Selector != "", f.Selector)
	set(ByPeer, f.Peer != "", f.Peer)
	set(BySPI, f.SPI != 0, f.SPI)
	set(ByNetwork, f.Network.IsValid(), f.Network)
	if f.TD != nil {
		set(ByTD, true, *f.TD)
	}
	f.Question.values(set)
	f.Looking.values(set)
	return v
}

// parseFilter reads a request's query. Only the names in allowed are taken: a
// filter that a view cannot honour must not look as if it had been.
func parseFilter(query url.Values, allowed []string) (Filter, error) {
	var f Filter
	for name, values := range query {
		if !slices.Contains(allowed, name) {
			return f, fmt.Errorf("filter %q is not one of this view's: %v", name, allowed)
		}
		if len(values) != 1 {
			return f, fmt.Errorf("filter %q is given %d times", name, len(values))
		}
		if err := f.Set(name, values[0]); err != nil {
			return f, err
		}
	}
	return f, nil
}

func parseAddr(text string) (netip.Addr, error) {
	if text == "*" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address", text)
	}
	if a.IsUnspecified() { // the tables take it for any, whoever wrote it perhaps did not
		return netip.Addr{}, fmt.Errorf("%q is nobody's address; any is *", text)
	}
	return a, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port (1-65535)", text)
	}
	return uint16(n), nil
}

func parseName(text string) (string, error) {
	if text == "" || len(text) > maxName {
		return "", fmt.Errorf("a name has 1 to %d characters", maxName)
	}
	return text, nil
}

func parseSPI(text string) (SPI, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not an SPI, 8 hex digits", text)
	}
	return SPI(n), nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is not a network like 192.0.2.0/24", text)
	}
	if p != p.Masked() { // a slip of the pen must not flush a whole network
		return netip.Prefix{}, fmt.Errorf("%q has host bits: write %s, or %s/32", text, p.Masked(), p.Addr())
	}
	return p, nil
}

func parseTD(text string) (*uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n > MaxTD {
		return nil, fmt.Errorf("%q is not a traffic domain (0-%d)", text, MaxTD)
	}
	td := uint16(n)
	return &td, nil
}

// is reports whether an address passes an address filter.
func is(want, have netip.Addr) bool { return !want.IsValid() || want == have }

// in reports whether a traffic domain passes.
func (f *Filter) in(td uint16) bool { return f.TD == nil || *f.TD == td }

// subscriber reports whether a row's subscriber passes.
func (f *Filter) subscriber(a netip.Addr, client string) bool {
	return is(f.SourceIP, a) &&
		(f.Client == "" || f.Client == client) &&
		(!f.Network.IsValid() || f.Network.Contains(a))
}

func (s IPsecSession) passes(f *Filter) bool {
	return f.subscriber(s.SourceIP, s.Client) && is(f.NATIP, s.NATIP) && is(f.DestIP, s.DestIP) && f.in(s.TD)
}

func (s LSNSession) passes(f *Filter) bool {
	return f.subscriber(s.SubscriberIP, s.Client) && is(f.NATIP, s.NATIP) && is(f.DestIP, s.DestIP) &&
		(f.NATPort == 0 || f.NATPort == s.NATPort) && f.in(s.SubscriberTD)
}

// A gate's subscribers are its holder and those who wait for it.
func (g IPsecGate) passes(f *Filter) bool {
	if !is(f.NATIP, g.NATIP) || !is(f.DestIP, g.DestIP) || !f.in(g.TD) {
		return false
	}
	return f.subscriber(g.Holder.Addr, g.Client) ||
		slices.ContainsFunc(g.Waiters, func(w GateWaiter) bool { return f.subscriber(w.SourceIP, g.Client) })
}

// A flow is one direction of something: its addresses are taken as they stand
// in its packets, and the NAT address is the one that is put in or undone.
func (w Flow) passes(f *Filter) bool {
	nat := w.NewIP.Addr
	if w.Side == SideDestination {
		nat = w.DestIP
	}
	inside := !f.Network.IsValid() || f.Network.Contains(w.SourceIP) ||
		f.Network.Contains(w.DestIP) || w.NewIP.IsValid() && f.Network.Contains(w.NewIP.Addr)
	return inside && f.in(w.TD) && is(f.SourceIP, w.SourceIP) && is(f.DestIP, w.DestIP) && is(f.NATIP, nat)
}

func (d Drop) passes(*Filter) bool    { return true }
func (v Version) passes(*Filter) bool { return true }
func (s Status) passes(*Filter) bool  { return true }
