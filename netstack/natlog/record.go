package natlog

import (
	"strconv"

	"spigate/netstack/frame"
)

// Kind says what a record tells.
type Kind uint8

// The kinds of Record. Gap is made by this package alone.
const (
	MappingCreated Kind = iota + 1
	MappingDeleted
	SessionCreated
	SessionDeleted
	BlockAllocated // one line a block instead of one a port (R17, RFC 6888 REQ-14)
	BlockFreed
	AddressesExhausted
	PortsExhausted
	QuotaExceeded
	Started // the tables begin empty: whatever was held before has ended
	Gap     // records were lost here
	kinds
)

func (k Kind) isMapping() bool { return k == MappingCreated || k == MappingDeleted }
func (k Kind) isSession() bool { return k == SessionCreated || k == SessionDeleted }
func (k Kind) isBlock() bool   { return k == BlockAllocated || k == BlockFreed }

// Mode is what a mapping is for, and so how much of the destination its record
// must name (R30).
type Mode uint8

// The modes of a mapping.
const (
	EIM    Mode = iota // for all destinations: none is logged (RFC 6888 REQ-12)
	ADM                // for one destination address
	APDM               // for one destination address and port
	Static             // the configuration's, for all destinations (R27)
	modes
)

// String returns the word of the long form.
func (m Mode) String() string {
	switch m {
	case EIM:
		return "EIM"
	case ADM:
		return "ADM"
	case Static:
		return "STATIC"
	}
	return "A&PDM"
}

// Quota says which limit was met (R20).
type Quota uint8

// The limits.
const (
	GroupSessions      Quota = iota // group_session_limit
	SubscriberSessions              // session_quota
	SubscriberPorts                 // port_quota
	AllSessions                     // the router's session table
	quotas
)

func (q Quota) perUser() bool { return q == SubscriberSessions || q == SubscriberPorts }

// String returns the words of the long form.
func (q Quota) String() string {
	switch q {
	case GroupSessions:
		return "GROUP SESSION LIMIT"
	case SubscriberSessions:
		return "SUBSCRIBER SESSION QUOTA"
	case AllSessions:
		return "SESSION TABLE"
	}
	return "SUBSCRIBER PORT QUOTA"
}

// Protocol numbers with words of their own. For ICMP a port is the identifier
// of the query.
const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
	protoESP  = 50
)

// appendProto writes a protocol's name, or its number where it has none here.
func appendProto(dst []byte, proto uint8) []byte {
	switch proto {
	case protoICMP:
		return append(dst, "ICMP"...)
	case protoTCP:
		return append(dst, "TCP"...)
	case protoUDP:
		return append(dst, "UDP"...)
	case protoESP:
		return append(dst, "ESP"...)
	}
	return strconv.AppendUint(dst, uint64(proto), 10)
}

// Record is one event to be told. Fields that mean nothing for a kind are not
// looked at.
type Record struct {
	Kind  Kind
	Mode  Mode  // of a mapping
	Quota Quota // of QuotaExceeded
	Proto uint8 // IANA number; ESP (50) has SPIs in place of ports

	Domain          uint16         // traffic domain, 0-4094
	Inside, Outside frame.Endpoint // subscriber and NAT address
	Remote          frame.Endpoint // of a session; of a mapping as far as Mode says
	First, Last     uint16         // ports of a block, both included

	SPIIn, SPIOut uint32 // of an ESP session: to the client, to the server; 0 = not known
	Limit         uint32 // of QuotaExceeded: how many there may be
	Pool          uint32 // of AddressesExhausted: the pool's place in the configuration, from 1
	// Of a deleted session: in2out, out2in; bytes of IP packets. If somebody
	// flushes it, the last second of the fast path may be missing.
	Packets, Bytes [2]uint64

	Wall int64 // when it happened, Unix nanoseconds; Emit fills in 0. Of a gap: of the last lost record

	Lost      uint64 // of a gap: how many records
	LostTotal uint64 // of a gap: how many the target has lost in all, these included
	LostFrom  int64  // of a gap: Wall of the first lost record

	Group   string   // name of the LSN group
	Profile *Profile // the group's log profile, nil = none
}

// Profile is an LSN group's log profile (table 1.1): what of the group is told
// and how. A group without one is told whole, in each target's own format.
type Profile struct {
	Compact         bool // logCompact: short lines where a target's format is FormatProfile
	SubscriberInfo  bool // logSubscrInfo: lines name the group
	IPFIX           bool // logIPFIX: IPFIX targets get its records
	SessionDeletion bool // logSessDeletion: the end of a session is told too
}
