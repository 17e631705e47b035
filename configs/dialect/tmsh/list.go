package tmsh

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"spigate/configs"
	"spigate/configs/dialect"
)

// Object is one object of a configuration in tmsh's words.
type Object struct {
	Kind       string // ltm virtual
	Name       string
	Domain     *uint16    // traffic domain; nil: it is in none
	Properties []Property // in the order of their names, those at their default too
}

// Property is one property in tmsh's words. It has a value, or a block, or
// neither: then being there is all it says (ip-forward), and so it is for the
// names in a block.
type Property struct {
	Name    string     `json:"name"`
	Value   string     `json:"value,omitempty"`
	Block   []Property `json:"block,omitempty"`
	Braces  bool       `json:"braces,omitempty"`  // a name in a block that has an empty block of its own
	Default bool       `json:"default,omitempty"` // tmsh leaves it out unless it is asked for
}

// Kinds lists the kinds of objects in an order in which what is referred to comes
// first.
func Kinds() []string {
	return []string{
		"net vlan", "net route-domain", "net ipsec ike-peer", "net ipsec ipsec-policy", "net ipsec traffic-selector",
		"net ipsec manual-security-association", "net tunnels ipsec", "net tunnels tunnel", "net self", "net route",
		"ltm profile fastl4", "ltm snatpool", "ltm virtual", "ltm nat", "ltm snat", "sys db",
	}
}

// PropertiesOf lists the names of all properties that an object of a kind can
// have when it is listed, in order.
func PropertiesOf(words string) (out []string) {
	never := []string{
		"description", "pool", "l2-forward", "internal", "preshared-key-encrypted", "encrypt-key-encrypted", "auth-key-encrypted", "my-id-type",
		"peers-id-type", "my-cert-file", "my-cert-key-file", "ca-cert-file", "crl-file", "my-cert-key-passphrase", "peers-cert-file",
		"peers-cert-type", "proxy-support", "generate-policy", "verify-cert", "traffic-group", "allow-service", "floating",
		"inherited-traffic-group", "blackhole", "strict", "parent", "defaults-from", "tos", "ipcomp", "protocol",
	}
	for _, k := range kinds() {
		for _, p := range k.properties {
			if k.words == words && !slices.Contains(never, p.name) && !(p.name == "mtu" && words != "net tunnels tunnel") && !(p.name == "mode" && words != "net ipsec ipsec-policy") {
				out = append(out, p.name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Objects lists the objects of one kind, in the order of their names.
func Objects(c *configs.Config, words string) (out []Object) {
	l := lister{c, words, nil}
	switch words {
	case "ltm virtual":
		for _, s := range c.LTM.Virtuals {
			l.add(s.Name, &s.Domain, virtualProperties(s))
		}
	case "ltm nat":
		for _, n := range c.LTM.NATs {
			l.add(n.Name, &n.Domain, natProperties(n))
		}
	case "ltm snat":
		for _, s := range c.LTM.SNATs {
			l.add(s.Name, &s.Domain, snatProperties(s))
		}
	case "ltm snatpool":
		for _, p := range c.LTM.SNATPools {
			l.add(p.Name, nil, []Property{block("members", texts(p.Members), true)})
		}
	case "ltm profile fastl4":
		for _, p := range c.LTM.Profiles() {
			l.add(p.Name, nil, fastL4Properties(p))
		}
	default:
		l.net()
	}
	slices.SortStableFunc(l.out, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return l.out
}

// lister lists objects of one kind.
type lister struct {
	*configs.Config
	kind string
	out  []Object
}

func (l *lister) add(name string, domain *uint16, properties []Property) {
	slices.SortStableFunc(properties, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
	l.out = append(l.out, Object{l.kind, name, domain, properties})
}

// List is the whole configuration as "tmsh list" prints it.
func List(c *configs.Config) string {
	var b strings.Builder
	for _, kind := range Kinds() {
		for _, o := range Objects(c, kind) {
			o.Properties = slices.DeleteFunc(o.Properties, func(p Property) bool { return p.Default })
			o.Write(&b)
		}
	}
	return b.String()
}

// Write prints an object as tmsh does (VR45).
func (o *Object) Write(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s {", o.Kind, dialect.Quote(o.Name))
	if len(o.Properties) == 0 {
		b.WriteString(" }\n")
		return
	}
	b.WriteByte('\n')
	writeProperties(b, o.Properties, 1)
	b.WriteString("}\n")
}

func writeProperties(b *strings.Builder, properties []Property, depth int) {
	indent := strings.Repeat("    ", depth)
	for _, p := range properties {
		b.WriteString(indent + dialect.Quote(p.Name))
		switch {
		case p.Value != "":
			b.WriteString(" " + dialect.Quote(p.Value))
		case len(p.Block) > 0:
			b.WriteString(" {\n")
			writeProperties(b, p.Block, depth+1)
			b.WriteString(indent + "}")
		case p.Braces:
			b.WriteString(" { }")
		}
		b.WriteByte('\n')
	}
}

// always is a property that is printed whatever it is.
func always(name string, value any) Property {
	return Property{Name: name, Value: fmt.Sprint(value)}
}

// unless is a property that is left out at its default.
func unless[T comparable](name string, value, byDefault T) Property {
	p := always(name, value)
	p.Default = value == byDefault
	return p
}

// oneOf is one of two words, of which the second is the default.
func oneOf(is bool, word, byDefault string) Property {
	if is {
		return Property{Name: word}
	}
	return Property{Name: byDefault, Default: true}
}

// block is a list of names; none is the default.
func block(name string, members []string, braces bool) Property {
	p := Property{Name: name, Default: len(members) == 0}
	if p.Default {
		p.Value = "none"
	}
	for _, m := range members {
		p.Block = append(p.Block, Property{Name: m, Braces: braces})
	}
	return p
}

func enabled(is bool) string {
	if is {
		return "enabled"
	}
	return "disabled"
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func vlanProperties(l *configs.VLANList) []Property {
	return []Property{block("vlans", slices.Sorted(slices.Values(l.Names())), false), oneOf(l.Enabled, "vlans-enabled", "vlans-disabled")}
}

func virtualProperties(s *configs.Virtual) []Property {
	rate := "disabled"
	if s.RateLimit > 0 {
		rate = strconv.Itoa(s.RateLimit)
	}
	return append(vlanProperties(&s.VLANs),
		always("destination", inDomain(s.Destination.Addr(), s.Domain)+":"+configs.PortText(s.Port)),
		always("mask", mask(s.Destination)),
		always("source", networkIn(s.Source, s.Domain)),
		always("translate-address", enabled(s.TranslateAddress)),
		always("translate-port", enabled(s.TranslatePort)),
		block("profiles", []string{s.Profile.Name}, true),
		Property{Name: s.Role.String()},
		oneOf(s.Disabled, "disabled", "enabled"),
		sourceTranslation(s),
		unless("ip-protocol", s.Protocol, 0),
		unless("auto-lasthop", s.AutoLasthop, configs.AutoLasthopDefault),
		unless("source-port", s.SourcePort, configs.SourcePortPreserve),
		unless("connection-limit", s.ConnectionLimit, 0),
		unless("rate-limit", rate, "disabled"),
		unless("mirror", enabled(s.Mirror), "disabled"),
		unless("cmp-enabled", yesNo(s.CMPEnabled), "yes"),
		unless("require-protection", enabled(s.RequireProtection), "disabled"),
	)
}

func sourceTranslation(s *configs.Virtual) Property {
	p := Property{Name: "source-address-translation", Default: s.SourceTranslation == configs.SourceNone}
	switch {
	case s.SNATPool != nil:
		p.Block = append(p.Block, always("pool", s.SNATPool.Name))
	case s.SNATAddress.IsValid():
		p.Block = append(p.Block, always("translation", inDomain(s.SNATAddress, s.Domain))) // tmsh would want a pool of one
	case s.LSNGroup != nil:
		p.Block = append(p.Block, always("pool", s.LSNGroup.Name))
	}
	p.Block = append(p.Block, always("type", s.SourceTranslation))
	return p
}

func natProperties(n *configs.NAT) []Property {
	return append(vlanProperties(&n.VLANs),
		unless("arp", enabled(n.ARP), "enabled"),
		unless("auto-lasthop", n.AutoLasthop, configs.AutoLasthopDefault),
		always("inherited-traffic-group", n.InheritedTrafficGroup),
		always("originating-address", inDomain(n.Originating, n.Domain)),
		unless("require-protection", enabled(n.RequireProtection), "disabled"),
		always("traffic-group", n.TrafficGroup),
		always("translation-address", inDomain(n.Translation, n.Domain)),
	)
}

func snatProperties(s *configs.SNAT) []Property {
	var origins []string
	for _, p := range s.Origins {
		origins = append(origins, networkIn(p, s.Domain))
	}
	out := append(vlanProperties(&s.VLANs),
		block("origins", origins, true),
		unless("mirror", enabled(s.Mirror), "disabled"),
		unless("source-port", s.SourcePort, configs.SourcePortPreserve),
	)
	switch {
	case s.Automap:
		out = append(out, Property{Name: "automap"})
	case s.Pool != nil:
		out = append(out, always("snatpool", s.Pool.Name))
	default:
		out = append(out, always("translation", inDomain(s.Translation, s.Domain)))
	}
	return out
}

func fastL4Properties(p *configs.FastL4) []Property {
	idle := map[time.Duration]string{configs.IdleImmediate: "immediate", configs.IdleIndefinite: "indefinite"}[p.IdleTimeout]
	if idle == "" {
		idle = seconds(p.IdleTimeout)
	}
	return []Property{
		unless("idle-timeout", idle, "300"),
		unless("tcp-handshake-timeout", seconds(p.HandshakeTimeout), "5"),
		unless("tcp-close-timeout", seconds(p.CloseTimeout), "5"),
		unless("client-timeout", seconds(p.ClientTimeout), "30"),
		unless("loose-initialization", enabled(p.LooseInitialization), "disabled"),
		unless("loose-close", enabled(p.LooseClose), "disabled"),
		unless("reset-on-timeout", enabled(p.ResetOnTimeout), "enabled"),
		unless("ip-ttl-mode", p.TTLMode, configs.TTLDecrement),
		unless("mss-override", p.MSSOverride, 0),
	}
}

// seconds prints a time as tmsh does, without a unit; one that is no whole number
// of seconds has one.
func seconds(d time.Duration) string { return dialect.Units(d, time.Second) }

// inDomain is an address with its route domain, as BIG-IP writes it.
func inDomain(a netip.Addr, domain uint16) string {
	if domain == 0 {
		return a.String()
	}
	return a.String() + "%" + strconv.Itoa(int(domain))
}

// networkIn is a network with its route domain.
func networkIn(p netip.Prefix, domain uint16) string {
	return inDomain(p.Addr(), domain) + "/" + strconv.Itoa(p.Bits())
}

// mask is the length of a prefix as tmsh prints it.
func mask(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "any"
	}
	return dialect.Mask(p)
}

func texts[T fmt.Stringer](list []T) (out []string) {
	for _, one := range list {
		out = append(out, one.String())
	}
	return out
}
