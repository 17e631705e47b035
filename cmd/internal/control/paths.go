package control

import (
	"context"
	"iter"
	"net/http"
)

// Paths shows where packets go next.
type Paths interface {
	Routes() []Route // of one traffic domain after the other, the longest prefix first
	ARP() []Neighbor // of one VLAN after the other, in the order of the addresses
}

const (
	pathRoute = "/v1/net/route"
	pathARP   = "/v1/net/arp"
)

// Route is a row of "show net route". The longest prefix that holds an address
// is the one that counts.
type Route struct {
	Destination string  `json:"destination"` // a prefix
	Type        string  `json:"type"`        // connected, static, tunnel
	Via         *string `json:"via"`         // the next hop; null: none, it is delivered there
	Out         string  `json:"out"`         // VLAN or tunnel
	TD          uint16  `json:"td"`
}

// Neighbor is a row of "show net arp".
type Neighbor struct {
	Address string  `json:"address"`
	MAC     *string `json:"mac"` // null: it has not answered
	VLAN    string  `json:"vlan"`
	State   string  `json:"state"` // reachable, stale, incomplete, …
	Since   Seconds `json:"since_seconds"`
	TD      uint16  `json:"td"`
}

func (r Route) passes(f *Filter) bool    { return f.named(r.Destination) && f.in(r.TD) }
func (n Neighbor) passes(f *Filter) bool { return f.named(n.Address) && f.in(n.TD) }

func (r Route) label() string    { return r.Destination }
func (n Neighbor) label() string { return n.Address }

// paths adds the paths of Paths.
func (s *Server) paths(mux *http.ServeMux) {
	mux.Handle(pathRoute, setting(s, "route", s.backend.Routes, FiltersOfObjects()...))
	mux.Handle(pathARP, setting(s, "neighbour", s.backend.ARP, FiltersOfObjects()...))
}

// Routes yields the routing tables. Filter.Name is a destination.
func (c *Client) Routes(ctx context.Context, f Filter) iter.Seq2[Route, error] {
	return ask[Route](ctx, c, pathRoute, f)
}

// ARP yields the neighbours. Filter.Name is an address.
func (c *Client) ARP(ctx context.Context, f Filter) iter.Seq2[Neighbor, error] {
	return ask[Neighbor](ctx, c, pathARP, f)
}
