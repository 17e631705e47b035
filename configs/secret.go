package configs

import (
	"bytes"
	"crypto"
	"fmt"
	"reflect"
)

// Secret is a pre-shared key or a key of a manual SA. However it is printed,
// alone or within something else, it says "secret": fmt does not ask what lies
// in fields that are not exported, but it does not follow pointers either.
type Secret struct{ octets *[]byte }

func newSecret(b []byte) Secret { return Secret{&b} }

// Known reports whether there is one. One in a file is known after Load, and
// not after Parse.
func (s Secret) Known() bool { return s.octets != nil && len(*s.octets) > 0 }

// Octets returns a copy of the secret; nil if it is not known.
func (s Secret) Octets() []byte {
	if s.octets == nil {
		return nil
	}
	return bytes.Clone(*s.octets)
}

// Equal compares two secrets.
func (s Secret) Equal(o Secret) bool { return bytes.Equal(s.Octets(), o.Octets()) }

// Format prints no octet of the secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret") }

// MarshalText gives no octet of the secret to JSON or a log.
func (Secret) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// PrivateKey is the key of a certificate. It is printed as a Secret is.
type PrivateKey struct{ signer *crypto.Signer }

// Signer returns what signs with the key; nil if there is none.
func (k PrivateKey) Signer() crypto.Signer {
	if k.signer == nil {
		return nil
	}
	return *k.signer
}

// Equal compares two keys.
func (k PrivateKey) Equal(o PrivateKey) bool { return reflect.DeepEqual(k.Signer(), o.Signer()) }

// Format prints nothing of the key, whatever the verb.
func (PrivateKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "private key") }

// MarshalText gives nothing of the key to JSON or a log.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte("private key"), nil }
