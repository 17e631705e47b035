package control

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"slices"
)

// LSNStats is the part of a Backend that counts what the NAT does.
type LSNStats interface {
	// LSNStat counts for all groups of the traffic domains that pass together.
	LSNStat(f Filter) LSNStat
	LSNGroupStats() []LSNStat
	LSNPoolStats() []LSNPoolStat
	LSNStatics() []LSNStatic
}

// LSNStat is the row of "stat lsn", or one of "stat lsn group". Rx is from
// remotes, Tx to them; packets and bytes of the fast path are a second late.
type LSNStat struct {
	Group       *string       `json:"group"` // null: all together
	TD          *uint16       `json:"td"`    // null for all together
	Subscribers uint64        `json:"subscribers"`
	Protocols   []LSNProtocol `json:"protocols"` // TCP, UDP, ICMP
}

// LSNProtocol is what is counted of one protocol. ESP sessions are among those
// of UDP, as for quotas (R37), and their packets are in "stat ipsecalg".
type LSNProtocol struct {
	Protocol  string `json:"protocol"`
	Sessions  uint64 `json:"sessions"` // now
	RxPackets uint64 `json:"rx_packets"`
	RxBytes   uint64 `json:"rx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`
	Dropped   uint64 `json:"dropped"` // for want of a session; the reasons are in "show drops"
}

// LSNPoolStat is a row of "stat lsn pool".
type LSNPoolStat struct {
	Name      string  `json:"name"`
	TD        uint16  `json:"td"`
	Addresses uint64  `json:"addresses"`
	Allocated uint64  `json:"allocated_addresses"` // with a port in use
	TCP       float64 `json:"tcp_ports_used_percent"`
	NonTCP    float64 `json:"non_tcp_ports_used_percent"`
}

// States of a static mapping.
const (
	StatusActive   = "ACTIVE"
	StatusInactive = "INACTIVE" // another mapping, from before, has its port
)

// LSNStatic is a row of "show lsn static". A port that is null is every port.
type LSNStatic struct {
	Name           string     `json:"name"`
	Protocol       string     `json:"protocol"` // or ALL
	SubscriberIP   netip.Addr `json:"subscriber_ip"`
	SubscriberPort *uint16    `json:"subscriber_port"`
	SubscriberTD   uint16     `json:"subscriber_td"`
	NATIP          netip.Addr `json:"nat_ip"`
	NATPort        *uint16    `json:"nat_port"`
	DestIP         Addr       `json:"dest_ip"` // null: every remote
	Status         string     `json:"status"`
	Group          string     `json:"group"`
}

// FiltersOfStatic returns the filters of "show lsn static", beside the name.
func FiltersOfStatic() []string { return []string{BySourceIP, ByNATIP, ByNetwork, ByTD} }

func (s LSNStat) passes(f *Filter) bool {
	return s.Group == nil || f.named(*s.Group) && f.in(*s.TD)
}
func (p LSNPoolStat) passes(f *Filter) bool { return f.named(p.Name) && f.in(p.TD) }
func (s LSNStatic) passes(f *Filter) bool {
	return f.named(s.Name) && f.subscriber(s.SubscriberIP, f.Client) && is(f.NATIP, s.NATIP) && f.in(s.SubscriberTD)
}

func (s LSNStat) label() string     { return *s.Group }
func (p LSNPoolStat) label() string { return p.Name }
func (s LSNStatic) label() string   { return s.Name }

// lsnStats adds the paths of LSNStats.
func (s *Server) lsnStats(mux *http.ServeMux) {
	b := s.backend
	mux.Handle(pathLSNStat, view(s, []string{ByTD}, func(f Filter) (iter.Seq[LSNStat], error) {
		return slices.Values([]LSNStat{b.LSNStat(f)}), nil
	}))
	mux.Handle(pathLSNGroupStat, setting(s, "lsn group", b.LSNGroupStats, FiltersOfObjects()...))
	mux.Handle(pathLSNPoolStat, setting(s, "lsn pool", b.LSNPoolStats, FiltersOfObjects()...))
	mux.Handle(pathLSNStatics, setting(s, "lsn static", b.LSNStatics, FiltersOfStatic()...))
	mux.Handle(pathLSNClear, operation(s, pathLSNClear, []string{ByTD}, func(f Filter) (LSNStat, error) {
		return b.ClearLSNStat(f), nil
	}))
}

// LSNStat returns the counters of all groups together.
func (c *Client) LSNStat(ctx context.Context, f Filter) (LSNStat, error) {
	return one(ask[LSNStat](ctx, c, pathLSNStat, f))
}

// ClearLSNStat sets the counters to zero and returns what they were.
func (c *Client) ClearLSNStat(ctx context.Context, f Filter) (LSNStat, error) {
	return one(rowsOf[LSNStat](ctx, c, http.MethodPost, pathLSNClear, f))
}

// LSNGroupStats yields the counters of each group.
func (c *Client) LSNGroupStats(ctx context.Context, f Filter) iter.Seq2[LSNStat, error] {
	return ask[LSNStat](ctx, c, pathLSNGroupStat, f)
}

// LSNPoolStats yields how far each pool is used.
func (c *Client) LSNPoolStats(ctx context.Context, f Filter) iter.Seq2[LSNPoolStat, error] {
	return ask[LSNPoolStat](ctx, c, pathLSNPoolStat, f)
}

// LSNStatics yields the static mappings.
func (c *Client) LSNStatics(ctx context.Context, f Filter) iter.Seq2[LSNStatic, error] {
	return ask[LSNStatic](ctx, c, pathLSNStatics, f)
}
