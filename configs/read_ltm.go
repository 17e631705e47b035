package configs

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// nameAt is a name of another object, and the place where it stands.
type nameAt struct {
	name string
	at   spot
}

// ltmRefs are the names that objects of [ltm.…] refer to, not yet resolved.
type ltmRefs struct {
	vlans   map[*VLANList]spot
	lists   map[*VLANList][]string // the names
	profile map[*Virtual]nameAt
	group   map[*Virtual]nameAt
	pool    map[any]nameAt // *Virtual, *SNAT: a pool of addresses
}

func newLTMRefs() ltmRefs {
	return ltmRefs{
		map[*VLANList]spot{}, map[*VLANList][]string{}, map[*Virtual]nameAt{}, map[*Virtual]nameAt{}, map[any]nameAt{},
	}
}

func (r *reader) ltm(root *table, w *raw) {
	t := root.sub("ltm")
	r.fastL4s(t.sub("profile"), w)
	r.virtuals(t, w)
	r.nats(t, w)
	r.snats(t, w)
	r.snatPools(t, w)
	t.later("pool", "node", "monitor", "rule", "policy")
	t.done()
	r.db(root.sub("sys"), w)
}

func (r *reader) virtuals(ltm *table, w *raw) {
	for _, t := range ltm.named("virtual", longName) {
		v := &Virtual{Name: t.name(), Domain: t.trafficDomain()}
		v.Destination, v.Port = t.listenAt()
		v.Source = t.network("source")
		v.Protocol = t.ipProtocol()
		if v.Port != 0 && v.Protocol != 0 && v.Protocol != 6 && v.Protocol != 17 {
			t.fault(t.at("destination"), "%s has no ports: write any", v.Protocol)
		}
		v.Role = t.role()
		w.ltm.profile[v] = t.profile()
		t.listenOn(&v.VLANs, w)
		v.Disabled = !t.either("enabled", "disabled", true)
		translates := v.Destination.IsValid() && v.Destination.IsSingleIP() && v.Role != RoleForward
		v.TranslateAddress = t.flag("translate_address", translates)
		v.TranslatePort = t.flag("translate_port", translates)
		t.sourceTranslation(v, w)
		v.ConnectionLimit = t.size("connection_limit", 0, 0, maxSize)
		v.RateLimit = t.rateLimit()
		v.Mirror = t.mirror()
		v.AutoLasthop = t.autoLasthop()
		v.SourcePort = choose(t, "source_port", SourcePortPreserve, sourcePortWords())
		v.CMPEnabled = t.flag("cmp_enabled", true)
		v.RequireProtection = t.flag("require_protection", false)
		t.done()
		w.LTM.Virtuals = append(w.LTM.Virtuals, v)
	}
}

// everywhere is the network of all addresses.
func everywhere() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }

// listenAt reads a destination: ADDRESS:PORT or NETWORK/BITS:PORT, or as tmsh
// writes it, the network's address here and its mask in a key of its own.
func (t *table) listenAt() (netip.Prefix, uint16) {
	at, mask := t.at("destination"), t.mask()
	text := t.need("destination")
	if text == "" {
		return netip.Prefix{}, 0
	}
	if strings.Count(text, ":") > 1 {
		t.fault(at, "%q: only IPv4 is supported", text)
		return netip.Prefix{}, 0
	}
	host, service, said := strings.Cut(text, ":")
	port, known := parsePort(service)
	switch {
	case !said:
		t.fault(at, `%q has no port: write "%s:any", or a number or a service instead of any`, text, text)
	case !known:
		t.fault(at, "%q is no port: write any, a number up to 65535, or the name of a service%s", service, didYouMean(service, serviceNames()))
	}
	p, err := parseDestination(host, mask)
	if err != nil {
		t.fault(at, "%v", err)
	}
	return p, port
}

// unmasked stands for a mask that is not written.
const unmasked = -1

// mask reads a network's mask as a number of bits, or unmasked.
func (t *table) mask() int {
	text, said := get[string](t, "mask")
	switch {
	case !said:
		return unmasked
	case strings.EqualFold(text, "any"):
		return 0
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		t.fault(t.at("mask"), "%q is not a mask such as 255.255.255.0", text)
		return unmasked
	}
	n := bits.LeadingZeros32(^number(a))
	if bits.OnesCount32(number(a)) != n {
		t.fault(t.at("mask"), "%s has holes: a network is the first bits of its addresses", text)
		return unmasked
	}
	return n
}

// parseDestination takes an address or a network. An address alone is a host,
// but 0.0.0.0 stands for everything.
func parseDestination(s string, mask int) (netip.Prefix, error) {
	if strings.EqualFold(s, "any") {
		s = "0.0.0.0"
	}
	addr, _, lengthSaid := strings.Cut(s, "/")
	a, err := parseAddr(addr)
	if err != nil {
		return netip.Prefix{}, err
	}
	length := mask
	if lengthSaid {
		p, err := parsePrefix(s)
		if err != nil {
			return p, err
		}
		if length = p.Bits(); mask != unmasked && mask != length {
			return netip.Prefix{}, fmt.Errorf("%q has another length than the mask, which has %d bits: leave one of them out", s, mask)
		}
	}
	if length == unmasked {
		if length = 32; a.IsUnspecified() {
			length = 0
		}
	}
	p := netip.PrefixFrom(a, length)
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s has host bits: write %s, or %s for the host alone", p, p.Masked(), a)
	}
	// Shorter prefixes hold unicast addresses besides others.
	if why := notUnicast(a); why != "" && length >= 8 {
		return netip.Prefix{}, fmt.Errorf("%q is %s", s, why)
	}
	return p, nil
}

// network reads a network; everywhere, if there is none.
func (t *table) network(key string) netip.Prefix {
	text := t.text(key, "any")
	if strings.EqualFold(text, "any") {
		return everywhere()
	}
	p, err := parseNetwork(text)
	if err != nil {
		t.fault(t.at(key), "%v", err)
		return everywhere()
	}
	return p
}

// ipProtocol reads a protocol by its name or its number.
func (t *table) ipProtocol() IPProtocol {
	const key = "ip_protocol"
	if _, number := t.keys[key].(int64); number {
		return IPProtocol(t.whole(key, 0, 0, 255))
	}
	text := t.text(key, "any")
	if p, ok := lookup(ipProtocolWords(), text); ok {
		return p
	}
	if n, err := strconv.ParseUint(text, 10, 8); err == nil {
		return IPProtocol(n)
	}
	forms := longForms(ipProtocolWords())
	t.fault(t.at(key), "%q is not one of %s, nor a number from 0 to 255%s", text, strings.Join(forms, ", "), didYouMean(text, forms))
	return 0
}

// role reads what a server does. It has exactly one role.
func (t *table) role() Role {
	forward, reject := t.flag("ip_forward", false), t.flag("reject", false)
	pool, bridge := t.text("pool", ""), t.flag("l2_forward", false)
	if pool != "" {
		t.fault(t.at("pool"), "not supported: no load is balanced here; leave it out, and say ip_forward = true to route to the destination itself")
	}
	if bridge {
		t.fault(t.at("l2_forward"), "not supported: nothing is bridged here; leave it out, and say ip_forward = true to route")
	}
	switch {
	case forward && reject:
		t.fault(t.at("reject"), "a server has one role, and ip_forward is true as well")
	case !forward && !reject && pool == "" && !bridge:
		at := t.here()
		at.onKey = true
		t.fault(at, "has no role: say ip_forward = true, or reject = true")
	}
	if reject && !forward {
		return RoleReject
	}
	return RoleForward
}

// profile reads the name of a server's one profile.
func (t *table) profile() nameAt {
	const key = "profiles"
	names := list(t, key, sameText)
	if len(names) > 1 {
		t.fault(t.at(key).of(1), "a server has one profile here, of kind fastl4")
	}
	if len(names) == 0 {
		return nameAt{DefaultFastL4, t.at(key)}
	}
	return nameAt{names[0], t.at(key).of(0)}
}

// either reads two keys of which one is the other's opposite, as tmsh has them.
func (t *table) either(yes, no string, otherwise bool) bool {
	y, saidYes := get[bool](t, yes)
	n, saidNo := get[bool](t, no)
	switch {
	case saidYes && saidNo && y == n:
		t.fault(t.at(no), "is the opposite of %s: write one of them", yes)
	case saidYes:
		return y
	case saidNo:
		return !n
	}
	return otherwise
}

// listenOn reads where something listens.
func (t *table) listenOn(v *VLANList, w *raw) {
	w.ltm.lists[v] = list(t, "vlans", sameText)
	w.ltm.vlans[v] = t.at("vlans")
	v.Enabled = t.either("vlans_enabled", "vlans_disabled", false)
	said := t.has("vlans_enabled") || t.has("vlans_disabled")
	switch n := len(w.ltm.lists[v]); {
	case n > 0 && !said:
		t.warn(t.at("vlans"), "without vlans_enabled = true these are the VLANs that are left out: say that, or vlans_disabled = true")
	case n == 0 && v.Enabled:
		t.warn(t.at("vlans_enabled"), "vlans is empty, so it never matches")
	}
}

// sourceTranslation reads tmsh's table of type and pool, or the type alone with
// the pool in a key of its own.
func (t *table) sourceTranslation(v *Virtual, w *raw) {
	const key = "source_address_translation"
	pool := nameAt{t.text("snat_pool", ""), t.at("snat_pool")}
	group := nameAt{t.text("lsn_group", ""), t.at("lsn_group")}
	var address nameAt
	if t.has("snat_translation") {
		v.SNATAddress = needOne(t, "snat_translation", parseHost)
		address = nameAt{"an address", t.at("snat_translation")}
	}
	t.known = append(t.known, "snat_translation")
	if _, whole := t.keys[key].(map[string]any); whole {
		s := t.sub(key)
		v.SourceTranslation = choose(s, "type", SourceNone, sourceTranslationWords())
		name := s.text("pool", "none")
		s.done()
		if name != "none" {
			if v.SourceTranslation == SourceLSN {
				group = nameAt{name, s.at("pool")}
			} else {
				pool = nameAt{name, s.at("pool")}
			}
		}
	} else {
		v.SourceTranslation = choose(t, key, SourceNone, sourceTranslationWords())
	}
	t.onlyWith(SourceSNAT, v, pool)
	t.onlyWith(SourceSNAT, v, address)
	t.onlyWith(SourceLSN, v, group)
	switch {
	case v.SourceTranslation == SourceLSN && group.name == "":
		t.fault(t.at(key), `"lsn" needs an lsn_group`)
	case v.SourceTranslation == SourceSNAT && (pool.name == "") == (address.name == ""):
		t.fault(t.at(key), `"snat" needs a snat_pool or a snat_translation, and not both`)
	}
	w.ltm.pool[v], w.ltm.group[v] = pool, group
}

// onlyWith refuses a name that another kind of translation has.
func (t *table) onlyWith(kind SourceTranslation, v *Virtual, name nameAt) {
	if name.name != "" && v.SourceTranslation != kind {
		t.fault(name.at, "only with source_address_translation = %q, not %q", kind, v.SourceTranslation)
	}
}

// rateLimit reads a number of connections a second, or disabled.
func (t *table) rateLimit() int {
	const key = "rate_limit"
	text, word := t.keys[key].(string)
	if !word {
		return t.size(key, 0, 0, maxSize)
	}
	t.known = append(t.known, key)
	if !strings.EqualFold(text, "disabled") {
		t.fault(t.at(key), `must be a number of connections a second, or "disabled", not %q`, text)
	}
	return 0
}

func (t *table) mirror() bool {
	on := t.flag("mirror", false)
	if on {
		t.warn(t.at("mirror"), "has no effect without a peer in [ha]")
	}
	return on
}

func (t *table) autoLasthop() AutoLasthop {
	const key = "auto_lasthop"
	if text, _ := t.keys[key].(string); strings.EqualFold(text, "enabled") {
		t.known = append(t.known, key)
		t.fault(t.at(key), "not supported yet: answers go by the routes; leave it out")
		return AutoLasthopDefault
	}
	return choose(t, key, AutoLasthopDefault, autoLasthopWords())
}
