package tmsh

import (
	"maps"
	"slices"
	"strings"

	"spigate/configs/dialect"
)

// later holds what can be carried over only when the whole text is known.
type later struct {
	selfs    map[string]statement
	order    []string                       // of selfs
	domains  map[string]int64               // of VLANs, by route domains
	places   map[string]int                 // lines of the same
	profiles map[string]statement           // net tunnels ipsec
	tunnels  map[*dialect.Table]string      // their profiles
	peers    map[*dialect.Table][]string    // selectors that a peer names
	vlans    map[*dialect.Table][][2]string // interfaces: name, and tagged or not
	routes   []statement
}

func newLater() *later {
	return &later{
		selfs: map[string]statement{}, domains: map[string]int64{}, places: map[string]int{}, profiles: map[string]statement{},
		tunnels: map[*dialect.Table]string{}, peers: map[*dialect.Table][]string{}, vlans: map[*dialect.Table][][2]string{},
	}
}

// said returns the value of a property, with its line.
func (s *statement) said(name string) (string, int) {
	for _, one := range slices.Backward(s.settings) {
		if one.of.name == name {
			return strings.Join(one.words, " "), one.line
		}
	}
	return "", s.line
}

// deferred takes up objects that are no tables of ours.
func (im *importer) deferred(s statement) {
	switch s.kind.words {
	case "net self":
		if old, there := im.later.selfs[s.name]; there {
			s.settings = append(old.settings, s.settings...)
		} else {
			im.later.order = append(im.later.order, s.name)
		}
		im.later.selfs[s.name] = s
		if s.verb == "delete" {
			delete(im.later.selfs, s.name)
			im.later.order = slices.DeleteFunc(im.later.order, func(n string) bool { return n == s.name })
		}
	case "net route":
		im.later.routes = append(im.later.routes, s)
	case "net tunnels ipsec":
		im.later.profiles[s.name] = s
	case "net route-domain":
		im.routeDomain(s)
	case "sys db":
		im.db(s)
	}
}

func (im *importer) routeDomain(s statement) {
	id, line := s.said("id")
	if id == "" {
		id = s.name
	}
	n, err := dialect.Number(id)
	if err != nil {
		im.Tell(dialect.Unknown, line, "id: %v", err)
		return
	}
	for _, one := range s.settings {
		if one.of.name != "vlans" {
			continue
		}
		for _, v := range one.words {
			im.later.domains[bare(v)], im.later.places[bare(v)] = n.(int64), one.line
		}
	}
}

// db carries the two variables over that have a counterpart.
func (im *importer) db(s statement) {
	word, line := s.said("value")
	key, ok := strings.CutPrefix(s.name, "tm.")
	v, err := dialect.Switch(word)
	switch {
	case !ok || key != "continuematching" && key != "rejectunmatched":
		im.Tell(dialect.Left, s.line, "sys db %s: this variable has no counterpart", short(s.name))
	case err != nil:
		im.Tell(dialect.Unknown, line, "value: %v: it is left out", err)
	default:
		t := im.Table(s.line, "sys", "db", "tm")
		t.Defined = true
		t.Set(line, key, v)
	}
}

// link puts together what the text has in pieces.
func (im *importer) link() {
	for _, t := range im.Below("vlan") {
		im.interfaces(t)
	}
	for _, name := range im.later.order {
		im.self(im.later.selfs[name])
	}
	for _, name := range slices.Sorted(maps.Keys(im.later.domains)) {
		im.domain(name, im.later.domains[name], im.later.places[name])
	}
	for _, t := range im.Below("net", "tunnel") {
		im.tunnel(t)
	}
	im.peers()
	for _, s := range im.later.routes {
		im.route(s)
	}
}

// domain puts a VLAN into a traffic domain.
func (im *importer) domain(vlan string, domain int64, line int) {
	t := im.Find("vlan", vlan)
	switch {
	case t != nil && domain != 0:
		t.Set(line, "traffic_domain", domain)
	case t == nil && im.Find("net", "tunnel", vlan) == nil:
		im.Tell(dialect.Left, line, "route domain %d: the text has no VLAN %s", domain, short(vlan))
	}
}

// interfaces gives a VLAN its port. A frame of an interface that is not tagged
// has no tag, whatever the VLAN's tag is.
func (im *importer) interfaces(t *dialect.Table) {
	tag := t.Number("id")
	line := t.LineOf("id")
	all := im.later.vlans[t]
	if len(all) == 0 {
		return
	}
	if len(all) > 1 {
		im.Tell(dialect.Left, t.Line, "vlan %s has %d interfaces: here it is on one port, or on a [switch.…]: it stays on %s", t.Name(), len(all), all[0][0])
	}
	t.Set(t.Line, "port", all[0][0])
	if all[0][1] == "tagged" {
		return
	}
	if t.Delete("id") && tag != 0 {
		im.Tell(dialect.Note, line, "tag %d: frames of %s have none, so it is the VLAN without a tag here", tag, all[0][0])
	}
}

// self gives a VLAN or a tunnel its address.
func (im *importer) self(s statement) {
	text, line := s.said("address")
	name, _ := s.said("vlan")
	name = bare(name)
	if text == "" || name == "" {
		im.Tell(dialect.Left, s.line, "net self %s has no address or no vlan: it is left out", short(s.name))
		return
	}
	for _, one := range s.settings {
		if slices.Contains([]string{"allow-service", "floating"}, one.of.name) && !slices.Contains(one.words, "none") && !slices.Contains(one.words, "disabled") {
			im.Tell(dialect.Left, one.line, "%s: that has no counterpart", one.of.name)
		}
	}
	t := im.Find("net", "tunnel", name)
	if t != nil {
		t.Append(line, "addresses", im.address(nil, line, text))
		return
	}
	t = im.Table(s.line, "vlan", name)
	t.Append(line, "addresses", im.address(t, line, text))
}

// tunnel finds the policy of an interface: by its profile, which names it, or
// a selector of it.
func (im *importer) tunnel(t *dialect.Table) {
	profile := im.later.tunnels[t]
	s, ok := im.later.profiles[profile]
	policy, _ := s.said("ipsec-policy")
	by, _ := s.said("traffic-selector")
	if by != "" && policy == "" {
		if selector := im.Find("net", "ipsec", "selector", bare(by)); selector != nil {
			policy = selector.Text("policy")
		}
	}
	switch {
	case policy != "":
		t.Set(s.line, "policy", bare(policy))
	case ok && by != "":
		im.Tell(dialect.Left, s.line, "traffic-selector %s: the text has none of this name, so the policy is not known", short(bare(by)))
	}
	if !t.Has("policy") {
		t.Set(t.Line, "policy", t.Name())
	}
}

// route makes a route, or says why not.
func (im *importer) route(s statement) {
	to, line := s.said("network")
	if to == "" {
		to = s.name
	}
	switch strings.ToLower(to) {
	case "default", "any", "0.0.0.0":
		to = "0.0.0.0/0"
	case "default-inet6":
		im.Tell(dialect.Left, s.line, "net route %s: only IPv4 is supported", short(s.name))
		return
	}
	domain := ""
	if host, rest, has := strings.Cut(to, "%"); has {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		domain, to = rest[:n], host+rest[n:]
		if host == "default" || host == "any" {
			to = "0.0.0.0/0"
		}
	}
	if !strings.Contains(to, "/") {
		to += "/32"
	}
	gw, _ := s.said("gw")
	gw, of, _ := strings.Cut(gw, "%")
	if domain == "" {
		domain = of
	}
	into, _ := s.said("interface")
	switch {
	case gw != "":
		im.SetRoute(line, s.name, to, domain, "via", bare(gw))
	case into != "" && im.Find("net", "tunnel", bare(into)) != nil:
		im.SetRoute(line, s.name, to, domain, "tunnel", bare(into))
	default:
		im.Tell(dialect.Left, s.line, "net route %s: routes lead to a neighbour (gw), or into a tunnel (interface)", short(s.name))
	}
}
