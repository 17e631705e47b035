package configs

import (
	"bytes"
	"crypto"
	"fmt"
	"reflect"
)

// Secret is a pre-shared key or a key of a manual SA. However it is printed,
// alone or within something else, it says "secret" or an address: what prints by
// reflection asks no method of a field that is not exported, follows pointers,
// and cannot look into a function. For reflect.DeepEqual no two are equal.
type Secret struct{ reveal func() []byte }

func newSecret(b []byte) Secret { return Secret{func() []byte { return bytes.Clone(b) }} }

// Known reports whether there is one. One in a file is known after Load, and
// not after Parse.
func (s Secret) Known() bool { return s.reveal != nil }

// Octets returns a copy of the secret; nil if it is not known.
func (s Secret) Octets() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// Equal compares two secrets.
func (s Secret) Equal(o Secret) bool { return bytes.Equal(s.Octets(), o.Octets()) }

// Format prints no octet of the secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret") }

// MarshalText gives no octet of the secret to JSON or a log.
func (Secret) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// PrivateKey is the key of a certificate. It is printed as a Secret is.
type PrivateKey struct{ reveal func() crypto.Signer }

func newPrivateKey(k crypto.Signer) PrivateKey { return PrivateKey{func() crypto.Signer { return k }} }

// Signer returns what signs with the key; nil if there is none.
func (k PrivateKey) Signer() crypto.Signer {
	if k.reveal == nil {
		return nil
	}
	return k.reveal()
}

// Equal compares two keys.
func (k PrivateKey) Equal(o PrivateKey) bool { return reflect.DeepEqual(k.Signer(), o.Signer()) }

// Format prints nothing of the key, whatever the verb.
func (PrivateKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "private key") }

// MarshalText gives nothing of the key to JSON or a log.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte("private key"), nil }
