package netns

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oneToOne gives a client an address of its own, so that each SPI is a flow from
// its first packet on.
const oneToOne = `version = 1
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.2/24"]
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.3"]
[lsn.static.S]
protocol = "ALL"
subscriber = "192.0.2.11"
nat = "203.0.113.3"
[lsn.group.G]
client = "C"
pools = ["P"]
`

// espFlow is ESP of one SPI from a client to the gateway. Nothing in a namespace
// speaks ESP, so it comes as it was sent.
type espFlow struct {
	t        *testing.T
	from, to *net.IPConn
	sent     uint32
}

func newESPFlow(t *testing.T, s *Site) *espFlow {
	t.Helper()
	e := &espFlow{t: t}
	for at, make := range map[*Namespace]func() error{
		s.Client1: func() (err error) {
			e.from, err = net.DialIP("ip4:50", nil, &net.IPAddr{IP: Remote.Addr().AsSlice()})
			return err
		},
		s.Gateway: func() (err error) { e.to, err = net.ListenIP("ip4:50", &net.IPAddr{IP: net.IPv4zero}); return err },
	} {
		if err := at.Do(make); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { e.from.Close(); e.to.Close() })
	return e
}

// pass sends a packet and expects it at the gateway.
func (e *espFlow) pass() {
	e.t.Helper()
	e.sent++
	var b, got [100]byte
	binary.BigEndian.PutUint32(b[:], 0xc0ffee01)
	binary.BigEndian.PutUint32(b[4:], e.sent)
	if _, err := e.from.Write(b[:]); err != nil {
		e.t.Fatal(err)
	}
	if err := e.to.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		e.t.Fatal(err)
	}
	n, from, err := e.to.ReadFromIP(got[:])
	if err != nil || got != b || !from.IP.Equal(NATAddress.AsSlice()) {
		e.t.Fatalf("packet %d from %v: % x, %v", e.sent, from, got[:n], err)
	}
}

// flow returns the one flow that the router has.
func (e *espFlow) flow(ctx context.Context, d *Daemon) FlowRow {
	e.t.Helper()
	var rows []FlowRow
	if err := d.Show(ctx, &rows, "flow"); err != nil {
		e.t.Fatal(err)
	}
	if len(rows) != 1 {
		e.t.Fatalf("%d flows, want 1: %+v", len(rows), rows)
	}
	return rows[0]
}

func statusOf(t *testing.T, ctx context.Context, d *Daemon) StatusRow {
	t.Helper()
	var rows []StatusRow
	if err := d.Show(ctx, &rows, "status"); err != nil || len(rows) != 1 {
		t.Fatalf("status %+v, %v", rows, err)
	}
	return rows[0]
}

func oneToOneRouter(t *testing.T, s *Site, c DaemonConfig) *Daemon {
	t.Helper()
	c.Dir = t.TempDir()
	c.Template = filepath.Join(t.TempDir(), "one-to-one.toml")
	if err := os.WriteFile(c.Template, []byte(oneToOne), 0o600); err != nil {
		t.Fatal(err)
	}
	return routerIn(t, s, c)
}

func TestTheKernelForwardsABusyFlowAndEveryPacketIsCounted(t *testing.T) {
	s := site(t)
	d := oneToOneRouter(t, s, DaemonConfig{XDP: true})
	ctx, cancel := d.While(deadline(t))
	defer cancel()
	offloaded(t, ctx, d, newESPFlow(t, s))
	if err := d.Stop(); err != nil || d.Err() != nil {
		t.Errorf("SIGTERM: %v, exit %v", err, d.Err())
	}
}

// offloaded sends until the kernel has the flow, and then more.
func offloaded(t *testing.T, ctx context.Context, d *Daemon, e *espFlow) {
	t.Helper()
	// The first packet has to wait for ARP; the second makes the flow, and is not
	// its own.
	e.pass()
	e.pass()
	const unseen = 2
	for e.pass(); !e.flow(ctx, d).Offloaded; e.pass() {
		if ctx.Err() != nil {
			t.Fatalf("the flow was not offloaded: %+v", statusOf(t, ctx, d))
		}
	}
	before := statusOf(t, ctx, d)
	for range 500 {
		e.pass()
	}
	// The kernel's counts come with the next sweep.
	for e.flow(ctx, d).Packets < uint64(e.sent)-unseen && ctx.Err() == nil {
	}
	after := statusOf(t, ctx, d)
	if n := after.Offload.Packets - before.Offload.Packets; n < 400 || after.FastHits-before.FastHits > 100 {
		t.Errorf("%d of 500 packets by the kernel, %d by the router", n, after.FastHits-before.FastHits)
	}
	left := map[string]uint64{}
	for _, l := range after.Offload.Left {
		left[l.Reason] = l.Frames
	}
	// ARP, and the flow's packets before the kernel had it.
	if left["type"] == 0 || left["miss"] < unseen || left["miss"]+after.Offload.Packets < uint64(e.sent) {
		t.Errorf("left to the router: %v; forwarded: %d of %d", left, after.Offload.Packets, e.sent)
	}
	if f := e.flow(ctx, d); f.Packets != uint64(e.sent)-unseen {
		t.Errorf("the flow has %d packets, of %d that were sent", f.Packets, e.sent)
	}
	for _, p := range after.Ports {
		if p.Offload != "native" && p.Offload != "generic" {
			t.Errorf("port %s is %s: %s", p.Port, p.Offload, p.OffloadWhy)
		}
	}
	for _, p := range after.Ports {
		if n := p.RxFrames + p.TxFrames; n < uint64(e.sent) {
			t.Errorf("interface of port %s counts %d frames, fewer than the %d that passed", p.Port, n, e.sent)
		}
	}
}

func TestWithoutBPFTheServiceOffloadsNothingAndSaysSo(t *testing.T) {
	var caps []string
	for _, c := range capabilities(t) {
		if c != "bpf" {
			caps = append(caps, c)
		}
	}
	s := site(t)
	d := oneToOneRouter(t, s, DaemonConfig{XDP: true, Binary: confined(t, caps)})
	ctx, cancel := d.While(deadline(t))
	defer cancel()
	e := newESPFlow(t, s)
	for range 10 {
		e.pass()
	}
	st := statusOf(t, ctx, d)
	if st.Offload.Capacity != 0 || st.FastHits == 0 {
		t.Errorf("%+v", st)
	}
	for _, p := range st.Ports {
		if p.Offload != "off" || !strings.Contains(p.OffloadWhy, "permitted") || strings.Contains(p.OffloadWhy, "\n") {
			t.Errorf("port %s: %q because %q", p.Port, p.Offload, p.OffloadWhy)
		}
	}
	if log := strings.Join(d.Output(), "\n"); strings.Count(log, "no flow can be offloaded") != 1 {
		t.Errorf("the log says it %d times:\n%s", strings.Count(log, "no flow can be offloaded"), log)
	}
}

func TestTheServiceMayOffload(t *testing.T) {
	s := site(t)
	d := oneToOneRouter(t, s, DaemonConfig{XDP: true, Binary: confined(t, capabilities(t))})
	ctx, cancel := d.While(deadline(t))
	defer cancel()
	offloaded(t, ctx, d, newESPFlow(t, s))
}
