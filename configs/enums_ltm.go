package configs

import "strconv"

// Role is what a virtual server does with what it admits.
type Role uint8

// The roles of this build.
const (
	RoleForward Role = iota // ip_forward: routed by the table (VR14)
	RoleReject
)

// String returns ip-forward or reject.
func (r Role) String() string { return [...]string{"ip-forward", "reject"}[r] }

// SourceTranslation is how a virtual server translates source addresses (VR19).
type SourceTranslation uint8

// The translations. With SourceNone a matching [ltm.snat] or [ltm.nat] does it.
const (
	SourceNone SourceTranslation = iota
	SourceAutomap
	SourceSNAT
	SourceLSN
)

func sourceTranslationWords() []word[SourceTranslation] {
	return []word[SourceTranslation]{
		{SourceNone, "none", nil}, {SourceAutomap, "automap", nil}, {SourceSNAT, "snat", nil}, {SourceLSN, "lsn", nil},
	}
}

// String returns none, automap, snat or lsn.
func (s SourceTranslation) String() string { return spell(sourceTranslationWords(), s) }

// SourcePort is what becomes of the source port of a translated flow.
type SourcePort uint8

// The choices.
const (
	SourcePortPreserve SourcePort = iota // if it is free
	SourcePortStrict                     // or the flow is refused
	SourcePortChange
)

func sourcePortWords() []word[SourcePort] {
	return []word[SourcePort]{
		{SourcePortPreserve, "preserve", nil},
		{SourcePortStrict, "preserve-strict", []string{"preserve_strict"}},
		{SourcePortChange, "change", nil},
	}
}

// String returns preserve, preserve-strict or change.
func (s SourcePort) String() string { return spell(sourcePortWords(), s) }

// AutoLasthop says whether answers go back to the station that a packet came
// from, whatever the routes say.
type AutoLasthop uint8

// The choices. Both of this build go by the routes.
const (
	AutoLasthopDefault AutoLasthop = iota
	AutoLasthopDisabled
)

func autoLasthopWords() []word[AutoLasthop] {
	return []word[AutoLasthop]{{AutoLasthopDefault, "default", nil}, {AutoLasthopDisabled, "disabled", nil}}
}

// String returns default or disabled.
func (a AutoLasthop) String() string { return spell(autoLasthopWords(), a) }

// TTLMode is what becomes of the TTL of a forwarded packet.
type TTLMode uint8

// The modes of this build.
const (
	TTLDecrement TTLMode = iota
	TTLPreserve
)

func ttlWords() []word[TTLMode] {
	return []word[TTLMode]{{TTLDecrement, "decrement", nil}, {TTLPreserve, "preserve", nil}}
}

// String returns decrement or preserve.
func (m TTLMode) String() string { return spell(ttlWords(), m) }

// IPProtocol is an IANA protocol number; 0 is any.
type IPProtocol uint8

func ipProtocolWords() []word[IPProtocol] {
	return []word[IPProtocol]{
		{0, "any", nil}, {6, "tcp", nil}, {17, "udp", nil}, {1, "icmp", nil}, {50, "esp", nil}, {51, "ah", nil}, {47, "gre", nil},
		{4, "ipencap", []string{"ipip"}}, {132, "sctp", nil},
	}
}

// String returns the name in lower case, or the number.
func (p IPProtocol) String() string {
	if name := spell(ipProtocolWords(), p); name != "?" {
		return name
	}
	return strconv.Itoa(int(p))
}
