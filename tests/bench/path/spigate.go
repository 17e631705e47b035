package path

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"spigate/tests/bench/bed"
	"spigate/tests/netns"
)

// configuration is spigate's on a bed: ESP of one subscriber passes a 1:1
// address, each SPI a flow of its own; UDP of all others shares 64 addresses.
// Tables are as large as somebody makes them who has that many flows: what is
// sent, and a sixteenth. A larger one is more memory to miss the cache in.
const configuration = `version = 1
[limits]
flows = %[1]d
lsn_sessions = %[1]d
[port.lan]
driver = %[2]q
device = "lan"
[port.wan]
driver = %[2]q
device = "wan"
[vlan.inside]
port = "lan"
addresses = ["100.64.0.1/10"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.2/24"]
[lsn.client.subscribers]
networks = ["100.64.0.0/10"]
[lsn.pool.shared]
addresses = ["203.0.113.64-203.0.113.127"]
[lsn.transportprofile.udp]
protocol = "UDP"
session_timeout = "1h"
[lsn.static.vpn]
protocol = "ALL"
subscriber = "100.64.0.10"
nat = "203.0.113.3"
[lsn.group.subscribers]
client = "subscribers"
pools = ["shared"]
transport_profiles = ["udp"]
%[3]s`

// mode is how spigate is to forward.
type mode struct {
	driver string
	group  string // further lines of the group
}

// slow has the router look at each packet's IPv4 id, which only the stack does:
// the frames are the same as on the other ways.
var (
	slow = mode{driver: "raw", group: "rewrite_ip_id = \"DF-CLEAR\"\n"}
	fast = mode{driver: "raw"}
	xdp  = mode{driver: "xdp"}
)

// start is the Start of a way through spigate.
func (m mode) start(ctx context.Context, b *bed.Bed, s bed.Setup) (bed.Running, error) {
	flows := max(4096, s.Traffic.Flows+s.Traffic.Flows/16)
	more := m.group
	if m.driver == "xdp" {
		more += fmt.Sprintf("[offload]\nflows = %d\nafter = 1\n", flows)
	}
	file := filepath.Join(s.Dir, "bench.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, flows, m.driver, more), 0o600); err != nil {
		return nil, err
	}
	cpu := bed.ForwardCPU
	if s.Place == bed.OneCore && m != xdp { // its process is not in the way of packets
		cpu = bed.SenderCPU
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	d, err := b.Router.StartSpigate(ctx, netns.DaemonConfig{Binary: s.Binary, Template: file, Dir: s.Dir, CPUs: []int{cpu}})
	if err != nil {
		return nil, err
	}
	return &daemon{d, m}, nil
}

// daemon is a spigate that forwards.
type daemon struct {
	*netns.Daemon
	mode mode
}

// Worked implements bed.Running.
func (d *daemon) Worked() (time.Duration, error) { return bed.ProcessWorked(d.Pid()) }

func (d *daemon) status(ctx context.Context) (netns.StatusRow, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var rows []netns.StatusRow
	if err := d.Show(ctx, &rows, "status"); err != nil {
		return netns.StatusRow{}, err
	}
	if len(rows) != 1 {
		return netns.StatusRow{}, fmt.Errorf("status has %d rows, not 1", len(rows))
	}
	return rows[0], nil
}

// Close implements bed.Running: the daemon ends.
func (d *daemon) Close() error { return d.Stop() }

// Slow implements bed.Running.
func (d *daemon) Slow(ctx context.Context) (uint64, error) {
	st, err := d.status(ctx)
	switch d.mode {
	case slow:
		return st.FastHits, err
	case xdp:
		return st.FastHits + st.SlowHits, err
	}
	return st.SlowHits, err
}

// Ready implements bed.Running.
func (d *daemon) Ready(ctx context.Context, n int) (bool, error) {
	if d.mode == slow {
		return true, nil
	}
	st, err := d.status(ctx)
	if d.mode == xdp && err == nil {
		return offloads(st, n)
	}
	return nearly(st.Flows, n), err
}

// nearly reports whether of n flows all but a few are there: a hash table may
// have no place for one in some ten thousands.
func nearly(there uint64, n int) bool { return float64(there) >= float64(n)*(1-mostSlow/2) }

// offloads reports whether n flows are offloaded. That nothing can be is an
// error.
func offloads(st netns.StatusRow, n int) (bool, error) {
	for _, p := range st.Ports {
		if p.Offload != "native" {
			return false, fmt.Errorf("port %s does not offload natively: %s %s", p.Port, p.Offload, p.OffloadWhy)
		}
	}
	return nearly(st.Offload.Flows, n), nil
}
