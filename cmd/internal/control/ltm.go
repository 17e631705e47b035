package control

import (
	"context"
	"iter"
	"net/http"
	"slices"
)

// LTM is the part of a Backend that shows BIG-IP's objects: virtual servers,
// NATs and SNATs, what they count, and the connections they admitted. Lists are
// in the order of names.
type LTM interface {
	LTMVirtuals() []LTMVirtual
	LTMNATs() []LTMNAT
	LTMSNATs() []LTMSNAT
	// LTMConfig returns the objects of one kind of the running configuration.
	LTMConfig(kind LTMKind) []LTMObject
	Connections(f Filter) (iter.Seq[Connection], error)
}

// LTMTraffic counts the connections of one object (VR39 to VR41). In is what
// those sent that opened them, Out what they were sent. Bits are of IP packets,
// with their headers.
type LTMTraffic struct {
	BitsIn     uint64 `json:"bits_in"`
	BitsOut    uint64 `json:"bits_out"`
	PacketsIn  uint64 `json:"packets_in"`
	PacketsOut uint64 `json:"packets_out"`
	Current    uint64 `json:"current_connections"`
	Maximum    uint64 `json:"maximum_connections"` // that there were at one time
	Total      uint64 `json:"total_connections"`
	Closed     uint64 `json:"closed_connections"`
	Expired    uint64 `json:"expired"` // of the closed ones: idle, or half open for too long
	Resets     uint64 `json:"resets"`  // of the closed ones: by a RST that one side sent
	// Durations are of closed connections, in milliseconds (VR42).
	MinDuration  uint64 `json:"min_duration_ms"`
	MaxDuration  uint64 `json:"max_duration_ms"`
	MeanDuration uint64 `json:"mean_duration_ms"`
}

// LTMVirtual is a row of "show ltm virtual".
type LTMVirtual struct {
	Name         string `json:"name"`
	TD           uint16 `json:"td"`
	Availability string `json:"availability"` // unknown: nobody asks whether what is behind it answers (VR43)
	State        string `json:"state"`        // enabled or disabled
	Reason       string `json:"reason"`
	CMP          bool   `json:"cmp"`         // as configured; it changes nothing here
	Destination  string `json:"destination"` // ADDRESS:PORT, the port may be any
	Mask         string `json:"mask"`        // of the destination, or any
	Source       string `json:"source"`      // A/P
	Protocol     string `json:"ip_protocol"`
	VLANsEnabled bool   `json:"vlans_enabled"` // it listens on VLANs alone; false: on all others
	VLANs        Words  `json:"vlans"`
	LTMTraffic
	Limited     uint64 `json:"limited"`      // connections refused by connection_limit (VR18)
	RateLimited uint64 `json:"rate_limited"` // by rate_limit
	VLANMisses  uint64 `json:"vlan_misses"`  // packets of new flows that came on a VLAN on which it does not listen, since the last reload
}

// Nouns of the objects that admit connections.
const (
	NounVirtual = "virtual"
	NounNAT     = "nat"
	NounSNAT    = "snat"
)

// The only availability without pools and monitors, with BIG-IP's words for it
// (VR43).
const (
	AvailabilityUnknown = "unknown"
	ReasonUnknown       = "The children pool member(s) either don't have service checking enabled, or service check results are not available yet"
)

// LTMNAT is a row of "show ltm nat".
type LTMNAT struct {
	Name        string `json:"name"`
	TD          uint16 `json:"td"`
	Originating string `json:"originating_address"`
	Translation string `json:"translation_address"`
	LTMTraffic
}

// LTMSNAT is a row of "show ltm snat".
type LTMSNAT struct {
	Name        string `json:"name"`
	TD          uint16 `json:"td"`
	Origins     Words  `json:"origins"`      // A/P
	Translation Words  `json:"translations"` // none with automap
	Automap     bool   `json:"automap"`
	LTMTraffic
}

// The paths of the views of LTM.
const (
	pathLTMVirtuals = "/v1/ltm/virtual"
	pathLTMNATs     = "/v1/ltm/nat"
	pathLTMSNATs    = "/v1/ltm/snat"
	pathLTMConfig   = "/v1/ltm/config/" // and the kind
	pathConnections = "/v1/sys/connection"
)

func (v LTMVirtual) passes(f *Filter) bool { return f.named(v.Name) && f.in(v.TD) }
func (n LTMNAT) passes(f *Filter) bool     { return f.named(n.Name) && f.in(n.TD) }
func (s LTMSNAT) passes(f *Filter) bool    { return f.named(s.Name) && f.in(s.TD) }

func (v LTMVirtual) label() string { return v.Name }
func (n LTMNAT) label() string     { return n.Name }
func (s LTMSNAT) label() string    { return s.Name }

// ltm adds the paths of LTM.
func (s *Server) ltm(mux *http.ServeMux) {
	b := s.backend
	mux.Handle(pathLTMVirtuals, setting(s, "ltm virtual", b.LTMVirtuals, FiltersOfObjects()...))
	mux.Handle(pathLTMNATs, setting(s, "ltm nat", b.LTMNATs, FiltersOfObjects()...))
	mux.Handle(pathLTMSNATs, setting(s, "ltm snat", b.LTMSNATs, FiltersOfObjects()...))
	for _, kind := range LTMKinds() {
		objects := func(f Filter) (iter.Seq[LTMObject], error) { return slices.Values(b.LTMConfig(kind)), nil }
		mux.Handle(pathLTMConfig+string(kind), view(s, FiltersOfObjects(), objects))
	}
	mux.Handle(pathConnections, view(s, FiltersOfConnections(), b.Connections))
}

// LTMVirtuals yields the virtual servers with what they count, or the one that
// Filter.Name names.
func (c *Client) LTMVirtuals(ctx context.Context, f Filter) iter.Seq2[LTMVirtual, error] {
	return ask[LTMVirtual](ctx, c, pathLTMVirtuals, f)
}

// LTMNATs yields the NATs with what they count.
func (c *Client) LTMNATs(ctx context.Context, f Filter) iter.Seq2[LTMNAT, error] {
	return ask[LTMNAT](ctx, c, pathLTMNATs, f)
}

// LTMSNATs yields the SNATs with what they count.
func (c *Client) LTMSNATs(ctx context.Context, f Filter) iter.Seq2[LTMSNAT, error] {
	return ask[LTMSNAT](ctx, c, pathLTMSNATs, f)
}

// LTMConfig yields the objects of one kind of the running configuration.
func (c *Client) LTMConfig(ctx context.Context, kind LTMKind, f Filter) iter.Seq2[LTMObject, error] {
	return ask[LTMObject](ctx, c, pathLTMConfig+string(kind), f)
}

// Connections yields the connections that pass the filter.
func (c *Client) Connections(ctx context.Context, f Filter) iter.Seq2[Connection, error] {
	return ask[Connection](ctx, c, pathConnections, f)
}
