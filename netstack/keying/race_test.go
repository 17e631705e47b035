package keying

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// wires are two Keyers whose datagrams go straight into each other's queues.
type wires struct {
	keys [2]*Keyer
	dbs  [2]*ipsec.Database
}

func newWires(t *testing.T) *wires {
	t.Helper()
	x := &wires{}
	sa, sb := ends()
	for i, s := range []setup{sa, sb} {
		x.dbs[i] = ipsec.NewDatabase(ipsec.Options{})
		k, err := New(Deps{
			Database: x.dbs[i],
			Send:     func(d ike.Datagram) { x.keys[1-i].Datagram(d.Remote, d.Local, d.Bytes, d.Marker) },
			Release:  func(name string) { x.keys[i].Acquire(name) }, // a packet that finds none again
		})
		if err != nil {
			t.Fatal(err)
		}
		x.keys[i] = k
		p, err := ipsec.NewPolicies(s.policies)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.dbs[i].Apply(p, 0); err != nil {
			t.Fatal(err)
		}
		if err := k.Apply(s.config, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// TestAllMayCallAtOnce is for the race detector: everything that queues, beside
// two who work, one who looks and one who reloads.
func TestAllMayCallAtOnce(t *testing.T) {
	x := newWires(t)
	sa, _ := ends()
	peer := netip.MustParseAddrPort("198.51.100.1:500")
	local := netip.AddrPortFrom(sa.local, 500)
	const turns = 300
	at := func(i int) int64 { return second + int64(i)*int64(100*time.Millisecond) }
	var all sync.WaitGroup
	for _, do := range []func(i int){
		func(i int) { x.keys[0].Work(at(i)) },
		func(i int) { x.keys[0].Work(at(i)) },
		func(i int) { x.keys[1].Work(at(i)) },
		func(i int) { x.keys[0].Datagram(local, peer, make([]byte, i), i%2 == 0) },
		func(i int) { x.keys[0].Acquire("net"); x.keys[1].Acquire("net") },
		func(i int) {
			for _, v := range x.keys[0].View(at(i)) {
				for _, c := range v.Children {
					if x.keys[0].Waiting() {
						x.keys[0].Heard(c.In)
					}
					x.keys[0].Moved(c.In, frame.Endpoint{Addr: frame.Addr{203, 0, 113, 7}, Port: uint16(i + 1)})
				}
			}
		},
		func(i int) { x.dbs[0].Sweep(at(i), x.keys[0].Event); x.keys[0].Due(at(i)) },
		func(i int) {
			if i%20 == 0 {
				_, _ = x.keys[0].RekeyChild("net"), x.keys[1].RekeyChild("net")
				_, _ = x.keys[0].Rekey("b.example"), x.keys[0].Initiate("net")
			}
			x.keys[0].Counters()
			x.keys[0].Lost()
		},
		func(i int) {
			if i%50 == 0 {
				_ = x.keys[0].Apply(sa.config, nil, at(i))
			}
		},
	} {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range turns {
				do(i)
			}
		}()
	}
	all.Wait()
	for i := range 50 {
		for _, k := range x.keys {
			for k.Due(at(turns + i)) {
				k.Work(at(turns + i))
			}
		}
	}
	if len(x.keys[0].pairs) == 0 || len(x.keys[0].pairs) != len(x.keys[1].pairs) {
		t.Errorf("%d and %d pairs", len(x.keys[0].pairs), len(x.keys[1].pairs))
	}
	x.keys[0].End(at(turns + 51))
	x.keys[1].Work(at(turns + 52))
	for i, k := range x.keys {
		k.Work(at(turns + 200))
		if n := len(x.dbs[i].List(0)); n != 0 {
			t.Errorf("%d SAs are left", n)
		}
	}
}
