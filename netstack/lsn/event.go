package lsn

import "spigate/netstack/frame"

// EventKind says what happened to the tables.
type EventKind uint8

// The kinds of Event.
const (
	MappingCreated EventKind = iota
	MappingDeleted
	SessionCreated
	SessionDeleted
	BlockAllocated // a port block now belongs to a subscriber (R17)
	BlockFreed
	PortsExhausted     // a subscriber got no port on its one NAT address, which is Outside (R20)
	AddressesExhausted // a subscriber got no port on any address of its group
	QuotaExceeded      // a subscriber or group is at its limit (R20)
)

// Event is one entry of the NAT's journal: what logging tells the world (R30)
// and what the ALG must know of. Fields that mean nothing for a kind are zero.
type Event struct {
	Kind             EventKind
	Static           bool // of a static mapping, or of a session on one (R27)
	Proto            uint8
	Group            *Group
	Profile          *AppProfile // its Mapping tells how much of Remote counts
	Inside, Outside  frame.Endpoint
	Remote           frame.Endpoint
	Session, Mapping uint64
	InBlock          bool      // of a mapping: its port lies in a block, which has events of its own
	First, Last      uint16    // ports of a block
	Pool             uint32    // of AddressesExhausted: place of the group's first pool in the configuration, from 1
	Quota            Quota     // which limit, of QuotaExceeded
	Limit            int       // how much it allows
	Packets, Bytes   [2]uint64 // of a deleted session: out, in
}

// Quota names a limit (R20), in the order in which they are asked.
type Quota uint8

// The limits.
const (
	NoQuota      Quota = iota
	GroupQuota         // TransportProfile.GroupSessionLimit
	SessionQuota       // TransportProfile.SessionQuota
	PortQuota          // TransportProfile.PortQuota
	TableQuota         // Config.MaxSessions; asked first
)

func (q Quota) String() string {
	return word(q, "none", "group_session_limit", "session_quota", "port_quota", "session_table")
}

// aftermath is what must be told once no lock is held any more.
type aftermath struct {
	gone   []uint64 // sessions
	events []Event
}

// note keeps an event for later, if anybody listens.
func (t *Table) note(after *aftermath, e Event) {
	if t.onEvent != nil {
		after.events = append(after.events, e)
	}
}

// tell reports what happened, and forgets it. No lock may be held.
func (t *Table) tell(after *aftermath) {
	for _, id := range after.gone {
		t.onGone(id)
	}
	for i := range after.events {
		t.onEvent(after.events[i])
	}
	after.gone, after.events = after.gone[:0], after.events[:0]
}

// mappingEvent describes a mapping. The shard's lock is held.
func (t *Table) mappingEvent(kind EventKind, sh *inside, mslot uint32) Event {
	m := sh.mappings.at(mslot)
	r := t.cfg().rules[m.rules]
	inBlock := false
	if b := t.cfg().addrs[m.address].blocks; b != nil {
		_, inBlock = b.of(m.outside.Port)
	}
	return Event{
		Kind: kind, InBlock: inBlock, Static: r.static, Proto: r.app.Proto, Group: r.group, Profile: &r.app,
		Inside: m.inside, Outside: m.outside, Remote: m.remote,
		Mapping: makeID(sh.number, m.generation, mslot),
	}
}

// sessionEvent describes a session. The shard's lock is held.
func (t *Table) sessionEvent(kind EventKind, sh *inside, slot uint32) Event {
	s := sh.sessions.at(slot)
	e := t.mappingEvent(kind, sh, s.mapping)
	e.Remote, e.Session = s.remote, makeID(sh.number, s.generation, slot)
	if kind == SessionDeleted {
		e.Packets, e.Bytes = s.packets, s.bytes
	}
	return e
}
