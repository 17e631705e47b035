package control

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
)

// Top is the part of a Backend that knows who is busiest.
type Top interface {
	// TopFlows and TopSubscribers return those that carried most in the newest
	// second, the busiest first, a hundred at most. They wait for that second to
	// end if nobody has asked of late: two seconds, three on a busy machine.
	TopFlows(by TopOrder) []TopFlow
	TopSubscribers(by TopOrder) []TopSubscriber
}

// TopOrder is what makes one busier than another.
type TopOrder string

// The orders.
const (
	ByBits    TopOrder = "bits"
	ByPackets TopOrder = "packets"
)

// The paths; the order stands behind them.
const (
	pathTopFlows       = "/v1/top/flow/"
	pathTopSubscribers = "/v1/top/subscriber/"
)

// TopFlow is a row of "top flows": one direction of a flow of the fast path,
// with the addresses as its packets come in.
type TopFlow struct {
	Protocol    string     `json:"protocol"`
	SourceIP    netip.Addr `json:"source_ip"`
	SourcePort  *uint16    `json:"source_port"`
	DestIP      netip.Addr `json:"dest_ip"`
	DestPort    *uint16    `json:"dest_port"`
	ICMPID      *uint16    `json:"icmp_id"`
	SPI         SPI        `json:"spi"`
	NewIP       Addr       `json:"new_ip"` // what the rewritten address becomes; null if the flow is only routed
	NewPort     *uint16    `json:"new_port"`
	InInterface string     `json:"in_interface"`
	Owner       string     `json:"owner"`
	TD          uint16     `json:"td"`
	Bits        float64    `json:"bits_per_second"` // of IP packets
	Packets     float64    `json:"packets_per_second"`
}

// TopSubscriber is a row of "top subscribers": an inside address with what all
// its flows of the NAT carried. Tx is from it.
type TopSubscriber struct {
	SubscriberIP netip.Addr `json:"subscriber_ip"`
	TD           uint16     `json:"td"`
	Flows        uint64     `json:"flows"` // directions that carried something
	TxBits       float64    `json:"tx_bits_per_second"`
	RxBits       float64    `json:"rx_bits_per_second"`
	TxPackets    float64    `json:"tx_packets_per_second"`
	RxPackets    float64    `json:"rx_packets_per_second"`
	// Partial: there were so many subscribers in that second that some had to make
	// room, and rates may be too low.
	Partial bool `json:"partial"`
}

func (TopFlow) passes(*Filter) bool       { return true }
func (TopSubscriber) passes(*Filter) bool { return true }

// top adds the paths of Top.
func (s *Server) top(mux *http.ServeMux) {
	for _, by := range []TopOrder{ByBits, ByPackets} {
		mux.Handle(pathTopFlows+string(by), view(s, nil, plain(func() []TopFlow { return s.backend.TopFlows(by) })))
		mux.Handle(pathTopSubscribers+string(by), view(s, nil, plain(func() []TopSubscriber { return s.backend.TopSubscribers(by) })))
	}
}

// TopFlows yields the busiest flows.
func (c *Client) TopFlows(ctx context.Context, by TopOrder) iter.Seq2[TopFlow, error] {
	return ask[TopFlow](ctx, c, pathTopFlows+string(by), Filter{})
}

// TopSubscribers yields the busiest subscribers.
func (c *Client) TopSubscribers(ctx context.Context, by TopOrder) iter.Seq2[TopSubscriber, error] {
	return ask[TopSubscriber](ctx, c, pathTopSubscribers+string(by), Filter{})
}
