package control

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// Switches shows switch chips and the VLANs that are the router's interfaces.
type Switches interface {
	Switches() []Switch // in the order of the configuration
	VLANs() []VLAN      // likewise
}

const (
	pathSwitch = "/v1/switch"
	pathVLAN   = "/v1/net/vlan"
)

// Words for the state of a switch, and of a cable.
const (
	SwitchKept   = "kept"   // it does what the configuration says
	SwitchFailed = "failed" // it does not answer, or refuses; Error says what

	LinkUp      = "up"
	LinkDown    = "down"
	LinkUnknown = "unknown" // it has not been read yet
)

// Switch is a row of "show switch".
type Switch struct {
	Name    string       `json:"name"`
	Driver  string       `json:"driver"` // as in the configuration
	Chip    string       `json:"chip"`   // what it says that it is
	State   string       `json:"state"`
	Since   Seconds      `json:"since_seconds"` // how long it has been in it
	Error   *string      `json:"error"`
	Repairs uint64       `json:"repairs"` // how often it had lost something of its VLANs
	Silent  uint64       `json:"silent"`  // how often it did not answer
	Ports   []SwitchPort `json:"ports"`   // in the order of the chip
}

// MarshalJSON implements json.Marshaler, for the same reason as the gate's.
func (s Switch) MarshalJSON() ([]byte, error) {
	type fields Switch
	if s.Ports == nil {
		s.Ports = []SwitchPort{}
	}
	return json.Marshal(fields(s))
}

// SwitchPort is a port of a switch. VLANs are names of the configuration.
type SwitchPort struct {
	Port       string  `json:"port"`
	CPU        bool    `json:"cpu"`  // the router's own
	Link       string  `json:"link"` // up, down, unknown
	Speed      *int    `json:"speed_mbps"`
	FullDuplex *bool   `json:"full_duplex"`
	Untagged   *string `json:"untagged"` // VLAN of frames without tag; null: they are dropped
	Tagged     Words   `json:"tagged"`
	RxFrames   uint64  `json:"rx_frames"`
	RxBytes    uint64  `json:"rx_bytes"`
	TxFrames   uint64  `json:"tx_frames"`
	TxBytes    uint64  `json:"tx_bytes"`
	RxErrors   uint64  `json:"rx_errors"`
	RxDropped  uint64  `json:"rx_dropped"`
	TxDropped  uint64  `json:"tx_dropped"`
}

// VLAN is a row of "show net vlan": one interface of the router.
type VLAN struct {
	Name      string  `json:"name"`
	ID        uint16  `json:"id"` // 0: untagged
	TD        uint16  `json:"td"`
	Port      string  `json:"port"`
	Switch    *string `json:"switch"` // null: none between
	Untagged  Words   `json:"untagged"`
	Tagged    Words   `json:"tagged"` // ports of the switch
	Addresses Words   `json:"addresses"`
	Up        bool    `json:"up"` // of the port
	RxFrames  uint64  `json:"rx_frames"`
	RxBytes   uint64  `json:"rx_bytes"`
	TxFrames  uint64  `json:"tx_frames"`
	TxBytes   uint64  `json:"tx_bytes"`
}

func (s Switch) passes(f *Filter) bool { return f.named(s.Name) }
func (v VLAN) passes(f *Filter) bool   { return f.named(v.Name) && f.in(v.TD) }

func (s Switch) label() string { return s.Name }
func (v VLAN) label() string   { return v.Name }

// switches adds the paths of Switches.
func (s *Server) switches(mux *http.ServeMux) {
	mux.Handle(pathSwitch, setting(s, "switch", s.backend.Switches))
	mux.Handle(pathVLAN, setting(s, "vlan", s.backend.VLANs, FiltersOfObjects()...))
}

// Switches yields the switch chips with their ports.
func (c *Client) Switches(ctx context.Context, f Filter) iter.Seq2[Switch, error] {
	return ask[Switch](ctx, c, pathSwitch, f)
}

// VLANs yields the router's interfaces.
func (c *Client) VLANs(ctx context.Context, f Filter) iter.Seq2[VLAN, error] {
	return ask[VLAN](ctx, c, pathVLAN, f)
}
