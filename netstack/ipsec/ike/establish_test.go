package ike

import (
	"testing"
	"time"
)

func TestATunnelComesUp(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	a, b := w.add(ca), w.add(cb)
	a.initiate("b", "net")
	w.run(time.Second)
	w.agree(a, b, 1)
	if a.said(IKEUp) == nil || b.said(ChildUp) == nil {
		t.Fatal(w.history())
	}
}
