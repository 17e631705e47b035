package configs

import (
	"net/netip"
	"strings"
)

func (r *reader) nats(ltm *table, w *raw) {
	for _, t := range ltm.named("nat", longName) {
		n := &NAT{
			Name: t.name(), Domain: t.trafficDomain(),
			Originating: needOne(t, "originating_address", parseHost),
			Translation: needOne(t, "translation_address", parseHost),
			ARP:         t.flag("arp", true),
			AutoLasthop: t.autoLasthop(),

			TrafficGroup:          t.text("traffic_group", "traffic-group-1"),
			InheritedTrafficGroup: t.flag("inherited_traffic_group", true),
			RequireProtection:     t.flag("require_protection", false),
		}
		t.listenOn(&n.VLANs, w)
		t.done()
		if n.Originating.IsValid() && n.Originating == n.Translation {
			r.fault(t.at("translation_address"), "%s is the originating address itself", n.Translation)
		}
		w.LTM.NATs = append(w.LTM.NATs, n)
	}
}

func (r *reader) snats(ltm *table, w *raw) {
	for _, t := range ltm.named("snat", longName) {
		s := &SNAT{Name: t.name(), Domain: t.trafficDomain(), Origins: needList(t, "origins", parseNetwork)}
		t.snatTo(s, w)
		t.listenOn(&s.VLANs, w)
		s.Mirror = t.mirror()
		s.SourcePort = choose(t, "source_port", SourcePortPreserve, sourcePortWords())
		t.done()
		w.LTM.SNATs = append(w.LTM.SNATs, s)
	}
}

// snatTo reads what a SNAT translates to: exactly one of three keys.
func (t *table) snatTo(s *SNAT, w *raw) {
	ways := 0
	if t.has("translation") {
		s.Translation = needOne(t, "translation", parseHost)
		ways++
	}
	pool := nameAt{t.text("snatpool", ""), t.at("snatpool")}
	if pool.name != "" {
		ways++
	}
	if s.Automap = t.flag("automap", false); s.Automap {
		ways++
	}
	t.known = append(t.known, "translation")
	if ways != 1 {
		at := t.here()
		at.onKey = true
		t.fault(at, "needs one of translation, snatpool and automap, and has %d of them", ways)
	}
	w.ltm.pool[s] = pool
}

func (r *reader) snatPools(ltm *table, w *raw) {
	for _, t := range ltm.named("snatpool", longName) {
		p := &SNATPool{Name: t.name(), Members: needList(t, "members", parseHost)}
		seen := map[netip.Addr]bool{}
		for i, a := range p.Members {
			if a.IsValid() && seen[a] {
				t.fault(t.at("members").of(i), "%s is in the list twice", a)
			}
			seen[a] = true
		}
		t.done()
		w.LTM.SNATPools = append(w.LTM.SNATPools, p)
	}
}

// db reads BIG-IP's database variables, which have dots in their names: these
// may be TOML's dots, or stand in quotes.
func (r *reader) db(sys *table, w *raw) {
	t := sys.sub("db")
	tm := t.sub("tm")
	w.DB = DB{
		ContinueMatching: tm.variable("continuematching", t, false),
		RejectUnmatched:  tm.variable("rejectunmatched", t, true),
	}
	tm.done()
	t.done()
	sys.done()
}

// variable reads one variable of a family, a boolean or tmsh's word for it. In
// above it may stand with its whole name.
func (t *table) variable(key string, above *table, otherwise bool) bool {
	t.known = append(t.known, key)
	if whole := t.name() + "." + key; above.has(whole) {
		above.known = append(above.known, whole)
		if t.has(key) {
			above.fault(above.at(whole), "is written twice, with and without quotes")
		}
		t, key = above, whole
	}
	text, word := t.keys[key].(string)
	switch {
	case !word:
		return t.flag(key, otherwise)
	case strings.EqualFold(text, "true"), strings.EqualFold(text, "enable"), strings.EqualFold(text, "enabled"):
		return true
	case strings.EqualFold(text, "false"), strings.EqualFold(text, "disable"), strings.EqualFold(text, "disabled"):
		return false
	}
	t.fault(t.at(key), "%q is not true or false", text)
	return otherwise
}
