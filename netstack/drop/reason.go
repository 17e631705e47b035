// Package drop names every reason for which a frame may die.
//
// One table (table.go) is the source of the counter, the log word, the text
// of "spigate show drops" and the documentation, so that a reason cannot
// exist in one of them only. The words are a public interface: people alert
// on them. A new reason is added at the end of its group and never renamed.
//
// This package is not a logger and decides nothing. It imports the standard
// library alone, so that every other package may import it.
package drop

// Reason says why a frame was dropped. The zero value, None, means that it
// was not dropped.
type Reason uint8

// The reasons, in the order in which a frame can meet them. What each one
// means and what to do about it stands in table.go.
const (
	None Reason = iota

	// On the port.
	FrameShort
	NotForUs
	VLANUnknown
	DoubleTagged
	EtherType
	RxRingFull
	TxRefused
	PortDown
	FrameTooBig
	StackPanic
	ARPMalformed

	// In the IPv4 header.
	IPMalformed
	L4Malformed
	Fragment
	Broadcast
	IPOptions
	FragmentOverflow
	FragmentTimeout
	FragmentMalformed
	FragmentDuplicate

	// At the listeners.
	NoListener
	VLANMiss
	VSDisabled
	VSRejected
	ConnectionLimit
	ConnectionRate
	ConnectionTableFull
	TupleBusy

	// In the NAT.
	ClientNotReachable
	NoMapping
	Filtered
	ProtocolUnsupported
	NoFreePort
	NotSYN
	SessionTableFull
	Hairpin
	NATAddressSpoofed
	ClientSpoofed
	InsideAddress
	GroupSessionLimit
	SessionQuota
	PortQuota
	UnansweredLimit

	// In ICMP translation.
	ICMPMalformed
	ICMPNoFlow
	ICMPAmbiguous

	// In the IPsec ALG.
	AH
	ESPShort
	ESPBadSPI
	ESPNoNATAddress
	ESPNoGateOut
	ESPNoGateIn
	ESPSeq
	ESPStaleSPI
	ESPHairpin
	IKEHalfLimit
	IKESessionLimit
	IKEHoldOverflow
	IKEHoldExpired
	IKEBlocked
	IKEFlushed
	ALGTableFull

	// In the other helpers.
	ALGChecksum
	FTPGap
	FTPBacklog

	// In tunnels that end here.
	SelectorMiss
	SelectorDiscard
	SelectorReject
	NoSA
	TunnelNoRoute
	TunnelLoop
	CryptoQueueFull
	ESPMalformed
	Replay
	ICV
	ESPPadding
	ESPNextHeader
	InnerMalformed
	ECNInvalid
	SAExpired

	// NumReasons is the number of reasons, for arrays indexed by Reason.
	NumReasons
)

// String returns the reason's word, as it stands in counters, logs and JSON.
func (r Reason) String() string {
	if int(r) >= len(table) {
		return "unknown"
	}
	return table[r].Word
}

// Info returns the row of the table for r.
func (r Reason) Info() Info {
	if int(r) >= len(table) {
		return Info{Word: "unknown"}
	}
	return table[r]
}
