package dialect

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Take turns a word of a dialect into a value of TOML. Its error says what is
// wrong with the word, behind "is".
type Take func(word string) (any, error)

// Word takes a word as it is: check knows which there are.
func Word(word string) (any, error) { return word, nil }

// Lower takes a word in small letters.
func Lower(word string) (any, error) { return strings.ToLower(word), nil }

// Number takes a whole number.
func Number(word string) (any, error) {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("%q is no whole number", word)
	}
	return n, nil
}

// In takes a whole number of units: "s" for seconds, "m" for minutes. A time with
// units is taken as well, as Units writes it.
func In(unit string) Take {
	return func(word string) (any, error) {
		if n, err := Number(word); err == nil {
			return fmt.Sprint(n) + unit, nil
		}
		if d, err := time.ParseDuration(word); err == nil && d > 0 {
			return word, nil
		}
		return nil, fmt.Errorf("%q is no whole number of %s", word, map[string]string{"s": "seconds", "m": "minutes"}[unit])
	}
}

// Units is a time as a whole number of units, as the dialects count it, or with
// its units where it is none.
func Units(d, unit time.Duration) string {
	if d%unit == 0 {
		return strconv.FormatInt(int64(d/unit), 10)
	}
	return d.String()
}

// Switch takes the two words of something that is on or off.
func Switch(word string) (any, error) {
	switch strings.ToLower(word) {
	case "enabled", "enable", "on", "yes", "true":
		return true, nil
	case "disabled", "disable", "off", "no", "false":
		return false, nil
	}
	return nil, fmt.Errorf("%q is neither ENABLED nor DISABLED", word)
}

// List takes a word as a list of one.
func List(word string) (any, error) { return []string{word}, nil }

// Commas takes a list with commas.
func Commas(word string) (any, error) { return strings.Split(word, ","), nil }

// Network is an address with a mask such as 255.255.255.0 as a prefix. The
// address may have host bits.
func Network(address, mask string) (netip.Prefix, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is no IPv4 address", address)
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || !m.Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is no mask such as 255.255.255.0", mask)
	}
	n, b := 0, m.As4()
	bits := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	for ; n < 32 && bits&(1<<31) != 0; n++ {
		bits <<= 1
	}
	if bits != 0 {
		return netip.Prefix{}, fmt.Errorf("%s is no mask: it has holes", mask)
	}
	return netip.PrefixFrom(a, n), nil
}

// Mask is the length of a prefix as a mask.
func Mask(p netip.Prefix) string {
	n := ^uint32(0) << (32 - p.Bits())
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// Concealed stands in listings where a secret would.
const Concealed = "<secret>"
