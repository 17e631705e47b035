package inside

import (
	"fmt"
	"io"
	"net/netip"
	"runtime"

	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
	"spigate/tests/bench/report"
	"spigate/tests/netns"
)

// carrier is a network with many subscribers and as many sessions of each.
type carrier struct {
	subscribers, sessions int
	fresh                 int // set up while the others are live, to be measured
}

// provider is a carrier's network in full.
var provider = carrier{subscribers: 100_000, sessions: 1_000_000, fresh: 200_000}

var carrierModes = []struct {
	name string
	app  lsn.AppProfile
}{
	{"APDM, one mapping each", lsn.AppProfile{Proto: frame.ProtoUDP}},
	{"EIM, one mapping each", lsn.AppProfile{Proto: frame.ProtoUDP, Pooling: lsn.Paired, Mapping: lsn.EIM, Filtering: lsn.EIF}},
}

// measure fills the NAT alone and the whole router, and prints what a session
// costs: heap of the NAT's table, and time to set one up.
func (c carrier) measure(out io.Writer) error {
	t := report.Table{Head: []string{
		fmt.Sprintf("%d sessions of %d subscribers live", c.sessions, c.subscribers), "sessions/s", "ns/session", "B/session", "ratio",
	}}
	var first float64
	line := func(name string, ns float64, memory string) {
		if first == 0 {
			first = ns
		}
		t.Row(name, fmt.Sprintf("%.0f", 1e9/ns), fmt.Sprintf("%.0f", ns), memory, report.Ratio(ns, first))
	}
	for _, m := range carrierModes {
		ns, bytes, err := c.alone(m.app)
		if err != nil {
			return fmt.Errorf("lsn alone, %s: %w", m.name, err)
		}
		line("lsn alone, "+m.name, ns, fmt.Sprintf("%.0f", bytes))
	}
	for _, m := range carrierModes {
		ns, err := c.through(m.app)
		if err != nil {
			return fmt.Errorf("whole router, %s: %w", m.name, err)
		}
		line("whole router, "+m.name, ns, "")
	}
	t.Print(out)
	return nil
}

// config shares 64 addresses.
func (c carrier) config(app lsn.AppProfile) lsn.Config {
	return lsn.Config{
		Clients:     []lsn.Client{{Name: "C", Networks: network("100.64.0.0/10")}},
		Pools:       []lsn.Pool{{Name: "N", Ranges: []lsn.Range{{First: frame.Addr{203, 0, 113, 64}, Last: frame.Addr{203, 0, 113, 127}}}}},
		Groups:      []lsn.Group{{Name: "G", Client: "C", Pools: []string{"N"}, Apps: []lsn.AppProfile{app}}},
		MaxSessions: c.sessions + c.fresh,
	}
}

// tuple is the n-th session: every subscriber's first, then every one's second.
func (c carrier) tuple(n int) lsn.Tuple {
	who := n%c.subscribers + 2
	return lsn.Tuple{
		Proto:  frame.ProtoUDP,
		Inside: frame.Endpoint{Addr: frame.Addr{100, byte(64 + who>>16), byte(who >> 8), byte(who)}, Port: uint16(40000 + n/c.subscribers)},
		Remote: frame.Endpoint{Addr: frame.Addr{203, 0, 113, 254}, Port: uint16(10000 + n%2000)},
	}
}

// alone returns the time in which the NAT's table sets up a session, and the
// heap for each.
func (c carrier) alone(app lsn.AppProfile) (ns, bytes float64, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	t, err := lsn.New(c.config(app))
	if err != nil {
		return 0, 0, err
	}
	setUp := func(from, to int) error {
		for n := from; n < to; n++ {
			plan, _ := t.DecideOut(c.tuple(n), lsn.Hints{}, 0)
			if _, why := t.CommitOut(&plan, 0); why != drop.None {
				return fmt.Errorf("session %d: %v", n, why)
			}
		}
		return nil
	}
	if err := setUp(0, c.sessions); err != nil {
		return 0, 0, err
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	bytes = float64(after.HeapAlloc-before.HeapAlloc) / float64(c.sessions)
	start := netns.Monotonic()
	err = setUp(c.sessions, c.sessions+c.fresh)
	ns = float64(netns.Monotonic()-start) / float64(c.fresh)
	runtime.KeepAlive(t)
	return ns, bytes, err
}

// through returns the time in which the router passes the first packet of a
// session on: decision, mapping, rewriting and the entry in the flow table.
func (c carrier) through(app lsn.AppProfile) (ns float64, err error) {
	taken := 0
	r, err := benchRouter(&taken, nil, netstack.RouterConfig{LSN: c.config(app)}, "100.64.0.1/10", 2*(c.sessions+c.fresh))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	batch := make([]frame.Frame, 0, frame.Batch)
	setUp := func(from, to int) {
		for n := from; n < to; n++ {
			batch = append(batch, frame.Copy(c.packet(n), 0))
			if len(batch) == cap(batch) || n == to-1 {
				r.Port(0).Input(batch)
				batch = batch[:0]
			}
		}
	}
	setUp(0, c.sessions)
	start := netns.Monotonic()
	setUp(c.sessions, c.sessions+c.fresh)
	ns = float64(netns.Monotonic()-start) / float64(c.fresh)
	if taken != c.sessions+c.fresh {
		return 0, fmt.Errorf("%d of %d packets came out", taken, c.sessions+c.fresh)
	}
	return ns, nil
}

func (c carrier) packet(n int) []byte {
	t := c.tuple(n)
	return packet{
		proto: t.Proto, dstMAC: frame.MAC{2, 0, 0, 0, 0, 1}, srcMAC: frame.MAC{2, 0, 0, 0, 0, 9},
		src: netip.AddrFrom4(t.Inside.Addr), dst: netip.AddrFrom4(t.Remote.Addr),
		srcPort: t.Inside.Port, dstPort: t.Remote.Port, length: 100,
	}.build()
}
