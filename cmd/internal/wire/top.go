package wire

import (
	"time"

	"spigate/cmd/internal/control"
	"spigate/netstack/flow"
	"spigate/netstack/top"
)

// How long an answer of the Meter may be old, and how long one is waited for:
// the sweep comes once a second, and the interval under way is not a whole one.
const (
	topFresh = 1500 * time.Millisecond
	topWait  = 3 * time.Second
)

// reading returns the newest reading of who is busiest, after a while if nobody
// has watched. It is empty if none comes.
func (v *views) reading() top.Reading {
	meter, now := v.chassis.Top(), v.chassis.Now()
	r, next := meter.Watch(now)
	if r.Span > 0 && now-r.At < int64(topFresh) {
		return r
	}
	patience := time.NewTimer(topWait)
	defer patience.Stop()
	select {
	case <-next:
	case <-patience.C:
	}
	r, _ = meter.Watch(v.chassis.Now())
	return r
}

// TopFlows implements control.Top.
func (v *views) TopFlows(by control.TopOrder) (out []control.TopFlow) {
	r := v.reading()
	flows := r.ByBytes
	if by == control.ByPackets {
		flows = r.ByPackets
	}
	for i := range flows {
		out = append(out, v.topFlow(&flows[i], r.Span))
	}
	return out
}

func (v *views) topFlow(f *top.Flow, span int64) control.TopFlow {
	row := v.flow(flow.Info{Entry: flow.Entry{Key: f.Key, Side: f.Side, Addr: f.Addr, Port: f.Port, Owner: f.Owner}}, 0)
	return control.TopFlow{
		Protocol: row.Protocol, SourceIP: row.SourceIP, SourcePort: row.SourcePort, DestIP: row.DestIP, DestPort: row.DestPort,
		ICMPID: row.ICMPID, SPI: row.SPI, NewIP: row.NewIP, NewPort: row.NewPort, InInterface: row.InInterface, Owner: row.Owner, TD: row.TD,
		Bits: perSecond(8*f.Bytes, span), Packets: perSecond(f.Packets, span),
	}
}

// TopSubscribers implements control.Top.
func (v *views) TopSubscribers(by control.TopOrder) (out []control.TopSubscriber) {
	r := v.reading()
	rows := r.SubscriberBytes
	if by == control.ByPackets {
		rows = r.SubscriberPacks
	}
	for i := range rows {
		s := &rows[i]
		out = append(out, control.TopSubscriber{
			SubscriberIP: s.Addr.Netip(), TD: s.Domain, Flows: uint64(s.Flows), Partial: r.Dropped > 0,
			TxBits: perSecond(8*s.BytesOut, r.Span), RxBits: perSecond(8*s.BytesIn, r.Span),
			TxPackets: perSecond(s.PacketsOut, r.Span), RxPackets: perSecond(s.PacketsIn, r.Span),
		})
	}
	return out
}

// perSecond is a rate over ns.
func perSecond(n uint64, ns int64) float64 {
	if ns <= 0 {
		return 0
	}
	return float64(n) / (float64(ns) / 1e9)
}
