package wire

import (
	"testing"

	"spigate/cmd/internal/control"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

// What the sweep tells of comes out at the other end of the socket, with rates
// over the time between two sweeps; somebody who has just begun to watch waits
// for a whole one.
func TestTheBusiestComeFromTheSweepToTheClient(t *testing.T) {
	o := newOperated(t)
	meter := o.views.chassis.Top()
	report := flow.Report{
		Key:  flow.Key{Src: frame.Addr{192, 0, 2, 10}, Dst: frame.Addr{198, 51, 100, 9}, ID: 5000<<16 | 53, Proto: frame.ProtoUDP, In: 1},
		Side: flow.Source, Addr: frame.Addr{203, 0, 113, 3}, Port: 6234, Owner: flow.Owner{Kind: flow.OwnerLSN}, Packets: 10, Bytes: 1000,
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { // packets all the time, as far as the Meter knows
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				r := report
				r.Now = o.router.Now()
				meter.Count(&r)
			}
		}
	}()
	defer func() { close(stop); <-ended }()
	for tries := 0; len(o.views.reading().ByBytes) == 0 && tries < 5; tries++ { // a machine whose sweeps come late
	}
	for _, by := range []control.TopOrder{control.ByBits, control.ByPackets} {
		rows := 0
		for r, err := range o.client.TopFlows(t.Context(), by) {
			rows++
			if err != nil || r.Protocol != "UDP" || r.SourceIP.String() != "192.0.2.10" || *r.SourcePort != 5000 || *r.DestPort != 53 ||
				r.NewIP.String() != "203.0.113.3" || *r.NewPort != 6234 || r.Bits <= 0 || int(r.Bits/r.Packets+0.5) != 800 || r.Owner != "lsn" || r.InInterface == "" {
				t.Errorf("%+v, %v", r, err)
			}
		}
		for s, err := range o.client.TopSubscribers(t.Context(), by) {
			rows++
			if err != nil || s.SubscriberIP.String() != "192.0.2.10" || s.TxBits <= 0 || s.RxBits != 0 || s.Partial {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if rows != 2 {
			t.Errorf("by %s there are %d rows", by, rows)
		}
	}
}

// A router of which nobody hears anything answers all the same.
func TestTopOfAQuietRouterIsEmpty(t *testing.T) {
	o := newOperated(t)
	for r, err := range o.client.TopFlows(t.Context(), control.ByBits) {
		t.Errorf("%+v, %v", r, err)
	}
}
