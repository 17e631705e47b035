package ike

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"strings"
)

// IDKind is a type of identity (RFC 7296 section 3.5).
type IDKind uint8

// The kinds of identity. AnyID accepts every peer that proves who it is; it
// is for certificates, whose chain says whom to believe.
const (
	AnyID    IDKind = 0
	IDIPv4   IDKind = 1
	IDFQDN   IDKind = 2
	IDRFC822 IDKind = 3
	IDDN     IDKind = 9
	IDKeyID  IDKind = 11
)

// Identity is who an end says it is. Data is the payload's: four octets, a
// name, an address, the DER of a distinguished name, or octets as they are.
type Identity struct {
	Kind IDKind
	Data string
}

// ParseIdentity reads an identity as people write it: an IPv4 address, a
// name, user@name, or a distinguished name such as "CN=gw, O=Example, C=DE".
// Empty is AnyID.
func ParseIdentity(s string) (Identity, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case s == "":
		return Identity{}, nil
	case err == nil && addr.Is4():
		return Identity{IDIPv4, string(addr.AsSlice())}, nil
	case err == nil:
		return Identity{}, fmt.Errorf("identity %q: only IPv4 addresses are known", s)
	case strings.Contains(s, "="):
		return parseDN(s)
	case strings.Contains(s, "@") && !strings.HasPrefix(s, "@"):
		return Identity{IDRFC822, s}, nil
	case len(s) > 255:
		return Identity{}, fmt.Errorf("identity of %d octets; at most 255", len(s))
	}
	return Identity{IDFQDN, strings.TrimPrefix(s, "@")}, nil
}

// parseDN reads "CN=gw, O=Example": attributes in the order of the certificate.
func parseDN(s string) (Identity, error) {
	var seq pkix.RDNSequence
	for _, part := range strings.Split(s, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		oid := dnAttribute(strings.ToUpper(strings.TrimSpace(key)))
		if !ok || oid == nil {
			return Identity{}, fmt.Errorf("identity %q: %q is no attribute of a distinguished name", s, part)
		}
		seq = append(seq, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: strings.TrimSpace(value)}})
	}
	der, err := asn1.Marshal(seq)
	if err != nil {
		return Identity{}, fmt.Errorf("identity %q: %w", s, err)
	}
	return Identity{IDDN, string(der)}, nil
}

func dnAttribute(key string) asn1.ObjectIdentifier {
	switch key {
	case "CN":
		return asn1.ObjectIdentifier{2, 5, 4, 3}
	case "C":
		return asn1.ObjectIdentifier{2, 5, 4, 6}
	case "L":
		return asn1.ObjectIdentifier{2, 5, 4, 7}
	case "ST":
		return asn1.ObjectIdentifier{2, 5, 4, 8}
	case "O":
		return asn1.ObjectIdentifier{2, 5, 4, 10}
	case "OU":
		return asn1.ObjectIdentifier{2, 5, 4, 11}
	}
	return nil
}

// String writes the identity as ParseIdentity reads it. Octets that are not
// printable are escaped: a peer's identity goes to logs.
func (id Identity) String() string {
	switch id.Kind {
	case AnyID:
		return "any"
	case IDIPv4:
		if a, ok := netip.AddrFromSlice([]byte(id.Data)); ok {
			return a.String()
		}
	case IDFQDN, IDRFC822:
		return strings.Trim(fmt.Sprintf("%q", id.Data), `"`)
	case IDDN:
		return dnText(id.Data)
	}
	return fmt.Sprintf("id(%d):%x", uint8(id.Kind), id.Data)
}

func dnText(der string) string {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal([]byte(der), &seq); err != nil || len(rest) != 0 {
		return fmt.Sprintf("dn:%x", der)
	}
	var words []string
	for _, set := range seq {
		for _, a := range set {
			words = append(words, strings.Trim(fmt.Sprintf("%q", pkix.RDNSequence{{a}}.String()), `"`))
		}
	}
	return strings.Join(words, ", ")
}

// equal compares identities: names without regard to case, distinguished
// names by attribute, whatever kind of string the certificate has them in.
func (id Identity) equal(o Identity) bool {
	if id.Kind != o.Kind {
		return false
	}
	switch id.Kind {
	case IDFQDN, IDRFC822:
		return strings.EqualFold(id.Data, o.Data)
	case IDDN:
		return id.Data == o.Data || dnText(id.Data) == dnText(o.Data)
	}
	return id.Data == o.Data
}

// idPayload is an ID payload; body is what is signed (RFC 7296 section 2.15).
type idPayload struct {
	id   Identity
	body []byte
}

func (id Identity) payload() *idPayload {
	return &idPayload{id, append([]byte{uint8(id.Kind), 0, 0, 0}, id.Data...)}
}

func parseID(b []byte) (*idPayload, *fault) {
	if len(b) < 4 || b[0] == 0 {
		return nil, syntax("identity of %d octets", len(b))
	}
	if b[0] == uint8(IDIPv4) && len(b) != 8 {
		return nil, syntax("identity that is an IPv4 address of %d octets", len(b)-4)
	}
	return &idPayload{Identity{IDKind(b[0]), string(b[4:])}, bytes.Clone(b)}, nil
}
