// Package natlog tells the world which subscriber had which NAT address and
// port, and when: the record that an operator must be able to produce (R30-R33,
// RFC 6888 section 4).
//
//	packet ─► Emit ─► queue of each target ─► sender ─► syslog: long or compact lines
//	          never waits    full: counted,            └► IPFIX: RFC 8158 events
//	                         told as a gap
//
// Records are syslog lines in NetScaler's form (R30, R31), lines in a short form
// of ours (R32, ParseCompact has the grammar), or IPFIX (RFC 7011) with the
// information elements of RFC 8158 (R33).
//
// Destinations. RFC 6888 REQ-12 wants none in the log unless asked for. A
// mapping names as much of the destination as it is made for: nothing (EIM, STATIC), the
// address (ADM), address and port (APDM). With less an ADM or APDM record would
// be worth nothing: several subscribers may have the same NAT port at a time,
// for different destinations (R19). Sessions name their destination, and are
// told only if the group has session_logging and the target session detail.
//
// Collectors are reached through the host's kernel, not through the router's own
// ports. Nothing is known of what arrives over UDP; what a connection over TCP
// had not delivered when it broke is lost without a trace. Everything else that
// is lost is in a gap.
//
// It is not the ALG's own log (R34), and knows nothing of the NAT's tables: the
// router translates their events. It is one exporting process: all gaps are in
// traffic domain 0.
//
// Invariants: Emit does not wait, and allocates nothing; queues are bounded, and
// what they refuse is counted, with the time from the first to the last, in the
// place in the stream where it is missing; time comes from Config.Now and ticks.
package natlog
