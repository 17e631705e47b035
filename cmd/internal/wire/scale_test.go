package wire

import (
	"runtime"
	"testing"

	"spigate/cmd/internal/control"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// manySessions is a router whose subscribers have so many sessions each.
func manySessions(t testing.TB, subscribers, each int) *operated {
	o := operatedBy(t, `version = 1
[limits]
lsn_sessions = 1048576
[port.lan]
driver = "tap"
device = "tap0"
[vlan.inside]
port = "lan"
addresses = ["10.255.0.1/24"]
[lsn.client.C]
networks = ["10.0.0.0/16"]
[lsn.pool.P]
addresses = ["203.0.113.0-203.0.113.63"]
[lsn.group.G]
client = "C"
pools = ["P"]
`)
	table, now := o.router.LSN(), o.router.Now()
	for i := range subscribers * each {
		host, port := i/each, uint16(1024+i%each)
		tup := lsn.Tuple{
			Proto:  frame.ProtoUDP,
			Inside: frame.Endpoint{Addr: frame.Addr{10, 0, byte(host >> 8), byte(host)}, Port: port},
			Remote: frame.Endpoint{Addr: frame.Addr{198, 51, 100, 7}, Port: 53},
		}
		plan, why := table.DecideOut(tup, lsn.Hints{}, now)
		if why == drop.None {
			_, why = table.CommitOut(&plan, now)
		}
		if why != drop.None {
			t.Fatal(why)
		}
	}
	return o
}

// A look at many sessions costs the daemon a batch and not a
// copy of the table.
func TestAnAnswerOfManySessionsDoesNotGrowTheDaemon(t *testing.T) {
	const subscribers, each = 2000, 100
	o := manySessions(t, subscribers, each)
	before := heap()
	rows, grown := 0, int64(0)
	for row, err := range o.client.LSNSessions(t.Context(), control.Filter{}) {
		if err != nil || row.NATPort == 0 {
			t.Fatalf("row %d: %+v, %v", rows, row, err)
		}
		if rows++; rows%20000 == 0 {
			grown = max(grown, heap()-before)
		}
	}
	// A copy of the table would take 20 MB and its text 40 MB.
	if rows != subscribers*each || grown > 5<<20 {
		t.Errorf("%d rows came, and the heap grew by %d bytes; want %d and less than 5 MB", rows, grown, subscribers*each)
	}
}

// heap is what is live.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
