package control

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// FormatVersion is the top level "version" of every answer. It changes only
// when a field changes its meaning; new fields do not change it.
const FormatVersion = 1

// States of an ESP session (rule R67) and of a lock with its gates (section
// 4.4 of the specification).
const (
	StateHalf        = "half"        // one direction has its SPI
	StateEstablished = "established" // both have
	StateFree        = "free"
	StateProvisional = "provisional"
	StateConfirmed   = "confirmed"
)

// Directions of a session: who sent the packet that made it.
const (
	In2Out = "in2out"
	Out2In = "out2in"
)

// Sides of a flow: which of its addresses is rewritten.
const (
	SideSource      = "source"
	SideDestination = "destination"
)

// IPsecSession is a row of "show ipsecalg session".
type IPsecSession struct {
	SourceIP  netip.Addr `json:"source_ip"` // the subscriber
	NATIP     netip.Addr `json:"nat_ip"`
	DestIP    netip.Addr `json:"dest_ip"` // the VPN server
	SPIIn     SPI        `json:"spi_in"`  // chosen by the client, in packets to it
	SPIOut    SPI        `json:"spi_out"` // chosen by the server, in packets to it
	State     string     `json:"state"`
	Idle      Seconds    `json:"idle_seconds"`
	RxPackets uint64     `json:"rx_packets"` // out2in
	TxPackets uint64     `json:"tx_packets"` // in2out
	Profile   string     `json:"profile"`
	Group     string     `json:"group"`
	TD        uint16     `json:"td"` // traffic domain

	Client string `json:"-"` // name of the LSN client, for the filter alone
}

// IPsecGate is a row of "show ipsecalg gate": the lock of one pair of NAT
// address and server, with the gates that its holder has open (R53, R54).
type IPsecGate struct {
	NATIP    netip.Addr   `json:"nat_ip"`
	DestIP   netip.Addr   `json:"dest_ip"`
	State    string       `json:"state"`
	Holder   Addr         `json:"holder"`          // the client; null when free
	Exchange *MessageID   `json:"exchange"`        // of the exchange that holds the lock; null when free
	Opened   Seconds      `json:"opened_seconds"`  // since the gates were opened
	Expires  Seconds      `json:"expires_seconds"` // until they close without traffic
	Waiters  []GateWaiter `json:"waiters"`         // in the order in which they will be served (R58)
	SPIs     []SPI        `json:"spis"`            // inbound SPIs bound through this gate so far (R64)
	TD       uint16       `json:"td"`

	Client string `json:"-"`
}

// MarshalJSON implements json.Marshaler. It sees to it that a list without
// anything is [] and not null.
func (g IPsecGate) MarshalJSON() ([]byte, error) {
	type fields IPsecGate
	if g.Waiters == nil {
		g.Waiters = []GateWaiter{}
	}
	if g.SPIs == nil {
		g.SPIs = []SPI{}
	}
	return json.Marshal(fields(g))
}

// GateWaiter is one phase-2 message that is held at a taken lock.
type GateWaiter struct {
	SourceIP netip.Addr `json:"source_ip"` // the subscriber whose exchange it is
	Exchange MessageID  `json:"exchange"`
	Waiting  Seconds    `json:"waiting_seconds"`
}

// LSNSession is a row of "show lsn session". For ICMP queries the subscriber
// and NAT ports are the query identifier, and the destination port is 0.
type LSNSession struct {
	SubscriberIP   netip.Addr `json:"subscriber_ip"`
	SubscriberPort uint16     `json:"subscriber_port"`
	SubscriberTD   uint16     `json:"subscriber_td"`
	DestIP         netip.Addr `json:"dest_ip"`
	DestPort       uint16     `json:"dest_port"`
	DestTD         uint16     `json:"dest_td"`
	NATIP          netip.Addr `json:"nat_ip"`
	NATPort        uint16     `json:"nat_port"`
	Protocol       string     `json:"protocol"`
	Direction      string     `json:"direction"`

	Client string `json:"-"`
}

// Flow is a row of "show flow": one direction of a flow in the fast path,
// with the addresses as the packets come in. Of the ports, the SPI and the
// ICMP identifier those are null that the protocol does not have.
type Flow struct {
	SourceIP     netip.Addr `json:"source_ip"`
	DestIP       netip.Addr `json:"dest_ip"`
	Protocol     string     `json:"protocol"`
	SourcePort   *uint16    `json:"source_port"`
	DestPort     *uint16    `json:"dest_port"`
	ICMPID       *uint16    `json:"icmp_id"`
	SPI          SPI        `json:"spi"`
	InInterface  string     `json:"in_interface"`
	OutInterface string     `json:"out_interface"`
	Side         string     `json:"side"`     // which address is rewritten: SideSource or SideDestination
	NewIP        Addr       `json:"new_ip"`   // what it becomes; null if the flow is only routed
	NewPort      *uint16    `json:"new_port"` // the same for the port or identifier; null for ESP
	Packets      uint64     `json:"packets"`
	Bytes        uint64     `json:"bytes"`
	Idle         Seconds    `json:"idle_seconds"`
	Owner        string     `json:"owner"`    // "lsn", "ipsecalg" or "ltm"
	OwnerID      uint64     `json:"owner_id"` // of the sessions of its traffic domain
	TD           uint16     `json:"td"`
	Offloaded    bool       `json:"offloaded"` // the kernel, or a chip, forwards it before the router sees its packets
}

// SetID fills protocol, ports, SPI and identifier from the flow table's key:
// id is the SPI for ESP, source port<<16 | destination port for TCP and UDP,
// and identifier<<16 | type for ICMP queries.
func (f *Flow) SetID(protocol uint8, id uint32) {
	f.Protocol = ProtocolName(protocol)
	high, low := uint16(id>>16), uint16(id)
	switch protocol {
	case protoESP:
		f.SPI = SPI(id)
	case protoICMP:
		f.ICMPID = &high
	case protoTCP, protoUDP:
		f.SourcePort, f.DestPort = &high, &low
	}
}

// SetNew fills what the flow's packets are rewritten to. The port is left
// null for ESP, which has none.
func (f *Flow) SetNew(side string, addr netip.Addr, port uint16) {
	f.Side, f.NewIP = side, Addr{addr}
	if f.Protocol != ProtocolName(protoESP) {
		f.NewPort = &port
	}
}

// Drop is a row of "show drops": one reason for which frames died.
type Drop struct {
	Reason string      `json:"reason"`
	Count  uint64      `json:"count"`
	Rate   float64     `json:"rate"` // per second, over the last ten seconds
	Last   *DropSample `json:"last"` // the newest example; null if there is none
	// Seen is how long ago it was counted last, to a second; null if it never was.
	Seen  *Seconds `json:"seen_seconds_ago"`
	Means string   `json:"means"`
	Do    string   `json:"do"`
	Rule  string   `json:"rule"`
	// VLANMisses are for vlan_miss alone.
	VLANMisses []VLANMiss `json:"vlan_misses,omitempty"`
}

// DropSample is the start of a dropped frame.
type DropSample struct {
	Summary string  `json:"summary"` // as Summary makes it
	Hex     string  `json:"hex"`
	Ago     Seconds `json:"ago_seconds"`
}

// NewDropSample decodes the start of a dropped packet for display.
func NewDropSample(packet []byte, ago Seconds) *DropSample {
	return &DropSample{Summary: Summary(packet), Hex: fmt.Sprintf("%x", packet), Ago: ago}
}

// Status is the row of "show status".
type Status struct {
	Ready        bool         `json:"ready"` // every part of the daemon runs
	Uptime       Seconds      `json:"uptime_seconds"`
	PID          int          `json:"pid"`
	Config       string       `json:"config"` // the file that is running
	FastHits     uint64       `json:"fast_hits"`
	SlowHits     uint64       `json:"slow_hits"`
	Flows        uint64       `json:"flows"`
	FlowCapacity uint64       `json:"flow_capacity"`
	Offload      Offload      `json:"offload"`
	Ports        []PortStatus `json:"ports"`

	FailedSwitches Words `json:"failed_switches"` // see "show switch"

	// Confirm is how long the configuration that runs has to be confirmed before it
	// is rolled back; null: it is for good.
	Confirm *Seconds `json:"confirm_seconds_left"`
}

// MarshalJSON implements json.Marshaler, for the same reason as the gate's.
func (s Status) MarshalJSON() ([]byte, error) {
	type fields Status
	if s.Ports == nil {
		s.Ports = []PortStatus{}
	}
	if s.Offload.Left == nil {
		s.Offload.Left = []OffloadLeft{}
	}
	return json.Marshal(fields(s))
}

// Offload is what is forwarded before the router sees it.
type Offload struct {
	Flows    uint64 `json:"flows"`    // now; they are among Status.Flows
	Capacity uint64 `json:"capacity"` // 0: nothing is offloaded
	Packets  uint64 `json:"packets"`  // as of the last second; they are not among Status.FastHits
	Refused  uint64 `json:"refused"`  // busy flows for which there was no room, or that stayed for another reason

	Left []OffloadLeft `json:"left"` // what came by the ports that take part and was left to the router
}

// OffloadLeft is one reason for leaving frames to the router, and how many were
// since the start. They are counted among what the router had, too.
type OffloadLeft struct {
	Reason string `json:"reason"` // docs/offload.md says what each means
	Frames uint64 `json:"frames"`
}

// PortStatus is one interface (a VLAN on a port) in the status.
type PortStatus struct {
	Port      string `json:"port"`
	Interface string `json:"interface"`
	Up        bool   `json:"up"`
	RxFrames  uint64 `json:"rx_frames"`
	RxBytes   uint64 `json:"rx_bytes"`
	TxFrames  uint64 `json:"tx_frames"`
	TxBytes   uint64 `json:"tx_bytes"`
	FastHits  uint64 `json:"fast_hits"`
	SlowHits  uint64 `json:"slow_hits"`
	Lost      uint64 `json:"lost"` // of the port: frames the kernel had no room for
	TD        uint16 `json:"td"`   // traffic domain of the interface

	// Offload is how the port takes part in it: "native", "generic", "off", or
	// "none" if it was not asked to. OffloadWhy says why it is off, or not native.
	Offload    string `json:"offload"`
	OffloadWhy string `json:"offload_why"`
}

// Unhealthy says why the daemon is not well, or "".
func (s *Status) Unhealthy() string {
	var down []string
	for i, p := range s.Ports {
		if !p.Up && (i == 0 || s.Ports[i-1].Port != p.Port) {
			down = append(down, p.Port)
		}
	}
	switch {
	case !s.Ready:
		return "the daemon is not ready"
	case len(down) > 0:
		return "port down: " + strings.Join(down, ", ")
	case len(s.FailedSwitches) > 0:
		return "switch failed: " + strings.Join(s.FailedSwitches, ", ") + ` (see "show switch")`
	}
	return ""
}

// Protocol numbers that have a name in the views.
const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
	protoESP  = 50
	protoAH   = 51
)

// ProtocolName returns the word that configuration and views use for an IP
// protocol, or its number.
func ProtocolName(protocol uint8) string {
	switch protocol {
	case protoICMP:
		return "ICMP"
	case protoTCP:
		return "TCP"
	case protoUDP:
		return "UDP"
	case protoESP:
		return "ESP"
	case protoAH:
		return "AH"
	}
	return fmt.Sprint(protocol)
}
