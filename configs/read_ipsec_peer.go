package configs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// peerKeys says what of a peer's proof is written in the file.
type peerKeys struct{ psk, certificate, authorities bool }

func (r *reader) peers(ipsec *table, w *raw) {
	for _, t := range ipsec.named("peer", longName) {
		p := &IKEPeer{Name: t.name(), At: t.place(), Remote: needOne(t, "remote_address", parseHostOrAny)}
		t.version()
		t.proof(p, w)
		p.MyID, p.PeerID = t.identity("my_id_value"), t.identity("peers_id_value")
		t.phase1(p)
		p.Lifetime = t.duration("lifetime", span{4 * time.Hour, 15 * time.Minute, maxDays, time.Minute})
		p.DPDDelay = t.duration("dpd_delay", span{30 * time.Second, 0, time.Hour, time.Second})
		p.NAT = choose(t, "nat_traversal", NATTraversalOn, natTraversalWords())
		p.Passive = t.flag("passive", false)
		p.Disabled = choose(t, "state", false, []word[bool]{{false, "enabled", nil}, {true, "disabled", nil}})
		p.Window = t.size("replay_window_size", 64, 32, 4096)
		t.off("off", "generate_policy")
		t.off(true, "verify_cert")
		t.done()
		r.checkProof(t, p, w)
		w.IPsec.Peers = append(w.IPsec.Peers, p)
	}
}

// version refuses IKEv1. BIG-IP has a list, and v1 as its default.
func (t *table) version() {
	const key = "version"
	texts := []string{t.textOrFirst(key, "v2")}
	if _, several := t.keys[key].([]any); several {
		texts = list(t, key, sameText)
	}
	for _, text := range texts {
		switch strings.ToLower(strings.TrimPrefix(strings.ToLower(text), "ike")) {
		case "v2", "2":
		case "v1", "1":
			t.fault(t.at(key), `IKEv1 is not spoken: it is deprecated, and nobody mends it (RFC 9395); write "v2", and let the other end do so`)
		default:
			t.fault(t.at(key), `%q is not "v2"`, text)
		}
	}
}

// textOrFirst is text for a key that may be a list, too.
func (t *table) textOrFirst(key, otherwise string) string {
	if _, several := t.keys[key].([]any); several {
		return otherwise
	}
	return t.text(key, otherwise)
}

// proof reads how both ends prove who they are.
func (t *table) proof(p *IKEPeer, w *raw) {
	const method = "phase1_auth_method"
	k := peerKeys{psk: t.has("psk"), certificate: t.has("my_cert_file") || t.has("my_cert_key_file"), authorities: t.has("ca_cert_file")}
	p.Auth = AuthPSK
	if !k.psk && (k.certificate || k.authorities) {
		p.Auth = AuthCertificate
	}
	p.Auth = choose(t, method, p.Auth, ikeAuthWords())
	if text, ok := t.secret("psk", "the pre-shared key"); ok {
		p.PSK = newSecret([]byte(text))
		if len(text) < shortPSK {
			t.warn(t.at("psk"), "is short, and can be found by trying: write 20 random characters or more")
		}
	}
	p.Chain = t.certificates("my_cert_file", "our certificate, and what lies between it and the authority")
	p.Key = t.privateKey("my_cert_key_file")
	p.Authorities = t.certificates("ca_cert_file", "the certificate of the authority that signed the other end's")
	w.ipsec.id[p] = k
}

// shortPSK is a length that is worth a warning.
const shortPSK = 12

// checkProof: a peer has what its way of proving needs, and nothing else.
func (r *reader) checkProof(t *table, p *IKEPeer, w *raw) {
	k := w.ipsec.id[p]
	if p.Auth == AuthPSK {
		if !k.psk {
			r.fault(t.at("psk"), `is missing: write "file:PATH" of a file with it, or a certificate: my_cert_file, my_cert_key_file and ca_cert_file`)
		}
		if k.psk && t.text("psk", "") == "" {
			r.fault(t.at("psk"), "must not be empty")
		}
		for _, key := range []string{"my_cert_file", "my_cert_key_file", "ca_cert_file"} {
			if t.has(key) {
				r.fault(t.at(key), "only with phase1_auth_method = %q: both ends prove who they are in the same way", AuthCertificate)
			}
		}
		if p.Remote.IsUnspecified() && p.PeerID == "" {
			r.fault(t.at("peers_id_value"), "is missing: remote_address is any, so the other end's identity must be known")
		}
		if strings.EqualFold(p.PeerID, anybody) {
			r.fault(t.at("peers_id_value"), "any needs certificates: with a pre-shared key the other end's identity must be known")
		}
		return
	}
	if k.psk {
		r.fault(t.at("psk"), "only with phase1_auth_method = %q: both ends prove who they are in the same way", AuthPSK)
	}
	for _, key := range []string{"my_cert_file", "my_cert_key_file", "ca_cert_file"} {
		if !t.has(key) {
			r.fault(t.at(key), "is missing: certificates need my_cert_file, my_cert_key_file and ca_cert_file")
		}
	}
	if p.Remote.IsUnspecified() && p.PeerID == "" {
		r.fault(t.at("peers_id_value"), `is missing: remote_address is any; write the other end's identity, or "any" for whoever has a certificate of the authority`)
	}
	r.checkPair(t, p)
}

// anybody is the identity of everybody who has a certificate.
const anybody = "any"

// checkPair: a private key is that of its certificate, which is for who we say
// that we are. A distinguished name is compared by IKE itself.
func (r *reader) checkPair(t *table, p *IKEPeer) {
	if len(p.Chain) == 0 {
		return
	}
	leaf := p.Chain[0]
	if signer := p.Key.Signer(); signer != nil {
		same, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !same.Equal(signer.Public()) {
			r.fault(t.at("my_cert_key_file"), "is not the key of the first certificate in my_cert_file, which is for %q", leaf.Subject)
		}
	}
	names := append(slices.Clone(leaf.DNSNames), leaf.EmailAddresses...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	id := strings.TrimPrefix(p.MyID, "@")
	if id == "" || strings.Contains(id, "=") || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, id) }) {
		return
	}
	has := "it has no others than its subject: leave this out to use that"
	if len(names) > 0 {
		has = "its names are " + strings.Join(names, ", ")
	}
	r.fault(t.at("my_id_value"), "the certificate in my_cert_file is not for %q; %s", id, has)
}

// identity reads who an end says it is: an IPv4 address, a name, user@name, or
// a distinguished name such as "CN=gw, O=Example".
func (t *table) identity(key string) string {
	text, ok := get[string](t, key)
	if !ok {
		return ""
	}
	if a, err := netip.ParseAddr(text); err == nil && !a.Is4() {
		t.fault(t.at(key), "%q: only IPv4 is supported", text)
		return ""
	}
	switch {
	case text == "" || text == "@":
		t.fault(t.at(key), "must not be empty")
	case len(text) > 255:
		t.fault(t.at(key), "an identity has at most 255 bytes, this one has %d", len(text))
	case strings.Contains(text, "="):
		t.distinguished(key, text)
	}
	return text
}

// distinguished checks the attributes of a distinguished name.
func (t *table) distinguished(key, text string) {
	known := []string{"CN", "C", "L", "ST", "O", "OU"}
	for _, part := range strings.Split(text, ",") {
		name, _, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || !slices.Contains(known, strings.ToUpper(strings.TrimSpace(name))) {
			t.fault(t.at(key), "%q is no attribute of a distinguished name: these have the form CN=gw, O=Example, and are %s",
				strings.TrimSpace(part), strings.Join(known, ", "))
		}
	}
}

// pemBlocks reads a file of a certificate or a key. The value may begin with
// file:, as those of secrets do.
func (t *table) pemBlocks(key, what string, private bool) (blocks []*pem.Block, ok bool) {
	text, ok := get[string](t, key)
	if !ok {
		return nil, false
	}
	content, ok := t.file(t.at(key), strings.TrimPrefix(text, fileWord), what, private)
	if !ok {
		return nil, false
	}
	for len(content) > 0 {
		var b *pem.Block
		if b, content = pem.Decode(content); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	return blocks, true
}

func (t *table) certificates(key, what string) (out []*x509.Certificate) {
	blocks, ok := t.pemBlocks(key, what, false)
	for _, b := range blocks {
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			t.fault(t.at(key), "certificate %d of the file: %v", len(out)+1, err)
			return nil
		}
		out = append(out, c)
	}
	if ok && len(out) == 0 {
		t.fault(t.at(key), "the file has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
	}
	return out
}

func (t *table) privateKey(key string) PrivateKey {
	blocks, ok := t.pemBlocks(key, "the key of our certificate", true)
	for _, b := range blocks {
		if !strings.HasSuffix(b.Type, "PRIVATE KEY") {
			continue
		}
		signer, err := parseKey(b)
		if err != nil {
			t.fault(t.at(key), "%v", err)
			return PrivateKey{}
		}
		return newPrivateKey(signer)
	}
	if ok {
		t.fault(t.at(key), "the file has no private key in PEM form (-----BEGIN PRIVATE KEY-----)")
	}
	return PrivateKey{}
}

// parseKey takes a key of RSA or ECDSA. Its errors say nothing of the key.
func parseKey(b *pem.Block) (crypto.Signer, error) {
	if strings.HasPrefix(b.Type, "ENCRYPTED") || b.Headers["DEK-Info"] != "" {
		return nil, errors.New("the key is encrypted, and nobody is there to type its password: decrypt it with openssl pkey, and chmod it 0600")
	}
	var key any
	var err error
	switch b.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	}
	if err != nil {
		return nil, errors.New("the private key cannot be read: openssl pkey writes one that can")
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, errors.New("the RSA key has less than 2048 bits: make another one, or one of ECDSA")
		}
		return k, nil
	case *ecdsa.PrivateKey:
		if k.Curve.Params().BitSize < 256 {
			return nil, errors.New("the ECDSA key has less than 256 bits: make another one")
		}
		return k, nil
	}
	return nil, errors.New("the key is neither RSA nor ECDSA, which IKE signs with here")
}
