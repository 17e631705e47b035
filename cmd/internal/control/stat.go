package control

// IPsecStat is the row of "stat ipsecalg": NetScaler's six counters, then
// those of rule R63, then the sizes of the tables now. Counters begin at zero
// with the daemon. What is not counted, or not for a single profile, is null.
type IPsecStat struct {
	Profile *string `json:"profile"` // null: all together

	Total     uint64 `json:"total"`      // ESP sessions that became established
	Dropped   uint64 `json:"dropped"`    // packets
	Active    uint64 `json:"active"`     // established ESP sessions now
	Blocked   uint64 `json:"blocked"`    // phase-2 messages that wait for a lock now
	RxPackets uint64 `json:"rx_packets"` // ESP, from servers
	TxPackets uint64 `json:"tx_packets"` // ESP, to servers

	AHDropped           *uint64 `json:"ah_dropped"`
	ESPNoGateIn         uint64  `json:"esp_no_gate_in"`
	ESPNoGateOut        uint64  `json:"esp_no_gate_out"`
	GateTimeout         uint64  `json:"gate_timeout"`
	GateFail            uint64  `json:"gate_fail"`
	LateBind            uint64  `json:"late_bind"`
	SPICollisionSuspect uint64  `json:"spi_collision_suspect"`
	StaleSPI            uint64  `json:"stale_spi"`
	SeqReject           uint64  `json:"seq_reject"`
	P2Held              uint64  `json:"p2_held"`
	P2Dropped           uint64  `json:"p2_dropped"`
	IKEHalfLimit        uint64  `json:"ike_half_limit"`
	MalformedIKE        uint64  `json:"malformed_ike"`
	ICMPTranslated      *uint64 `json:"icmp_translated"`
	FragDropped         *uint64 `json:"frag_dropped"`

	ESPSessions uint64 `json:"esp_sessions"` // now, half ones included
	IKESessions uint64 `json:"ike_sessions"` // now
	IKEHalfOpen uint64 `json:"ike_half_open"`
}

func (IPsecStat) passes(*Filter) bool { return true }
