package control

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
)

// Owners is the part of a Backend that tells whose an outside port is.
type Owners interface {
	LSNDeterministic(f Filter) (iter.Seq[LSNDeterministic], error)
	LSNBlocks(f Filter) (iter.Seq[LSNBlock], error)
	// Who returns everybody who has the port Filter.NATPort of Filter.NATIP,
	// both of which are set. NotFound if that is no NAT address.
	Who(f Filter) (iter.Seq[Who], error)
}

// How it is known who has an outside port.
const (
	ByMapping       = "mapping"       // somebody uses it now
	ByBlock         = "block"         // it lies in a block that somebody has now (R17)
	ByDeterministic = "deterministic" // computed: true as long as the configuration is (R18)
	ByStatic        = "static"        // a static mapping: the same (R27)
)

// LSNDeterministic is a row of "show lsn deterministicNat": the ports that a
// subscriber of a deterministic group has, by arithmetic.
type LSNDeterministic struct {
	SubscriberIP netip.Addr `json:"subscriber_ip"`
	NATIP        netip.Addr `json:"nat_ip"`
	FirstPort    uint16     `json:"first_port"`
	LastPort     uint16     `json:"last_port"`
	SubscriberTD uint16     `json:"subscriber_td"`
	Group        string     `json:"group"`

	Client string `json:"-"`
}

// LSNBlock is a row of "show lsn block": a block of ports that was drawn for a
// subscriber.
type LSNBlock struct {
	SubscriberIP netip.Addr `json:"subscriber_ip"`
	SubscriberTD uint16     `json:"subscriber_td"`
	NATIP        netip.Addr `json:"nat_ip"`
	FirstPort    uint16     `json:"first_port"`
	LastPort     uint16     `json:"last_port"`
	Mappings     uint64     `json:"mappings"` // on all ports and protocols of the block
	UsedTCP      uint64     `json:"used_tcp_ports"`
	UsedUDP      uint64     `json:"used_udp_ports"`
	UsedICMP     uint64     `json:"used_icmp_ids"`
	Pool         string     `json:"pool"`
	Group        string     `json:"group"`

	Client string `json:"-"`
}

// Who is a row of "who ADDR:PORT". Protocol, subscriber port and destination
// are null for a block; a static mapping's protocol may be ALL. A destination
// that is null is any: the mapping answers for all remotes, or for all ports of
// one.
type Who struct {
	Known          string     `json:"known_by"` // ByMapping, ByBlock, ByDeterministic or ByStatic
	SubscriberIP   netip.Addr `json:"subscriber_ip"`
	SubscriberPort *uint16    `json:"subscriber_port"`
	SubscriberTD   uint16     `json:"subscriber_td"`
	NATIP          netip.Addr `json:"nat_ip"`
	FirstPort      uint16     `json:"first_port"`
	LastPort       uint16     `json:"last_port"`
	Protocol       *string    `json:"protocol"`
	DestIP         Addr       `json:"dest_ip"`
	DestPort       *uint16    `json:"dest_port"`
	Group          string     `json:"group"`
}

// FiltersOfDeterministic returns the filters of "show lsn deterministicNat".
func FiltersOfDeterministic() []string {
	return []string{BySourceIP, ByNATIP, ByClient, ByNetwork, ByTD}
}

// FiltersOfBlocks returns the filters of "show lsn block".
func FiltersOfBlocks() []string { return append(FiltersOfDeterministic(), ByNATPort) }

// FiltersOfWho returns the filters of "who": the endpoint, which is needed, and
// the traffic domain.
func FiltersOfWho() []string { return []string{ByNATIP, ByNATPort, ByTD} }

// Lasting reports whether the row follows from the configuration alone, so that
// it is true of any time at which that was the same.
func (w Who) Lasting() bool { return w.Known == ByDeterministic || w.Known == ByStatic }

func (d LSNDeterministic) passes(f *Filter) bool {
	return f.subscriber(d.SubscriberIP, d.Client) && is(f.NATIP, d.NATIP) && f.in(d.SubscriberTD)
}

func (b LSNBlock) passes(f *Filter) bool {
	return f.subscriber(b.SubscriberIP, b.Client) && is(f.NATIP, b.NATIP) && f.in(b.SubscriberTD) &&
		(f.NATPort == 0 || f.NATPort >= b.FirstPort && f.NATPort <= b.LastPort)
}

func (w Who) passes(f *Filter) bool {
	return is(f.NATIP, w.NATIP) && f.in(w.SubscriberTD) && f.NATPort >= w.FirstPort && f.NATPort <= w.LastPort
}

// who asks a backend, if the question names an endpoint.
func who(b Backend) func(Filter) (iter.Seq[Who], error) {
	return func(f Filter) (iter.Seq[Who], error) {
		if !f.NATIP.IsValid() || f.NATPort == 0 {
			return nil, &Error{fmt.Sprintf("%s and %s are needed", ByNATIP, ByNATPort), CodeBadRequest}
		}
		return b.Who(f)
	}
}

// LSNDeterministic yields the computed blocks that pass the filter.
func (c *Client) LSNDeterministic(ctx context.Context, f Filter) iter.Seq2[LSNDeterministic, error] {
	return ask[LSNDeterministic](ctx, c, pathLSNDeterministic, f)
}

// LSNBlocks yields the drawn blocks that pass the filter.
func (c *Client) LSNBlocks(ctx context.Context, f Filter) iter.Seq2[LSNBlock, error] {
	return ask[LSNBlock](ctx, c, pathLSNBlocks, f)
}

// Who yields everybody who has the port that the filter names now: whose block
// it lies in first, then the mappings on it.
func (c *Client) Who(ctx context.Context, f Filter) iter.Seq2[Who, error] {
	return ask[Who](ctx, c, pathWho, f)
}
