package ftp

import (
	"sync"
	"testing"

	"spigate/alg"
)

// The two directions of a connection come in by two ports, and its end by a
// third way.
func TestManyGoroutinesAtOneConnection(t *testing.T) {
	h := New(Config{})
	said, _ := portLine(1999)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			var nat openNAT
			for i := range uint32(500) {
				b := tcp(1000+i*uint32(len(said)), 5, flagAck, []byte(said), 0, 0)
				h.Step(packet(controlConn(false), alg.In2Out, b, 1500), &nat, 0)
			}
		})
		all.Go(func() {
			for i := range uint32(500) {
				h.Step(packet(controlConn(false), alg.Out2In, tcp(5, 1000+i*20, flagAck, nil, 1010, 1020+i), 0), nil, 0)
			}
		})
		all.Go(func() {
			for range 100 {
				h.Gone(1)
			}
		})
	}
	all.Wait()
	h.Gone(1)
	if got := h.Stats(); got.Live != 0 || got.Watched == 0 {
		t.Errorf("%+v", got)
	}
}
