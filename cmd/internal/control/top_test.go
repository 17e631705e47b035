package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (b *fake) TopFlows(by TopOrder) []TopFlow {
	port := uint16(500)
	return []TopFlow{{Protocol: "UDP", SourceIP: ip("192.0.2.10"), SourcePort: &port, DestIP: ip("198.51.100.9"), DestPort: &port, Owner: string(by), Bits: 8e6, Packets: 1000.5}}
}

func (b *fake) TopSubscribers(by TopOrder) []TopSubscriber {
	return []TopSubscriber{{SubscriberIP: ip("192.0.2.10"), Flows: uint64(len(by)), TxBits: 1, RxPackets: 2.5, Partial: true}}
}

func TestTheBusiestComeInTheOrderThatWasAskedFor(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	for _, by := range []TopOrder{ByBits, ByPackets} {
		if diff := cmp.Diff(b.TopFlows(by), collect(t, c.TopFlows(t.Context(), by)), byValue()); diff != "" {
			t.Errorf("flows (-sent +received):\n%s", diff)
		}
		if diff := cmp.Diff(b.TopSubscribers(by), collect(t, c.TopSubscribers(t.Context(), by)), byValue()); diff != "" {
			t.Errorf("subscribers (-sent +received):\n%s", diff)
		}
	}
}
