package configs

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// manualWay is what the file says about the direction of a manual SA.
type manualWay struct {
	said      bool
	direction SelectorDirection
}

func (r *reader) manualSAs(ipsec *table, w *raw) {
	for _, t := range ipsec.named("manual_sa", longName) {
		m := &ManualSA{
			Name: t.name(), At: t.place(), SPI: t.spi(),
			Source: needOne(t, "source_address", parseHost), Destination: needOne(t, "destination_address", parseHost),
		}
		t.esp()
		w.ipsec.policy[m] = nameAt{t.need("policy"), t.at("policy")}
		way := manualWay{said: t.has("direction")}
		way.direction = choose(t, "direction", DirectionOut, []word[SelectorDirection]{{DirectionOut, "out", nil}, {DirectionIn, "in", nil}})
		w.ipsec.way[m] = way
		const gcm = `must not be used with keys that do not change: after a restart its numbers would come again, and give the key away (RFC 8221 section 4); write "aes256" and an auth_key, or use IKE`
		refused := refusedCiphers()
		for _, c := range ikeCipherWords()[:3] {
			refused = append(refused, refusedWord{c.long, gcm})
		}
		m.Encrypt = one(t, "encrypt_algorithm", CipherAES256, manualCipherWords(), refused)
		m.Auth = one(t, "auth_algorithm", SHA256, hashWords(), refusedHashes())
		if m.Encrypt == CipherNull {
			t.warn(t.at("encrypt_algorithm"), "with null nothing is encrypted: whoever is on the way can read what this protects")
		}
		m.EncryptKey = t.manualKey("encrypt_key", m.Encrypt.String(), m.Encrypt.keyLen())
		m.AuthKey = t.manualKey("auth_key", m.Auth.String(), m.Auth.keyLen())
		t.done()
		w.IPsec.Manual = append(w.IPsec.Manual, m)
	}
}

// manualKey reads a key: 0x and hexadecimal digits, here or in a file. Its
// faults say nothing of the key but its length.
func (t *table) manualKey(key, algorithm string, length int) Secret {
	if length == 0 {
		if t.text(key, "") != "" {
			t.fault(t.at(key), "%s has no key: leave this out", algorithm)
		}
		return Secret{}
	}
	want := fmt.Sprintf("%s needs a key of %d bytes: 0x and %d hexadecimal digits, here or in a file (file:PATH)", algorithm, length, 2*length)
	if t.text(key, "") == "" {
		t.fault(t.at(key), "is missing: %s", want)
		return Secret{}
	}
	text, ok := t.secret(key, "the key")
	if !ok {
		return Secret{}
	}
	digits, hexadecimal := strings.CutPrefix(strings.ToLower(strings.TrimSpace(text)), "0x")
	octets, err := hex.DecodeString(digits)
	switch {
	case !hexadecimal || err != nil:
		t.fault(t.at(key), "is not hexadecimal: %s", want)
	case len(octets) != length:
		t.fault(t.at(key), "has %d bytes: %s", len(octets), want)
	default:
		return newSecret(octets)
	}
	return Secret{}
}
