package ike

import "fmt"

// Secret is a pre-shared key. However it is printed, it says "secret".
type Secret []byte

// Format prints no octet of the secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret") }

// MarshalText gives no octet of the secret to JSON or a log.
func (Secret) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// Keys are those of one ESP SA. An AES-GCM key is followed by its salt of
// four octets. Printed, they say "keys".
type Keys struct {
	Cipher, Integrity []byte
}

// Format prints no octet of the keys, whatever the verb.
func (Keys) Format(f fmt.State, _ rune) { fmt.Fprint(f, "keys") }

// MarshalText gives no octet of the keys to JSON or a log.
func (Keys) MarshalText() ([]byte, error) { return []byte("keys"), nil }

// Wipe overwrites the keys. Who installs an SA wipes its keys when it ends.
func (k Keys) Wipe() {
	clear(k.Cipher)
	clear(k.Integrity)
}
