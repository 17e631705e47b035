package configs

import (
	"slices"
	"strings"
)

// refusedWord is an algorithm that is known and not taken.
type refusedWord struct{ name, why string }

// refusedCiphers, refusedHashes and refusedGroups are what BIG-IP and others
// have, and what to write instead.
func refusedCiphers() []refusedWord {
	const short = `has blocks of 64 bits, which long-lived tunnels give away (RFC 8221, RFC 8247): write "aes-gcm256", or "aes256"`
	const gmac = `authenticates and hides nothing, and is not in this build: write "aes-gcm256"`
	const rare = `is not in this build: write "aes-gcm256", or "aes256"`
	return []refusedWord{
		{"3des", short}, {"des", `has keys of 56 bits, which anybody can try (RFC 8221, RFC 8247): write "aes-gcm256", or "aes256"`}, {"blowfish", short},
		{"cast128", short}, {"aes-gmac128", gmac}, {"aes-gmac192", gmac}, {"aes-gmac256", gmac}, {"camellia", rare}, {"chacha20-poly1305", rare},
	}
}

func refusedHashes() []refusedWord {
	const sha1 = `must not be used any more (RFC 8221, RFC 8247): write "sha256"`
	return []refusedWord{
		{"md5", `is broken (RFC 8221, RFC 8247): write "sha256"`}, {"sha1", sha1}, {"sha", sha1},
		{"aes-xcbc", `is not in this build: write "sha256"`}, {"aes-gmac128", `is not in this build: write "sha256"`},
		{"aes-gmac192", `is not in this build: write "sha256"`}, {"aes-gmac256", `is not in this build: write "sha256"`},
	}
}

func refusedGroups() []refusedWord {
	const weak = `is within reach of those who can afford it (RFC 8247): write "x25519", "ecp256" or "modp2048"`
	const slow = `is not in this build: write "x25519", "ecp384" or "modp4096"`
	return []refusedWord{
		{"modp768", weak}, {"modp1024", weak}, {"modp1536", weak}, {"modp6144", slow}, {"modp8192", slow}, {"ecp521", slow}, {"ecp192", weak}, {"ecp224", slow},
	}
}

// algorithms reads one word, or a list in order of preference.
func algorithms[E comparable](t *table, key string, otherwise []E, words []word[E], refused []refusedWord) []E {
	var texts []string
	at := func(int) spot { return t.at(key) }
	if one, single := t.keys[key].(string); single {
		t.known = append(t.known, key)
		texts = []string{one}
	} else {
		texts = list(t, key, sameText)
		at = func(i int) spot { return t.at(key).of(i) }
		if elements, ok := t.keys[key].([]any); ok && len(elements) == 0 {
			t.fault(t.at(key), "must not be empty")
		}
	}
	var out []E
	faulty := false
	for i, text := range texts {
		e, ok := lookup(words, text)
		no := slices.IndexFunc(refused, func(r refusedWord) bool { return strings.EqualFold(r.name, text) })
		switch {
		case !ok && no >= 0:
			t.fault(at(i), "%q %s", text, refused[no].why)
		case !ok:
			forms := longForms(words)
			t.fault(at(i), "%q is not one of %s%s", text, strings.Join(forms, ", "), didYouMean(text, forms))
		case slices.Contains(out, e):
			t.fault(at(i), "%q is in the list twice", text)
		default:
			out = append(out, e)
			continue
		}
		faulty = true
	}
	if len(out) == 0 || faulty {
		return otherwise
	}
	return out
}

// one is algorithms for a key that takes no list.
func one[E comparable](t *table, key string, otherwise E, words []word[E], refused []refusedWord) E {
	if _, several := t.keys[key].([]any); several {
		t.known = append(t.known, key)
		t.fault(t.at(key), "must be a string, not an array")
		return otherwise
	}
	return algorithms(t, key, []E{otherwise}, words, refused)[0]
}

// espAuth is a word of ike_phase2_auth_algorithm: BIG-IP names a GCM there, too.
type espAuth struct {
	gcm  Cipher
	hash Hash
}

func espAuthWords() (out []word[espAuth]) {
	for _, w := range ikeCipherWords()[:3] {
		out = append(out, word[espAuth]{espAuth{gcm: w.value}, w.long, nil})
	}
	for _, w := range hashWords() {
		out = append(out, word[espAuth]{espAuth{hash: w.value}, w.long, nil})
	}
	return out
}

// groups is what is offered where nothing is said.
func groups() []DHGroup {
	return []DHGroup{GroupX25519, GroupECP256, GroupECP384, GroupMODP3072, GroupMODP2048}
}

// protection reads how a policy's packets are protected.
func (t *table) protection(q *IPsecPolicy) {
	const encrypt, auth, pfs = "ike_phase2_encrypt_algorithm", "ike_phase2_auth_algorithm", "ike_phase2_perfect_forward_secrecy"
	q.Encrypt = algorithms(t, encrypt, []Cipher{CipherAESGCM128, CipherAESGCM256}, espCipherWords(), refusedCiphers())
	words := algorithms(t, auth, nil, espAuthWords(), refusedHashes())
	var plain []Cipher
	for _, c := range q.Encrypt {
		if !c.Authenticates() {
			plain = append(plain, c)
		}
	}
	for _, w := range words {
		switch {
		case w.gcm != 0 && !slices.Contains(q.Encrypt, w.gcm):
			t.fault(t.at(auth), "%s authenticates what it encrypts itself, and is not in %s: write it there, too", w.gcm, encrypt)
		case w.hash != 0 && len(plain) == 0:
			t.fault(t.at(auth), "%s needs no %s, for it authenticates by itself: leave this out, or name aes128, aes192 or aes256 in %s", q.Encrypt[0], w.hash, encrypt)
		case w.hash != 0:
			q.Auth = append(q.Auth, w.hash)
		}
	}
	if len(plain) > 0 && len(q.Auth) == 0 {
		if len(words) > 0 {
			t.fault(t.at(auth), "%s does not authenticate: name sha256, sha384 or sha512 as well", plain[0])
		}
		q.Auth = []Hash{SHA256}
	}
	if slices.Contains(q.Encrypt, CipherNull) {
		t.warn(t.at(encrypt), "with null nothing is encrypted: whoever is on the way can read what this policy protects")
	}
	q.PFS = algorithms(t, pfs, groups(), espGroupWords(), refusedGroups())
}

// phase1 reads how IKE itself is protected.
func (t *table) phase1(p *IKEPeer) {
	const encrypt, hash = "phase1_encrypt_algorithm", "phase1_hash_algorithm"
	p.Encrypt = algorithms(t, encrypt, []Cipher{CipherAESGCM256, CipherAESGCM128, CipherAES256, CipherAES128}, ikeCipherWords(),
		append(refusedCiphers(), refusedWord{"null", "is for ESP alone: IKE is always encrypted"}))
	p.Hash = algorithms(t, hash, []Hash{SHA256, SHA384, SHA512}, hashWords(), refusedHashes())
	p.PRF = algorithms(t, "prf", p.Hash, hashWords(), refusedHashes())
	p.Groups = algorithms(t, "phase1_perfect_forward_secrecy", groups(), ikeGroupWords(),
		append(refusedGroups(), refusedWord{"none", "is for phase 2 alone: IKE needs a group"}))
	if !slices.ContainsFunc(p.Encrypt, func(c Cipher) bool { return !c.Authenticates() }) {
		p.Hash = nil // they are for the PRF alone then
	}
}
