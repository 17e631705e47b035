package netstack

import (
	"spigate/alg/ipsec"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/netstack/natlog"
)

// NATLog says of which LSN groups the NAT log is told, and takes what it is
// told. Groups are named as in lsn.Config; one that is not there has no
// logging.
type NATLog struct {
	Emit   func(natlog.Record) // must not wait, nor call the Router; nil: there is no log
	Groups map[string]LoggedGroup
}

// LoggedGroup is an LSN group with logging.
type LoggedGroup struct {
	Sessions bool            // session_logging: sessions too (table 1.1)
	Profile  *natlog.Profile // nil: no log profile is bound
}

// lsnEvent tells the log what the tables tell.
func (l *NATLog) lsnEvent(e *lsn.Event, domain uint16) {
	if l.Emit == nil || e.Group == nil {
		return
	}
	group, logged := l.Groups[e.Group.Name]
	kind := recordKind(e.Kind)
	if !logged || !told(e, kind, group.Sessions) {
		return
	}
	r := natlog.Record{
		Kind: kind, Proto: e.Proto, Domain: domain, Inside: e.Inside, Outside: e.Outside, Remote: e.Remote,
		First: e.First, Last: e.Last, Packets: e.Packets, Bytes: e.Bytes,
		Pool: e.Pool, Group: e.Group.Name, Profile: group.Profile,
	}
	switch {
	case e.Static:
		r.Mode = natlog.Static
	case e.Profile != nil:
		r.Mode = recordMode(e.Profile.Mapping)
	}
	if kind == natlog.QuotaExceeded {
		r.Quota, r.Limit = recordQuota(e.Quota), uint32(e.Limit)
	}
	l.Emit(r)
}

// told sorts out what the group's settings leave out. A port of a block, or one
// that arithmetic leads back to its subscriber (RFC 7422), needs no record of
// its own: blocks have a line each and deterministic NAT has none (R17, R18).
// Ports below the first block, for IKE (R39) or a preserved range, and those of
// an address without blocks have to say by themselves whose they are.
func told(e *lsn.Event, kind natlog.Kind, sessions bool) bool {
	switch kind {
	case 0:
		return false
	case natlog.SessionCreated, natlog.SessionDeleted:
		return sessions
	case natlog.MappingCreated, natlog.MappingDeleted:
		return e.Static || !e.InBlock
	case natlog.BlockAllocated, natlog.BlockFreed:
		return e.Group.Type != lsn.Deterministic
	}
	return true
}

// recordKind is 0 for what is not logged.
func recordKind(k lsn.EventKind) natlog.Kind {
	switch k {
	case lsn.MappingCreated:
		return natlog.MappingCreated
	case lsn.MappingDeleted:
		return natlog.MappingDeleted
	case lsn.SessionCreated:
		return natlog.SessionCreated
	case lsn.SessionDeleted:
		return natlog.SessionDeleted
	case lsn.BlockAllocated:
		return natlog.BlockAllocated
	case lsn.BlockFreed:
		return natlog.BlockFreed
	case lsn.PortsExhausted:
		return natlog.PortsExhausted
	case lsn.AddressesExhausted:
		return natlog.AddressesExhausted
	case lsn.QuotaExceeded:
		return natlog.QuotaExceeded
	}
	return 0
}

func recordMode(m lsn.Mapping) natlog.Mode {
	switch m {
	case lsn.EIM:
		return natlog.EIM
	case lsn.ADM:
		return natlog.ADM
	}
	return natlog.APDM
}

func recordQuota(q lsn.Quota) natlog.Quota {
	switch q {
	case lsn.GroupQuota:
		return natlog.GroupSessions
	case lsn.SessionQuota:
		return natlog.SubscriberSessions
	case lsn.PortQuota:
		return natlog.SubscriberPorts
	}
	return natlog.AllSessions
}

// The ALG's events that are sessions of the NAT: of ESP, which the tables of
// lsn know nothing of (R33, R67).
const (
	espCreated = "ESP CREATED"
	espDeleted = "ESP DELETED"
)

// logESP tells the log of ESP sessions. One that ends HALF it was never told of,
// or of its end already.
func (r *Router) logESP(e *ipsec.Event) {
	out := natlog.Record{
		Proto: frame.ProtoESP, Domain: r.domain,
		Inside: frame.Endpoint{Addr: e.Inside}, Outside: frame.Endpoint{Addr: e.NAT}, Remote: frame.Endpoint{Addr: e.Server},
		SPIIn: e.SPIIn, SPIOut: e.SPIOut,
	}
	switch {
	case e.What == espCreated:
		out.Kind = natlog.SessionCreated
	case e.What == espDeleted && !e.Half:
		out.Kind, out.Packets, out.Bytes = natlog.SessionDeleted, e.Packets, e.Bytes
	default:
		return
	}
	log := r.natlog.Load()
	if log.Emit == nil {
		return
	}
	g, ok := r.lsn.Client(e.Inside)
	if !ok {
		return // it was a subscriber, and the configuration says otherwise now
	}
	if group, logged := log.Groups[g.Name]; logged && group.Sessions {
		out.Group, out.Profile = g.Name, group.Profile
		log.Emit(out)
	}
}
