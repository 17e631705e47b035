package control

import (
	"encoding/json"
	"strings"
)

// LTMKind is a kind of configured object that "list ltm" prints.
type LTMKind string

// The kinds, as they stand in a path of the control socket.
const (
	KindVirtual LTMKind = "virtual"
	KindNAT     LTMKind = "nat"
	KindSNAT    LTMKind = "snat"
	KindFastL4  LTMKind = "profile-fastl4"
)

// LTMKinds lists them all.
func LTMKinds() []LTMKind { return []LTMKind{KindVirtual, KindNAT, KindSNAT, KindFastL4} }

// Words is the kind in tmsh's words, which stand in front of an object's name:
// "ltm profile fastl4".
func (k LTMKind) Words() string { return "ltm " + strings.ReplaceAll(string(k), "-", " ") }

// Properties lists the names of all properties that an object of the kind can
// have, in order.
func (k LTMKind) Properties() []string {
	vlans := []string{"vlans", "vlans-disabled", "vlans-enabled"}
	switch k {
	case KindVirtual:
		return append([]string{
			"auto-lasthop", "cmp-enabled", "connection-limit", "destination", "disabled", "enabled", "ip-forward", "ip-protocol",
			"mask", "mirror", "profiles", "rate-limit", "reject", "require-protection", "source", "source-address-translation",
			"source-port", "translate-address", "translate-port",
		}, vlans...)
	case KindNAT:
		return append([]string{
			"arp", "auto-lasthop", "inherited-traffic-group", "originating-address", "require-protection", "traffic-group", "translation-address",
		}, vlans...)
	case KindSNAT:
		return append([]string{"automap", "mirror", "origins", "snatpool", "source-port", "translation"}, vlans...)
	case KindFastL4:
		return []string{
			"client-timeout", "idle-timeout", "ip-ttl-mode", "loose-close", "loose-initialization", "mss-override", "reset-on-timeout",
			"tcp-close-timeout", "tcp-handshake-timeout",
		}
	}
	return nil
}

// LTMObject is a row of "list ltm …": one object of the running configuration,
// with its properties in the order of their names, those at their default too.
type LTMObject struct {
	Name       string        `json:"name"`
	TD         *uint16       `json:"td"` // null: a profile, which is in none
	Properties []LTMProperty `json:"properties"`
}

// LTMProperty is one property in tmsh's words. It has a value, or a block, or
// neither: then being there is all it says (ip-forward), and so it is for the
// names in a block.
type LTMProperty struct {
	Name    string        `json:"name"`
	Value   string        `json:"value,omitempty"`
	Block   []LTMProperty `json:"block,omitempty"`
	Braces  bool          `json:"braces,omitempty"`  // a name in a block that has an empty block of its own
	Default bool          `json:"default,omitempty"` // tmsh leaves it out unless it is asked for
}

// MarshalJSON implements json.Marshaler. It sees to it that a list without
// anything is [] and not null.
func (o LTMObject) MarshalJSON() ([]byte, error) {
	type fields LTMObject
	if o.Properties == nil {
		o.Properties = []LTMProperty{}
	}
	return json.Marshal(fields(o))
}

// Property returns the property of this name, nil if there is none.
func (o *LTMObject) Property(name string) *LTMProperty {
	for i := range o.Properties {
		if o.Properties[i].Name == name {
			return &o.Properties[i]
		}
	}
	return nil
}

func (o LTMObject) passes(f *Filter) bool { return o.TD == nil || f.in(*o.TD) }
