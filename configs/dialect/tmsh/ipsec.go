package tmsh

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"spigate/configs/dialect"
)

// ipsec carries over what is written by hand below [net.…], and a VLAN's parts.
func (im *importer) ipsec(t *dialect.Table, one setting, word string) {
	set := func(key string, data any) { t.Set(one.line, key, data) }
	switch name := one.of.name; name {
	case "ip-protocol":
		if word == "255" {
			im.Tell(dialect.Note, one.line, "ip-protocol 255 is read as any")
			word = "any"
		}
		set("ip_protocol", strings.ToLower(word))
	case "ipsec-policy":
		set("policy", im.name(one.line, word))
	case "preshared-key":
		im.key(t, one.line, "psk", word, t.Name()+".psk")
	case "preshared-key-encrypted":
		im.key(t, one.line, "psk", dialect.Concealed, t.Name()+".psk")
	case "encrypt-key", "encrypt-key-encrypted", "auth-key", "auth-key-encrypted":
		key := strings.ReplaceAll(strings.TrimSuffix(name, "-encrypted"), "-", "_")
		if strings.HasSuffix(name, "-encrypted") {
			word = dialect.Concealed
		}
		im.key(t, one.line, key, hexadecimal(word), t.Name()+"-"+strings.TrimSuffix(key, "_key")+".key")
	case "my-cert-file", "my-cert-key-file", "ca-cert-file":
		if word != "none" {
			set(strings.ReplaceAll(name, "-", "_"), bare(word))
		}
	case "spi":
		im.spi(t, one.line, word)
	case "version":
		if slices.Contains(one.words, "v2") && len(one.words) > 1 {
			im.Tell(dialect.Note, one.line, "version: IKEv2 is spoken, and nothing else")
			one.words = []string{"v2"}
		}
		set("version", strings.Join(one.words, " "))
	case "traffic-selector":
		for _, w := range one.words {
			im.later.peers[t] = append(im.later.peers[t], im.name(one.line, w))
		}
	case "profile":
		im.later.tunnels[t] = im.name(one.line, word)
	case "tag":
		if n, err := dialect.Number(word); err == nil {
			set("id", n)
		} else {
			im.Tell(dialect.Unknown, one.line, "tag: %v: it is left out", err)
		}
	case "interfaces":
		im.later.vlans[t] = im.interfacesOf(one)
	case "my-id-type", "peers-id-type", "traffic-group":
		// What kind an identity is is seen from the identity.
	default:
		if word != "none" {
			im.Tell(dialect.Left, one.line, "%s: that has no counterpart", name)
		}
	}
}

func (im *importer) interfacesOf(one setting) (out [][2]string) {
	for _, w := range one.words {
		name := strings.ReplaceAll(w, "/", ".")
		how := ""
		if slices.Contains(one.inner[w], "tagged") {
			how = "tagged"
		}
		out = append(out, [2]string{name, how})
	}
	return out
}

// key carries a secret over as it stands. One that is not readable becomes a
// file that is to be made.
func (im *importer) key(t *dialect.Table, line int, key, secret, file string) {
	if secret == dialect.Concealed || secret == "" {
		im.Tell(dialect.Missing, line, "%s cannot be read from the text: write the key into the file %s beside the configuration", key, file)
		t.Set(line, key, "file:"+file)
		return
	}
	im.Tell(dialect.Note, line, "%s is in the TOML as it stands in the text: keep both to yourself", key)
	t.Set(line, key, secret)
}

// hexadecimal spells a key of letters, which BIG-IP takes, as one of digits.
func hexadecimal(key string) string {
	if key == dialect.Concealed || strings.HasPrefix(strings.ToLower(key), "0x") {
		return key
	}
	return "0x" + hex.EncodeToString([]byte(key))
}

func (im *importer) spi(t *dialect.Table, line int, word string) {
	n, err := strconv.ParseUint(word, 0, 32)
	if err != nil {
		im.Tell(dialect.Unknown, line, "spi: %q is no number: it is left out", short(word))
		return
	}
	t.Set(line, "spi", int64(n))
}

// peers gives policies their peers, and tells what is not written. tmsh links
// the two by the address of the other end, or by a selector that a peer names.
func (im *importer) peers() {
	peers := im.Below("net", "ipsec", "peer")
	byAddress := map[string]*dialect.Table{}
	for _, p := range peers {
		im.proof(p)
		if a := p.Text("remote_address"); byAddress[a] == nil {
			byAddress[a] = p
		}
		for _, name := range im.later.peers[p] {
			s := im.Find("net", "ipsec", "selector", name)
			if s == nil {
				im.Tell(dialect.Left, p.Line, "traffic-selector %s: the text has none of this name", short(name))
				continue
			}
			if q := im.Find("net", "ipsec", "policy", s.Text("policy")); q != nil && !q.Has("peer") {
				q.Set(p.Line, "peer", p.Name())
			}
		}
	}
	keyed := map[string]bool{}
	for _, m := range im.Below("net", "ipsec", "manual_sa") {
		keyed[m.Text("policy")] = true
		for _, key := range []string{"encrypt_key", "auth_key"} {
			if !m.Has(key) && !(key == "encrypt_key" && m.Text("encrypt_algorithm") == "null") {
				im.key(m, m.Line, key, "", m.Name()+"-"+strings.TrimSuffix(key, "_key")+".key")
			}
		}
	}
	for _, q := range im.Below("net", "ipsec", "policy") {
		p := byAddress[q.Text("tunnel_remote_address")]
		if p != nil && !q.Has("peer") && !keyed[q.Name()] {
			q.Set(q.LineOf("tunnel_remote_address"), "peer", p.Name())
		}
	}
}

// proof gives a peer what its way of proving who it is needs, and tells of
// defaults that are not BIG-IP's.
func (im *importer) proof(p *dialect.Table) {
	if !p.Has("version") {
		im.Tell(dialect.Note, p.Line, "ike-peer %s says no version, which is v1 for a BIG-IP: IKEv2 is spoken here, so the other end must, too", p.Name())
	}
	method := p.Text("phase1_auth_method")
	files := map[string]string{"my_cert_file": p.Name() + ".crt", "my_cert_key_file": p.Name() + ".key", "ca_cert_file": p.Name() + "-ca.crt"}
	if method == "" || strings.HasPrefix(method, "pre-shared") || method == "psk" {
		for key := range files {
			p.Delete(key) // BIG-IP lists its default
		}
		if !p.Has("psk") {
			im.key(p, p.Line, "psk", "", p.Name()+".psk")
		}
		return
	}
	for _, key := range []string{"my_cert_file", "my_cert_key_file", "ca_cert_file"} {
		if p.Has(key) {
			im.Tell(dialect.Note, p.LineOf(key), "%s: copy the file beside the configuration, as %s", strings.ReplaceAll(key, "_", "-"), p.Text(key))
		} else {
			im.Tell(dialect.Missing, p.Line, "ike-peer %s has no %s: put it into the file %s beside the configuration", p.Name(), strings.ReplaceAll(key, "_", "-"), files[key])
			p.Set(p.Line, key, files[key])
		}
	}
}
