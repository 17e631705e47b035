package wire

import (
	"fmt"
	"sort"
	"strconv"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// Objects of [ltm.…] in tmsh's words. What is always printed, and what only if
// it is not the default, is as tmsh has it.

// LTMConfig implements control.LTM.
func (v *views) LTMConfig(kind control.LTMKind) (out []control.LTMObject) {
	c := &v.config.Load().LTM
	switch kind {
	case control.KindVirtual:
		for _, s := range c.Virtuals {
			out = append(out, tmshObject(s.Name, &s.Domain, virtualProperties(s)))
		}
	case control.KindNAT:
		for _, n := range c.NATs {
			out = append(out, tmshObject(n.Name, &n.Domain, natProperties(n)))
		}
	case control.KindSNAT:
		for _, s := range c.SNATs {
			out = append(out, tmshObject(s.Name, &s.Domain, snatProperties(s)))
		}
	case control.KindFastL4:
		for _, p := range c.Profiles() {
			out = append(out, tmshObject(p.Name, nil, fastL4Properties(p)))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func tmshObject(name string, domain *uint16, properties []control.LTMProperty) control.LTMObject {
	sort.Slice(properties, func(i, j int) bool { return properties[i].Name < properties[j].Name })
	return control.LTMObject{Name: name, TD: domain, Properties: properties}
}

// always is a property that is printed whatever it is.
func always(name string, value any) control.LTMProperty {
	return control.LTMProperty{Name: name, Value: fmt.Sprint(value)}
}

// unless is a property that is left out at its default.
func unless[T comparable](name string, value, byDefault T) control.LTMProperty {
	p := always(name, value)
	p.Default = value == byDefault
	return p
}

// oneOf is one of two words, of which the second is the default.
func oneOf(is bool, word, byDefault string) control.LTMProperty {
	if is {
		return control.LTMProperty{Name: word}
	}
	return control.LTMProperty{Name: byDefault, Default: true}
}

// block is a list of names; none is the default.
func block(name string, members []string, braces bool) control.LTMProperty {
	p := control.LTMProperty{Name: name, Default: len(members) == 0}
	if p.Default {
		p.Value = "none"
	}
	for _, m := range members {
		p.Block = append(p.Block, control.LTMProperty{Name: m, Braces: braces})
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

func vlanProperties(l *configs.VLANList) []control.LTMProperty {
	return []control.LTMProperty{block("vlans", vlanNames(l), false), oneOf(l.Enabled, "vlans-enabled", "vlans-disabled")}
}

func virtualProperties(s *configs.Virtual) []control.LTMProperty {
	rate := "disabled"
	if s.RateLimit > 0 {
		rate = strconv.Itoa(s.RateLimit)
	}
	return append(vlanProperties(&s.VLANs),
		always("destination", address(s.Destination)+":"+configs.PortText(s.Port)),
		always("mask", mask(s.Destination)),
		always("source", s.Source),
		always("translate-address", enabled(s.TranslateAddress)),
		always("translate-port", enabled(s.TranslatePort)),
		block("profiles", []string{s.Profile.Name}, true),
		control.LTMProperty{Name: s.Role.String()},
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

func sourceTranslation(s *configs.Virtual) control.LTMProperty {
	p := control.LTMProperty{Name: "source-address-translation", Default: s.SourceTranslation == configs.SourceNone}
	switch {
	case s.SNATPool != nil:
		p.Block = append(p.Block, always("pool", s.SNATPool.Name))
	case s.SNATAddress.IsValid():
		p.Block = append(p.Block, always("translation", s.SNATAddress)) // tmsh would want a pool of one
	case s.LSNGroup != nil:
		p.Block = append(p.Block, always("pool", s.LSNGroup.Name))
	}
	p.Block = append(p.Block, always("type", s.SourceTranslation))
	return p
}

func natProperties(n *configs.NAT) []control.LTMProperty {
	return append(vlanProperties(&n.VLANs),
		unless("arp", enabled(n.ARP), "enabled"),
		unless("auto-lasthop", n.AutoLasthop, configs.AutoLasthopDefault),
		always("inherited-traffic-group", n.InheritedTrafficGroup),
		always("originating-address", n.Originating),
		unless("require-protection", enabled(n.RequireProtection), "disabled"),
		always("traffic-group", n.TrafficGroup),
		always("translation-address", n.Translation),
	)
}

func snatProperties(s *configs.SNAT) []control.LTMProperty {
	out := append(vlanProperties(&s.VLANs),
		block("origins", texts(s.Origins), true),
		unless("mirror", enabled(s.Mirror), "disabled"),
		unless("source-port", s.SourcePort, configs.SourcePortPreserve),
	)
	switch {
	case s.Automap:
		out = append(out, control.LTMProperty{Name: "automap"})
	case s.Pool != nil:
		out = append(out, always("snatpool", s.Pool.Name))
	default:
		out = append(out, always("translation", s.Translation))
	}
	return out
}

func fastL4Properties(p *configs.FastL4) []control.LTMProperty {
	idle := map[time.Duration]string{configs.IdleImmediate: "immediate", configs.IdleIndefinite: "indefinite"}[p.IdleTimeout]
	if idle == "" {
		idle = seconds(p.IdleTimeout)
	}
	return []control.LTMProperty{
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

// seconds prints a time as tmsh does, without a unit.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
