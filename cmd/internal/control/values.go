package control

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// SPI is a Security Parameters Index in JSON: 8 hex digits, or null for 0,
// which is never on the wire (RFC 4303 section 2.1) and stands for "not known
// yet".
type SPI uint32

// String returns 8 hex digits, or "-".
func (s SPI) String() string {
	if s == 0 {
		return "-"
	}
	return fmt.Sprintf("%08x", uint32(s))
}

// MarshalJSON implements json.Marshaler.
func (s SPI) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte("null"), nil
	}
	return []byte(`"` + s.String() + `"`), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *SPI) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*s = 0
		return nil
	}
	v, err := hex32(b)
	*s = SPI(v)
	return err
}

// MessageID is the message id of an IKE exchange: 8 hex digits. 0 is a
// legal one (RFC 7296 section 2.2).
type MessageID uint32

// String returns 8 hex digits.
func (m MessageID) String() string { return fmt.Sprintf("%08x", uint32(m)) }

// MarshalJSON implements json.Marshaler.
func (m MessageID) MarshalJSON() ([]byte, error) { return []byte(`"` + m.String() + `"`), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (m *MessageID) UnmarshalJSON(b []byte) error {
	v, err := hex32(b)
	*m = MessageID(v)
	return err
}

func hex32(b []byte) (uint32, error) {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return 0, fmt.Errorf("hex number: %w", err)
	}
	if len(text) != 8 {
		return 0, fmt.Errorf("hex number %q: want 8 digits", text)
	}
	v, err := strconv.ParseUint(text, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("hex number: %w", err)
	}
	return uint32(v), nil
}

// Seconds is a length of time in seconds: a number in JSON, with milliseconds
// behind the point.
type Seconds float64

// String rounds to whole seconds, or to a tenth below ten seconds, and leaves
// out what is zero behind: an hour is 1h.
func (s Seconds) String() string {
	d := time.Duration(float64(s) * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(float64(s)*1000)/1000, 'f', -1, 64), nil
}

// Addr is an address that may be missing: null in JSON, "-" for people.
type Addr struct{ netip.Addr }

// String returns the address, or "-".
func (a Addr) String() string {
	if !a.IsValid() {
		return "-"
	}
	return a.Addr.String()
}

// MarshalJSON implements json.Marshaler.
func (a Addr) MarshalJSON() ([]byte, error) {
	if !a.IsValid() {
		return []byte("null"), nil
	}
	return json.Marshal(a.Addr)
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Addr) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		a.Addr = netip.Addr{}
		return nil
	}
	return json.Unmarshal(b, &a.Addr)
}
