package configs

import "strings"

// word is one value of an enumeration: the form that is printed, and the
// shorter ones that are taken as well.
type word[E any] struct {
	value E
	long  string
	short []string
}

// lookup finds s among the words, in any case.
func lookup[E any](words []word[E], s string) (e E, ok bool) {
	for _, w := range words {
		if strings.EqualFold(s, w.long) {
			return w.value, true
		}
		for _, short := range w.short {
			if strings.EqualFold(s, short) {
				return w.value, true
			}
		}
	}
	return e, false
}

// spell returns the long form of e.
func spell[E comparable](words []word[E], e E) string {
	for _, w := range words {
		if w.value == e {
			return w.long
		}
	}
	return "?"
}

// longForms lists what a user may write.
func longForms[E any](words []word[E]) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.long
	}
	return out
}

// Driver says how a port moves frames.
type Driver uint8

// The drivers of this build.
const (
	DriverRaw    Driver = iota // an AF_PACKET ring on a kernel device
	DriverTAP                  // a TAP device
	DriverPcap                 // a capture file, for tests and for looking back
	DriverSwitch               // the router's end of a switch in software (SwitchSoft)
	DriverXDP                  // DriverRaw, and the kernel forwards busy flows by itself (Offload)
)

func driverWords() []word[Driver] {
	return []word[Driver]{{DriverRaw, "raw", nil}, {DriverTAP, "tap", nil}, {DriverPcap, "pcap", nil}, {DriverSwitch, "switch", nil}, {DriverXDP, "xdp", nil}}
}

// String returns the word of the file.
func (d Driver) String() string { return spell(driverWords(), d) }

// Ring reports whether frames come by an AF_PACKET ring on a device that the
// kernel gives up: raw, and xdp on top of it.
func (d Driver) Ring() bool { return d == DriverRaw || d == DriverXDP }

// OffloadMode says how the kernel runs the program of a port that offloads.
type OffloadMode uint8

// The modes.
const (
	OffloadAuto    OffloadMode = iota // native where the device can, else generic
	OffloadNative                     // in the device's driver, or not at all
	OffloadGeneric                    // behind it: every device can, and gains less
)

func offloadWords() []word[OffloadMode] {
	return []word[OffloadMode]{{OffloadAuto, "auto", nil}, {OffloadNative, "native", nil}, {OffloadGeneric, "generic", []string{"skb"}}}
}

// String returns the word of the file.
func (m OffloadMode) String() string { return spell(offloadWords(), m) }

// Protocol is an IP protocol that address and port translation knows, by its
// IANA number.
type Protocol uint8

// The protocols.
const (
	ProtocolICMP Protocol = 1
	ProtocolTCP  Protocol = 6
	ProtocolUDP  Protocol = 17
	// ProtocolAll is a static mapping's only: every protocol. (IANA has 255 in
	// reserve; 0 means that nothing was read.)
	ProtocolAll Protocol = 255
)

func protocolWords() []word[Protocol] {
	return []word[Protocol]{{ProtocolTCP, "TCP", nil}, {ProtocolUDP, "UDP", nil}, {ProtocolICMP, "ICMP", nil}}
}

// String returns TCP, UDP, ICMP or ALL.
func (p Protocol) String() string { return spell(staticWords(), p) }

// staticWords are the protocols of a static mapping.
func staticWords() []word[Protocol] {
	return append(protocolWords(), word[Protocol]{ProtocolAll, "ALL", nil})
}

// Pooling says whether a subscriber keeps one NAT address (R14).
type Pooling uint8

// The ways of pooling. RANDOM is NetScaler's default.
const (
	PoolingRandom Pooling = iota
	PoolingPaired
)

func poolingWords() []word[Pooling] {
	return []word[Pooling]{{PoolingPaired, "PAIRED", nil}, {PoolingRandom, "RANDOM", nil}}
}

// String returns PAIRED or RANDOM.
func (p Pooling) String() string { return spell(poolingWords(), p) }

// Mapping says which packets of a subscriber share one NAT port (R19).
type Mapping uint8

// The mappings. ADDRESS-PORT-DEPENDENT is NetScaler's default.
const (
	MappingAPDM Mapping = iota
	MappingADM
	MappingEIM
)

func mappingWords() []word[Mapping] {
	return []word[Mapping]{
		{MappingEIM, "ENDPOINT-INDEPENDENT", []string{"EIM"}},
		{MappingADM, "ADDRESS-DEPENDENT", []string{"ADM"}},
		{MappingAPDM, "ADDRESS-PORT-DEPENDENT", []string{"APDM"}},
	}
}

// String returns the long form.
func (m Mapping) String() string { return spell(mappingWords(), m) }

// Filtering says who may answer through a mapping (R19).
type Filtering uint8

// The filterings. ADDRESS-PORT-DEPENDENT is NetScaler's default.
const (
	FilteringAPDF Filtering = iota
	FilteringADF
	FilteringEIF
)

func filteringWords() []word[Filtering] {
	return []word[Filtering]{
		{FilteringEIF, "ENDPOINT-INDEPENDENT", []string{"EIF"}},
		{FilteringADF, "ADDRESS-DEPENDENT", []string{"ADF"}},
		{FilteringAPDF, "ADDRESS-PORT-DEPENDENT", []string{"APDF"}},
	}
}

// String returns the long form.
func (f Filtering) String() string { return spell(filteringWords(), f) }

// BlockMode says what becomes of a phase-2 message that finds the lock taken (R58).
type BlockMode uint8

// The modes.
const (
	BlockHold BlockMode = iota
	BlockDrop
)

func blockModeWords() []word[BlockMode] {
	return []word[BlockMode]{{BlockHold, "HOLD", nil}, {BlockDrop, "DROP", nil}}
}

// String returns HOLD or DROP.
func (m BlockMode) String() string { return spell(blockModeWords(), m) }

// RewriteID says which outbound packets of a group get an IPv4 id that no other
// subscriber behind the same NAT address uses (R29).
type RewriteID uint8

// The choices. DF-clear packets do not take the fast path then.
const (
	RewriteFragments RewriteID = iota // pieces, and what leaves in pieces
	RewriteDFClear                    // everything that may be cut by somebody on its way
)

func rewriteIDWords() []word[RewriteID] {
	return []word[RewriteID]{{RewriteFragments, "FRAGMENTS", nil}, {RewriteDFClear, "DF-CLEAR", nil}}
}

// String returns FRAGMENTS or DF-CLEAR.
func (r RewriteID) String() string { return spell(rewriteIDWords(), r) }

// Refusal is the ICMP error that a subscriber gets whose packet is dropped at a
// limit or for want of a port (R20).
type Refusal uint8

// The errors: that of RFC 6888 REQ-11, that of RFC 5508 REQ-8, none.
const (
	RefusalHost Refusal = iota
	RefusalProhibited
	RefusalNone
)

func refusalWords() []word[Refusal] {
	return []word[Refusal]{{RefusalHost, "HOST-UNREACHABLE", nil}, {RefusalProhibited, "PROHIBITED", nil}, {RefusalNone, "NONE", nil}}
}

// String returns HOST-UNREACHABLE, PROHIBITED or NONE.
func (r Refusal) String() string { return spell(refusalWords(), r) }

// NATType says whether NAT addresses and ports are drawn or computed (R18).
type NATType uint8

// The types.
const (
	NATDynamic NATType = iota
	NATDeterministic
)

func natTypeWords() []word[NATType] {
	return []word[NATType]{{NATDynamic, "DYNAMIC", nil}, {NATDeterministic, "DETERMINISTIC", nil}}
}

// String returns DYNAMIC or DETERMINISTIC.
func (n NATType) String() string { return spell(natTypeWords(), n) }

// AllocPolicy is the order in which deterministic NAT fills its pool (R18).
type AllocPolicy uint8

// The policies: all blocks of one address first, or one block of each address
// first. NetScaler's help calls IPADDRS the default and its schema PORTS, which
// is what the appliance does.
const (
	AllocPorts AllocPolicy = iota
	AllocAddresses
)

func allocWords() []word[AllocPolicy] {
	return []word[AllocPolicy]{{AllocPorts, "PORTS", nil}, {AllocAddresses, "IPADDRS", nil}}
}

// String returns PORTS or IPADDRS.
func (a AllocPolicy) String() string { return spell(allocWords(), a) }

// Preset says what the keys of a group's profiles mean that are not written.
type Preset uint8

// The presets: NetScaler's defaults, the TCP timers of RFC 5382, or all that
// RFC 6888 asks of a carrier's NAT.
const (
	PresetNone Preset = iota
	PresetRFC5382
	PresetRFC6888
)

func presetWords() []word[Preset] {
	return []word[Preset]{{PresetNone, "", nil}, {PresetRFC5382, "rfc5382", nil}, {PresetRFC6888, "rfc6888", nil}}
}

// String returns the name, "" for PresetNone.
func (p Preset) String() string { return spell(presetWords(), p) }
