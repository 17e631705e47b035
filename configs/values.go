package configs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// badName checks a name against R1 and says what is wrong, or "".
func badName(name string, longest int) string {
	if len(name) > longest {
		return fmt.Sprintf("a name has at most %d characters, this one has %d (rule R1)", longest, len(name))
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !letter && (i == 0 || !strings.ContainsRune("#. :@=-", rune(c))) {
			return fmt.Sprintf("%q is no name: it starts with a letter, a digit or _, and goes on with these or # . space : @ = - (rule R1)", name)
		}
	}
	if name == "" {
		return "a name must not be empty (rule R1)"
	}
	return ""
}

// sameText is the parser of names: they are checked where they are defined.
func sameText(s string) (string, error) { return s, nil }

// parseAddr takes one IPv4 address.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%q is not an IPv4 address", s)
	}
	if !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q: only IPv4 is supported", s)
	}
	return a, nil
}

// parsePrefix takes ADDRESS/BITS; the address may have host bits.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, aerr := netip.ParseAddr(s); aerr == nil {
			return netip.Prefix{}, fmt.Errorf("%q has no prefix length: write %s/%d or the network's", s, a, a.BitLen())
		}
		return netip.Prefix{}, fmt.Errorf("%q is not an IPv4 prefix such as 192.0.2.0/24", s)
	}
	if !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%q: only IPv4 is supported", s)
	}
	return p, nil
}

// parseNetwork takes a prefix without host bits.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := parsePrefix(s)
	if err == nil && p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has host bits: write %s", s, p.Masked())
	}
	return p, err
}

// parseInterface takes an address of our own with the length of its network.
func parseInterface(s string) (netip.Prefix, error) {
	p, err := parsePrefix(s)
	if err != nil {
		return p, err
	}
	if why := notUnicast(p.Addr()); why != "" {
		return netip.Prefix{}, fmt.Errorf("%q is %s", s, why)
	}
	if p.Bits() == 0 {
		return netip.Prefix{}, fmt.Errorf("%q: a connected network cannot be everything", s)
	}
	first, last := bounds(p)
	if p.Bits() < 31 && p.Addr() == first {
		return netip.Prefix{}, fmt.Errorf("%q is the network itself: write an address in it", s)
	}
	if p.Bits() < 31 && p.Addr() == last {
		return netip.Prefix{}, fmt.Errorf("%q is the network's broadcast address", s)
	}
	return p, nil
}

// notUnicast says why a cannot be the address of a host, or "".
func notUnicast(a netip.Addr) string {
	switch b := a.As4(); {
	case b[0] == 0:
		return `an address of "this network"`
	case a.IsLoopback():
		return "a loopback address"
	case b[0] >= 240:
		return "a reserved address"
	case a.IsMulticast():
		return "a multicast address"
	}
	return ""
}

// parseRange takes ADDRESS or ADDRESS-ADDRESS.
func parseRange(s string) (AddrRange, error) {
	from, to, two := strings.Cut(s, "-")
	if strings.Contains(s, "/") {
		return AddrRange{}, fmt.Errorf("%q: a pool has ranges such as 203.0.113.3-203.0.113.9, not prefixes", s)
	}
	first, err := parseAddr(strings.TrimSpace(from))
	if err != nil {
		return AddrRange{}, err
	}
	last := first
	if two {
		if last, err = parseAddr(strings.TrimSpace(to)); err != nil {
			return AddrRange{}, err
		}
	}
	if last.Less(first) {
		return AddrRange{}, fmt.Errorf("%q: the range ends before it begins", s)
	}
	for _, a := range []netip.Addr{first, last} {
		if why := notUnicast(a); why != "" {
			return AddrRange{}, fmt.Errorf("%s is %s", a, why)
		}
	}
	return AddrRange{first, last}, nil
}

// number is an IPv4 address as an integer, to count and to compare.
func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// size is how many addresses r has.
func (r AddrRange) size() uint64 { return uint64(number(r.To)-number(r.From)) + 1 }

// bounds returns the first and the last address of a network.
func bounds(p netip.Prefix) (first, last netip.Addr) {
	first = p.Masked().Addr()
	n := uint64(number(first)) + 1<<(32-p.Bits()) - 1
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return first, netip.AddrFrom4(b)
}

// parsePorts takes PORT or PORT-PORT.
func parsePorts(s string) (PortRange, error) {
	from, to, two := strings.Cut(s, "-")
	if !two {
		to = from
	}
	first, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	if err1 != nil || err2 != nil || first == 0 {
		return PortRange{}, fmt.Errorf("%q is not a port or a range of ports from 1 to 65535", s)
	}
	if last < first {
		return PortRange{}, fmt.Errorf("%q: the range ends before it begins", s)
	}
	return PortRange{uint16(first), uint16(last)}, nil
}

func (p PortRange) overlaps(q PortRange) bool { return p.First <= q.Last && q.First <= p.Last }

// width is how many ports p has.
func (p PortRange) width() int { return int(p.Last) - int(p.First) + 1 }

// String returns PORT or PORT-PORT.
func (p PortRange) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// String returns ADDRESS or ADDRESS-ADDRESS.
func (r AddrRange) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	return fmt.Sprintf("%s-%s", r.From, r.To)
}

// parseMAC takes an address of one station.
func parseMAC(s string) (mac [6]byte, err error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return mac, fmt.Errorf("%q is not a MAC address such as 02:00:5e:00:00:01", s)
	}
	copy(mac[:], hw)
	if mac[0]&1 != 0 {
		return mac, fmt.Errorf("%q is a group address, not that of a station", s)
	}
	if mac == ([6]byte{}) {
		return mac, errors.New("00:00:00:00:00:00 is no address of a station")
	}
	return mac, nil
}

// absolute checks a path of the file system.
func absolute(s string) error {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%q must be an absolute path", s)
	}
	return nil
}
