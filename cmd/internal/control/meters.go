package control

// Meters is the part of a Backend that counts for monitoring and that no view
// shows in this form. It is for handlers in the daemon's own process: nothing in
// it may walk over sessions, ask a switch chip, or take long.
type Meters interface {
	Meters() Metered
}

// Metered is one reading of it all. Counters begin at zero with the daemon.
type Metered struct {
	Flow     FlowMeter
	NAT      []NATMeter // one for each traffic domain
	Limits   LimitMeter
	Switches []SwitchMeter // in the order of the configuration
	Config   ConfigMeter
	Log      LogMeter
}

// ConfigMeter counts what became of configurations that were to be applied.
type ConfigMeter struct {
	Applied, Refused uint64
	Last             int64 // when one was applied last, Unix seconds; 0: never
}

// LogMeter counts the daemon's own log.
type LogMeter struct {
	Sent       uint64 // messages to the collector of [log.syslog]
	Lost       uint64 // messages that its queue had no room for
	Suppressed uint64 // records that were too many of their kind
}

// FlowMeter counts what the fast path was asked and what became of its entries.
type FlowMeter struct {
	Hits    uint64 // frames rewritten and sent
	Misses  uint64 // frames that could have had an entry and had none
	Punts   uint64 // frames that are never for it, or that failed a check of their entry
	Expired uint64 // entries that were idle for too long, or lost their next hop
	Refused uint64 // entries for which there was no room
	Stale   uint64 // entries whose decision was overtaken before they were made
}

// NATMeter counts for one traffic domain. Protocols are in the order TCP, UDP,
// ICMP.
type NATMeter struct {
	TD          uint16
	Protocols   []NATProtocolMeter
	Gates       uint64 // pairs of NAT address and server with a lock, an open gate or a waiter
	Connections uint64 // of virtual servers, NATs and SNATs
}

// NATProtocolMeter is what of a NATMeter is one protocol's.
type NATProtocolMeter struct {
	Protocol string
	Sessions uint64 // now
	Mappings uint64 // now
	Created  uint64 // sessions, ever
	Dropped  uint64 // packets for which there was no session
}

// LimitMeter says how many entries each table can have, in each traffic domain.
type LimitMeter struct {
	LSNSessions, IKESessions, ESPSessions, Connections uint64
}

// SwitchMeter is a switch as it was last seen.
type SwitchMeter struct {
	Name            string
	Kept            bool // it does what the configuration says
	Repairs, Silent uint64
}
