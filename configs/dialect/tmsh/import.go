package tmsh

import (
	"slices"
	"strings"

	"spigate/configs/dialect"
)

// Import reads objects and commands, and makes a configuration of them.
func Import(text []byte) *dialect.Result {
	im := &importer{Document: dialect.NewDocument(), later: newLater(), left: map[*dialect.Table]bool{}, said: map[string]bool{}}
	p := &parser{Document: im.Document}
	p.tokens = scan(im.Document, text)
	for _, s := range p.statements(kinds()) {
		im.apply(s)
	}
	im.link()
	for t := range im.left {
		im.Remove(t)
	}
	im.Complete(missing())
	return im.Finish()
}

// importer is one import.
type importer struct {
	*dialect.Document
	later *later
	left  map[*dialect.Table]bool // left out as a whole
	said  map[string]bool         // partitions that were told
}

// name is a name without its partition, which is told once.
func (im *importer) name(line int, name string) string {
	out := bare(name)
	if partition := strings.TrimSuffix(name, out); partition != "" && !im.said[partition] {
		im.said[partition] = true
		im.Tell(dialect.Note, line, "%s is left out of names, here and below: there are no partitions", partition)
	}
	return out
}

// apply carries one object over.
func (im *importer) apply(s statement) {
	s.name = im.name(s.line, s.name)
	if s.name == "" {
		im.Tell(dialect.Unknown, s.line, "%s: the name is missing", s.kind.words)
		return
	}
	if s.kind.path == nil {
		im.deferred(s)
		return
	}
	path := append(slices.Clone(s.kind.path), s.name)
	t := im.Find(path...)
	if s.verb == "delete" {
		im.delete(s, t)
		return
	}
	if s.verb == "mv" || s.verb == "cp" || s.verb == "edit" {
		im.Tell(dialect.Left, s.line, "%s %s: that is not done here", s.verb, s.kind.words)
		return
	}
	if t != nil && s.verb == "create" && t.Defined {
		im.Tell(dialect.Left, s.line, "create %s %s: line %d has it already", s.kind.words, s.name, t.Line)
		return
	}
	if t != nil && s.verb == "" {
		im.Tell(dialect.Note, s.line, "%s %s: added to what line %d says of it", s.kind.words, s.name, t.Line)
	}
	t = im.Table(s.line, path...)
	t.Defined = t.Defined || s.verb != "modify"
	for _, one := range s.settings {
		im.set(&s, t, one)
	}
	im.finish(s.kind, t)
}

func (im *importer) delete(s statement, t *dialect.Table) {
	if t == nil {
		im.Tell(dialect.Left, s.line, "delete %s %s: the text has no such object so far", s.kind.words, s.name)
		return
	}
	delete(im.left, t)
	im.Remove(t)
}

// set carries one property over.
func (im *importer) set(s *statement, t *dialect.Table, one setting) {
	if one.of.name == "description" {
		im.Tell(dialect.Left, one.line, "description: there is no place for it")
		return
	}
	if one.of.key == "" {
		im.byHand(s, t, one)
		return
	}
	if one.of.form == names {
		im.list(t, one)
		return
	}
	for _, w := range one.words {
		v, err := one.of.take(im.partitionOf(one, w))
		if err != nil {
			im.Tell(dialect.Unknown, one.line, "%s: %v: it is left out", one.of.name, err)
			continue
		}
		t.Set(one.line, one.of.key, v)
	}
}

// partitionOf tells of a partition in a word that is a name.
func (im *importer) partitionOf(one setting, w string) string {
	if strings.HasPrefix(w, "/") {
		return im.name(one.line, w)
	}
	return w
}

// list carries a list of names over.
func (im *importer) list(t *dialect.Table, one setting) {
	if one.how == "" || one.how == "replace-all-with" {
		t.Delete(one.of.key)
	}
	for _, w := range one.words {
		w = im.name(one.line, w)
		switch {
		case one.of.name == "profiles" && otherProfile(w):
			im.Tell(dialect.Left, one.line, "profile %s: servers have a profile of kind fastl4 alone", w)
		case one.how != "delete":
			t.Append(one.line, one.of.key, w)
		case !t.Drop(one.line, one.of.key, w):
			im.Tell(dialect.Left, one.line, "%s delete: %s was not in it so far", one.of.name, short(w))
		}
	}
}

// otherProfile reports whether a profile is one of BIG-IP's own of another kind.
func otherProfile(name string) bool {
	for _, kind := range []string{"tcp", "udp", "http", "ftp", "clientssl", "serverssl", "ipother", "dns", "sip", "rtsp", "oneconnect", "ipsecalg", "stream", "fasthttp"} {
		if name == kind || strings.HasPrefix(name, kind+"-") {
			return true
		}
	}
	return false
}

// byHand carries over what has no key of its own.
func (im *importer) byHand(s *statement, t *dialect.Table, one setting) {
	word := strings.Join(one.words, " ")
	set := func(key string, data any) { t.Set(one.line, key, data) }
	switch name := one.of.name; name {
	case "vlans-enabled", "vlans-disabled":
		t.Delete("vlans_enabled")
		t.Delete("vlans_disabled")
		set(strings.ReplaceAll(name, "-", "_"), true)
	case "enabled":
		t.Delete("disabled")
	case "disabled":
		set("disabled", true)
	case "ip-forward", "reject":
		t.Delete("ip_forward")
		t.Delete("reject")
		set(strings.ReplaceAll(name, "-", "_"), true)
	case "l2-forward", "internal", "pool":
		if word != "none" {
			im.Tell(dialect.Left, one.line, "%s: %s: here a server forwards (ip-forward) or rejects: %s %s is left out", name,
				map[string]string{"l2-forward": "nothing is bridged", "internal": "there is no such kind", "pool": "no load is balanced"}[name], s.kind.words, s.name)
			im.left[t] = true
		}
	case "destination", "source", "originating-address", "translation-address", "translation", "source-address", "destination-address",
		"tunnel-local-address", "tunnel-remote-address", "remote-address":
		key := strings.ReplaceAll(name, "-", "_")
		if name == "remote-address" && t.Path[1] == "tunnel" {
			return // its policy says so
		}
		set(key, im.address(t, one.line, word))
	case "local-address", "mode", "tos", "proxy-support", "strict":
		// A tunnel's ends are its policy's; a peer's mode is of IKEv1.
	case "rate-limit":
		im.rate(t, one, word)
	case "source-address-translation":
		im.translation(t, one)
	case "origins":
		im.origins(t, one)
	case "members":
		for i, w := range one.words {
			one.words[i] = im.address(nil, one.line, w)
		}
		one.of = &property{name: name, key: "members", form: names}
		im.list(t, one)
	case "automap":
		set("automap", true)
	default:
		im.ipsec(t, one, word)
	}
}

// address takes an address, a network or an address with a port: without its
// partition, and with its route domain as the traffic domain of the table.
func (im *importer) address(t *dialect.Table, line int, text string) string {
	text = strings.ToLower(text)
	if strings.HasPrefix(text, "/") {
		text = im.name(line, text)
	}
	host, domain, has := strings.Cut(text, "%")
	if !has {
		return text
	}
	n := len(domain) - len(strings.TrimLeft(domain, "0123456789"))
	rest := domain[n:]
	if td, err := dialect.Number(domain[:n]); err == nil && t != nil && td != int64(0) {
		if t.Has("traffic_domain") && t.Number("traffic_domain") != td {
			im.Tell(dialect.Left, line, "%%%d: this object is in route domain %d already, and nothing is routed between domains", td, t.Number("traffic_domain"))
			return host + rest
		}
		t.Set(line, "traffic_domain", td)
	}
	return host + rest
}

func (im *importer) rate(t *dialect.Table, one setting, word string) {
	if word == "disabled" {
		t.Delete("rate_limit")
		return
	}
	n, err := dialect.Number(word)
	if err != nil {
		im.Tell(dialect.Unknown, one.line, "rate-limit: %v, nor disabled: it is left out", err)
		return
	}
	t.Set(one.line, "rate_limit", n)
}

// translation is the block source-address-translation.
func (im *importer) translation(t *dialect.Table, one setting) {
	for _, key := range []string{"source_address_translation", "snat_pool", "lsn_group", "snat_translation"} {
		t.Delete(key)
	}
	said := map[string]string{}
	for _, s := range one.block {
		said[s.of.name] = im.partitionOf(s, strings.Join(s.words, " "))
	}
	kind := strings.ToLower(said["type"])
	t.Set(one.line, "source_address_translation", kind)
	if pool := said["pool"]; pool != "" && pool != "none" {
		t.Set(one.line, map[bool]string{true: "lsn_group", false: "snat_pool"}[kind == "lsn"], pool)
	}
	if address := said["translation"]; address != "" {
		t.Set(one.line, "snat_translation", im.address(t, one.line, address))
	}
}

// origins are networks, of which a host may do without its length.
func (im *importer) origins(t *dialect.Table, one setting) {
	for i, w := range one.words {
		w = im.address(t, one.line, w)
		if w == "default" || w == "any" {
			w = "0.0.0.0/0"
		}
		if !strings.Contains(w, "/") {
			w += "/32"
		}
		one.words[i] = w
	}
	one.of = &property{name: "origins", key: "origins", form: names}
	im.keepSlash(t, one)
}

// keepSlash is list for words with a slash in them that is no partition's.
func (im *importer) keepSlash(t *dialect.Table, one setting) {
	if one.how == "" || one.how == "replace-all-with" {
		t.Delete(one.of.key)
	}
	for _, w := range one.words {
		if one.how != "delete" {
			t.Append(one.line, one.of.key, w)
		} else if !t.Drop(one.line, one.of.key, w) {
			im.Tell(dialect.Left, one.line, "%s delete: %s was not in it so far", one.of.name, short(w))
		}
	}
}

// finish looks at an object as a whole.
func (im *importer) finish(k *kind, t *dialect.Table) {
	if k.path1() == "ltm.nat" || k.path1() == "ltm.snat" {
		if off, _ := t.Flag("disabled"); off {
			im.Tell(dialect.Left, t.LineOf("disabled"), "%s %s is disabled, which has no counterpart: it is left out", k.words, t.Name())
			im.left[t] = true
		}
	}
}

// missing has the commands that define what a text refers to.
func missing() dialect.Commands {
	return dialect.Commands{
		"ltm.virtual": "create ltm virtual %s destination ADDRESS:PORT ip-forward", "ltm.nat": "create ltm nat %s", "ltm.snat": "create ltm snat %s",
		"ltm.snatpool": "create ltm snatpool %s members add { ADDRESS }", "ltm.snatpool.members": "modify ltm snatpool %s members add { ADDRESS }",
		"ltm.profile.fastl4": "create ltm profile fastl4 %s", "vlan": "create net vlan %s interfaces add { PORT }", "port": "net interface %s",
		"vlan.addresses":   "create net self NAME address ADDRESS/BITS vlan %s",
		"net.ipsec.policy": "create net ipsec ipsec-policy %s", "net.ipsec.peer": "create net ipsec ike-peer %s",
		"net.ipsec.selector": "create net ipsec traffic-selector %s", "net.ipsec.manual_sa": "create net ipsec manual-security-association %s",
		"net.tunnel": "create net tunnels tunnel %s profile PROFILE", "net.tunnel.policy": "create net tunnels ipsec PROFILE traffic-selector SELECTOR",
		"lsn.group": "[lsn.group.%s]", "lsn.client": "[lsn.client.%s]", "lsn.pool": "[lsn.pool.%s]",
	}
}
