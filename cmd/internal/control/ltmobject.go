package control

import (
	"encoding/json"

	"spigate/configs/dialect/tmsh"
)

// LTMKind is a kind of configured object that "list" prints in tmsh's form: most
// are below "ltm", others below "net" and "sys".
type LTMKind string

// The kinds, as they stand in a path of the control socket.
const (
	KindVirtual LTMKind = "virtual"
	KindNAT     LTMKind = "nat"
	KindSNAT    LTMKind = "snat"
	KindFastL4  LTMKind = "profile-fastl4"

	KindSNATPool    LTMKind = "snatpool"
	KindVLAN        LTMKind = "net-vlan"
	KindSelf        LTMKind = "net-self"
	KindRoute       LTMKind = "net-route"
	KindRouteDomain LTMKind = "net-route-domain"
	KindPolicy      LTMKind = "net-ipsec-policy"
	KindSelector    LTMKind = "net-ipsec-selector"
	KindPeer        LTMKind = "net-ipsec-peer"
	KindManualSA    LTMKind = "net-ipsec-manual-sa"
	KindTunnelIPsec LTMKind = "net-tunnels-ipsec"
	KindTunnel      LTMKind = "net-tunnels-tunnel"
	KindDB          LTMKind = "sys-db"
)

// kindWords are the kinds in tmsh's words, which stand in front of an object's
// name.
func kindWords() map[LTMKind]string {
	return map[LTMKind]string{
		KindVirtual: "ltm virtual", KindNAT: "ltm nat", KindSNAT: "ltm snat", KindFastL4: "ltm profile fastl4", KindSNATPool: "ltm snatpool",
		KindVLAN: "net vlan", KindSelf: "net self", KindRoute: "net route", KindRouteDomain: "net route-domain",
		KindPolicy: "net ipsec ipsec-policy", KindSelector: "net ipsec traffic-selector", KindPeer: "net ipsec ike-peer",
		KindManualSA: "net ipsec manual-security-association", KindTunnelIPsec: "net tunnels ipsec", KindTunnel: "net tunnels tunnel", KindDB: "sys db",
	}
}

// LTMKinds lists them all, in an order in which what is referred to comes first.
func LTMKinds() (out []LTMKind) {
	for _, words := range tmsh.Kinds() {
		for kind, is := range kindWords() {
			if is == words {
				out = append(out, kind)
			}
		}
	}
	return out
}

// Words is the kind in tmsh's words: "ltm profile fastl4".
func (k LTMKind) Words() string { return kindWords()[k] }

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
	return tmsh.PropertiesOf(k.Words())
}

// LTMObject is a row of "list ltm …": one object of the running configuration,
// with its properties in the order of their names, those at their default too.
type LTMObject struct {
	Name       string        `json:"name"`
	TD         *uint16       `json:"td"` // null: a profile, which is in none
	Properties []LTMProperty `json:"properties"`
}

// LTMProperty is one property in tmsh's words.
type LTMProperty = tmsh.Property

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
