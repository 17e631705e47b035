package ltm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/tests/netns"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.Remove()
		os.Exit(code)
	}))
}

var built netns.Build

// The seed's two hosts, and the router's addresses beside them.
var (
	local  = netip.MustParseAddr("10.2.1.1")
	far    = netip.MustParseAddr("10.1.1.1")
	inside = netip.MustParseAddr("10.2.1.254")
	beyond = netip.MustParseAddr("10.1.1.254")
)

// network is the common part of every configuration here.
const network = `version = 1
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.vlan-internal-2-0]
port = "lan"
addresses = ["10.2.1.254/24"]
[vlan.external]
port = "wan"
addresses = ["10.1.1.254/24"]
`

// ipsec0 and ipsec2 are the seed's servers, in its own words.
const (
	ipsec0 = `[ltm.virtual.ipsec-0]
destination = "10.1.1.0:any"
ip_forward = true
ip_protocol = "tcp"
mask = "255.255.255.0"
profiles = ["fastL4"]
source = "10.2.1.0/24"
translate_address = false
translate_port = false
`
	ipsec2 = `[ltm.virtual.ipsec-2]
destination = "10.2.1.0:any"
ip_forward = true
ip_protocol = "tcp"
mask = "255.255.255.0"
profiles = ["fastL4"]
source = "10.1.1.0/24"
translate_address = false
translate_port = false
`
)

// patience bounds each test; a busy machine needs some.
const patience = 60 * time.Second

// place is the two hosts and the router between them, with the daemon running.
type place struct {
	t          *testing.T
	ctx        context.Context
	local, far *netns.Namespace
	router     *netns.Namespace
	daemon     *netns.Daemon
	binary     string // of the daemon
	base       string // the part of the configuration that stays
	dir        string
	reloads    int
}

// settle makes a place whose daemon runs on the network above and what a test
// adds to it.
func settle(t *testing.T, more string) *place { return settleWith(t, settings{}, more) }

// settings are what most tests leave as it is.
type settings struct {
	tap    bool // TAP devices in place of raw ports
	narrow int  // MTU of the way out, in bytes of IP
}

func settleWith(t *testing.T, with settings, more string) *place {
	t.Helper()
	p := newPlace(t, network)
	p.lay(netns.For(t))
	if with.narrow != 0 {
		p.must(errors.Join(p.router.SetMTU("wan", with.narrow), p.far.SetMTU("eth0", with.narrow)))
	}
	if with.tap {
		p.must((&netns.Site{Router: p.router}).RouterTAPs())
	}
	p.start(netns.DaemonConfig{Binary: p.binary, Template: p.template(more), Dir: p.dir, TAP: with.tap})
	p.tellsIfItFails("")
	return p
}

// newPlace is a place with nothing in it yet.
func newPlace(t *testing.T, base string) *place {
	t.Helper()
	if !netns.Root() {
		t.Fatal("these tests make network namespaces: run them as root")
	}
	binary, err := built.Daemon() // the first time takes a while
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: t.TempDir(), base: base, binary: binary}
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return p
}

// tellsIfItFails prints the log and the drops of a failed test.
func (p *place) tellsIfItFails(name string) {
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Log(name, p.log())
			drops, err := p.daemon.Text(context.WithoutCancel(p.ctx), "drops")
			p.t.Log(name, drops, err)
		}
	})
}

func (p *place) start(c netns.DaemonConfig) {
	p.t.Helper()
	var err error
	p.daemon, err = (&netns.Site{Router: p.router}).StartSpigate(p.ctx, c)
	p.must(err)
}

// restart kills the daemon and starts it again.
func (p *place) restart(more string) {
	p.t.Helper()
	p.must(p.daemon.Signal(syscall.SIGKILL))
	<-p.daemon.Done()
	p.start(netns.DaemonConfig{Binary: p.binary, Template: p.template(more), Dir: p.dir})
}

// lay makes the namespaces and lays the cables.
func (p *place) lay(lab *netns.Lab) {
	p.t.Helper()
	for _, n := range []struct {
		name string
		to   **netns.Namespace
	}{{"local", &p.local}, {"router", &p.router}, {"far", &p.far}} {
		var err error
		*n.to, err = lab.Namespace(n.name)
		p.must(err)
	}
	anywhere := netip.MustParsePrefix("0.0.0.0/0")
	p.must(errors.Join(
		lab.Wire(netns.End{In: p.local, Device: "eth0"}, netns.End{In: p.router, Device: "lan"}),
		lab.Wire(netns.End{In: p.router, Device: "wan"}, netns.End{In: p.far, Device: "eth0"}),
		p.local.Address("eth0", netip.PrefixFrom(local, 24)), p.local.Route(anywhere, inside),
		p.far.Address("eth0", netip.PrefixFrom(far, 24)), p.far.Route(anywhere, beyond),
		p.local.NoSegmentation("eth0"), p.far.NoSegmentation("eth0"),
	))
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// template is the place's configuration with more at its end.
func (p *place) template(more string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, "template.toml")
	p.must(os.WriteFile(path, []byte(p.base+more), 0o600))
	return path
}

// reload exchanges what a test has added to the network, as an operator does:
// the file, then SIGHUP.
func (p *place) reload(more string) {
	p.t.Helper()
	p.must(p.daemon.Reconfigure(p.template(more)))
	p.reloads++
	p.eventually("the reload", func() error {
		if n := strings.Count(p.log(), "msg=reloaded"); n != p.reloads {
			return fmt.Errorf("%d reloads are logged, not %d", n, p.reloads)
		}
		return nil
	})
}

func (p *place) log() string { return strings.Join(p.daemon.Output(), "\n") }

// eventually asks until there is no error. What the fast path forwarded is
// told once a second.
func (p *place) eventually(what string, ask func() error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	var last error
	if netns.Poll(ctx, 30*time.Millisecond, func() bool { last = ask(); return last == nil }) != nil {
		p.t.Errorf("%s: %v", what, last)
	}
}

// page is what a command prints, in lines with single blanks.
func (p *place) page(words ...string) []string {
	p.t.Helper()
	text, err := p.daemon.Command(p.ctx, words...)
	p.must(err)
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out
}

// drops is how many packets were dropped for a reason.
func (p *place) drops(reason string) uint64 {
	p.t.Helper()
	var rows []netns.DropRow
	p.must(p.daemon.Show(p.ctx, &rows, "drops"))
	for _, r := range rows {
		if r.Reason == reason {
			return r.Count
		}
	}
	p.t.Fatalf("there is no reason %s", reason)
	return 0
}

// dropped waits until exactly so many packets were dropped for a reason.
func (p *place) dropped(reason string, count uint64) {
	p.t.Helper()
	p.eventually("drops", func() error {
		if n := p.drops(reason); n != count {
			return fmt.Errorf("%d packets were dropped by %s, not %d", n, reason, count)
		}
		return nil
	})
}

// traffic is an item of `show ltm virtual --json`, and of nat and snat.
type traffic struct {
	Name       string `json:"name"`
	BitsIn     uint64 `json:"bits_in"`
	BitsOut    uint64 `json:"bits_out"`
	PacketsIn  uint64 `json:"packets_in"`
	PacketsOut uint64 `json:"packets_out"`
	Current    uint64 `json:"current_connections"`
	Maximum    uint64 `json:"maximum_connections"`
	Total      uint64 `json:"total_connections"`
	Resets     uint64 `json:"resets"`
}

// counted returns what an object has counted.
func (p *place) counted(kind, name string) (traffic, error) {
	var rows []traffic
	if err := p.daemon.Show(p.ctx, &rows, "ltm", kind, name); err != nil {
		return traffic{}, err
	}
	if len(rows) != 1 || rows[0].Name != name {
		return traffic{}, fmt.Errorf("%s %s: %+v", kind, name, rows)
	}
	return rows[0], nil
}

// agrees waits until an object has counted exactly what passed a host.
func (p *place) agrees(kind, name string, want func() traffic) {
	p.t.Helper()
	p.eventually(kind+" "+name, func() error {
		got, err := p.counted(kind, name)
		if err != nil {
			return err
		}
		seen := want()
		if got.PacketsIn != seen.PacketsIn || got.PacketsOut != seen.PacketsOut || got.BitsIn != seen.BitsIn || got.BitsOut != seen.BitsOut {
			return fmt.Errorf("counted\n%+v, on the wire were\n%+v", got, seen)
		}
		if seen.PacketsIn == 0 || seen.PacketsOut == 0 {
			return errors.New("nothing passed")
		}
		return nil
	})
}

// ip returns a frame's IPv4 packet of a protocol without padding, nil for other
// frames.
func ip(f netns.Captured, proto byte) []byte {
	if len(f.Frame) < 34 || binary.BigEndian.Uint16(f.Frame[12:]) != 0x0800 || f.Frame[23] != proto {
		return nil
	}
	return f.Frame[14 : 14+binary.BigEndian.Uint16(f.Frame[16:])]
}

// passed adds up what a capture at the end that began has seen: what it sent is
// In (VR39).
func passed(c *netns.Capture, proto byte) func() traffic {
	return func() (sum traffic) {
		for _, f := range c.Frames() {
			b := ip(f, proto)
			switch {
			case b == nil:
			case f.Sent:
				sum.PacketsIn, sum.BitsIn = sum.PacketsIn+1, sum.BitsIn+8*uint64(len(b))
			default:
				sum.PacketsOut, sum.BitsOut = sum.PacketsOut+1, sum.BitsOut+8*uint64(len(b))
			}
		}
		return sum
	}
}

// watch captures at a host.
func (p *place) watch(n *netns.Namespace) *netns.Capture {
	p.t.Helper()
	c, err := n.Capture("eth0")
	p.must(err)
	return c
}

// The protocols' numbers.
const (
	icmp = 1
	tcp  = 6
	udp  = 17
)
