package netns

import (
	"context"
	"testing"

	"spigate/tests/golden"
)

// The positive control: with nothing but a router in between, the harness
// delivers everything. Whatever is lost elsewhere was lost by what is tested.
func TestPlainRoutingDeliversEverything(t *testing.T) {
	for _, p := range pairs() {
		t.Run(p.name, func(t *testing.T) {
			s := site(t)
			if err := s.RouterKernel(); err != nil {
				t.Fatal(err)
			}
			if err := s.GatewayRouteInside(); err != nil {
				t.Fatal(err)
			}
			first, second, err := Conversations(p.first, p.second, 5)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.Run(deadline(t), Scenario{
				First: first, Second: second, Patience: DefaultPatience(),
				Overlap: func(context.Context) error { return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Faults() {
				t.Error(f)
			}
			t.Log("\n" + r.Summary())
			if d := r.Delivery(second.Name, golden.Gateway); d.Peer.Addr() != Client2 || d.Peer.Port() != golden.Port {
				t.Errorf("the gateway saw the second client at %v", d.Peer)
			}
		})
	}
}
