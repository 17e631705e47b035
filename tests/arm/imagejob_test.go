package arm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spigate/tests/golden"
	"spigate/tests/netns"
)

// The image, from a first start to a watchdog that bites: what a router's first
// day brings, in one machine, because starts are what takes time.
func TestTheImageIsARouter(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 8*time.Minute)
	dir := imageDir(t, ctx)
	site, err := netns.NewSite(netns.For(t))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(site.RouterTAPs(), site.Router.SetLink("tapwan", true), site.Router.SetLink("taplan", true))
	if err != nil {
		t.Fatal(err)
	}
	r := startRouter(t, ctx, imageConfig(dir, flashOf(t, dir), site.Router, Card{TAP: "tapwan"}, Card{TAP: "taplan"}))
	r.memory("idle, factory configuration")

	// One NAT address for all clients, which is what spigate is for. Sessions
	// outlast the time that emulation takes to open many.
	shared := factory(t, `"gw1"`, `"shared"`, "203.0.113.3-203.0.113.9", "203.0.113.3",
		"[lsn.group.homes]\n", "[lsn.transportprofile.udp]\nprotocol = \"UDP\"\nsession_timeout = \"30m\"\n[lsn.group.homes]\ntransport_profiles = [\"udp\"]\n")
	r.reboots(shared, "shared")
	mainJob(t, ctx, site, r)
	manyFlows(t, ctx, site, r)
	r.reboots(strings.NewReplacer(`driver = "raw"`, `driver = "xdp"`, "[vlan.inside]\n", "[offload]\nafter = 8\n[vlan.inside]\n").Replace(shared), "shared")
	theKernelForwards(t, ctx, site, r)
	theWatchdogBites(t, r)
	r.cleanEnd()
}

// reboots applies a configuration with this host name and starts the machine
// again, which has it then.
func (r *router) reboots(config, hostname string) {
	r.t.Helper()
	if answer := r.apply(config); !strings.HasPrefix(answer, "applied: ") {
		r.t.Fatalf("config apply: %s", answer)
	}
	r.typed("reboot")
	r.awaitText("reboot: Restarting system")
	r.awaitText("init: the kernel compiles BPF programs from now on")
	r.t.Logf("ready %.1f s after the kernel's start", r.ready())
	if got := r.hostname(); got != hostname {
		r.t.Fatalf("after a reboot the configuration is %q", got)
	}
}

// mainJob plays two recorded VPN clients behind one NAT address to one gateway
// through the machine.
func mainJob(t *testing.T, ctx context.Context, site *netns.Site, r *router) {
	t.Helper()
	first, second, err := netns.Conversations(golden.IKEv2First, golden.IKEv2Second, 3)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := site.Run(ctx, netns.Scenario{First: first, Second: second, Patience: netns.DefaultPatience()})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + res.Summary())
	if faults := res.Faults(); len(faults) > 0 {
		r.typed("show drops")
		r.typed("show net vlan")
		r.typed("version")
		r.awaitText("spigate (")
		t.Fatalf("%s\n%s", strings.Join(faults[:min(len(faults), 20)], "\n"), r.m.tail())
	}
	a, b := res.Delivery(first.Name, golden.Gateway).Peer, res.Delivery(second.Name, golden.Gateway).Peer
	if nat := netip.MustParseAddr("203.0.113.3"); a.Addr() != nat || b.Addr() != nat || a == b {
		t.Errorf("the gateway saw the clients at %v and %v", a, b)
	}
	var rows []netns.SessionRow
	r.show(&rows, "ipsecalg session")
	var got, want []string
	for _, row := range rows {
		if row.SPIIn == nil || row.SPIOut == nil {
			t.Errorf("half a session: %+v", row)
			continue
		}
		got = append(got, fmt.Sprint(row.SourceIP, " ", *row.SPIIn, " ", *row.SPIOut))
	}
	for _, c := range []golden.Conversation{first, second} {
		in, out := c.SPIs(golden.Gateway), c.SPIs(golden.Client)
		for i := range in {
			want = append(want, fmt.Sprintf("%v %08x %08x", c.Client, in[i], out[i]))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("sessions\n got %v\nwant %v", got, want)
	}
}

// theWatchdogBites halts the router and waits for the machine to be reset: no
// flash is written out, nobody says goodbye, and the router is there again.
func theWatchdogBites(t *testing.T, r *router) {
	t.Helper()
	r.typed("signal stop")
	silent := uptime(r.awaitText("init: the router does not answer"))
	again := r.ready()
	if again > silent {
		t.Errorf("ready at %.1f s, silent at %.1f s: the machine was not reset", again, silent)
	}
	if got := r.hostname(); got != "shared" {
		t.Errorf("after the watchdog's reset the configuration is %q", got)
	}
}

// What an image adds to its kernel's start.
func TestHowLongTheImageTakesToForward(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 4*time.Minute)
	dir := imageDir(t, ctx)
	k, err := FetchKernel(ctx, CacheDir())
	if err != nil {
		t.Fatal(err)
	}
	k.Image = filepath.Join(dir, "vmlinuz")
	in := namespace(t)
	begun := netns.Monotonic()
	bare, err := Guest{Kernel: k}.Run(ctx, in, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	kernel := netns.Monotonic() - begun
	if !strings.Contains(bare.Console, "guest: done") {
		t.Fatalf("%s", bare.Console)
	}
	begun = netns.Monotonic()
	r := startRouter(t, ctx, imageConfig(dir, flashOf(t, dir), in, Card{}, Card{}))
	image := netns.Monotonic() - begun
	t.Logf("bare kernel, from start to power-off: %.1f s; image, from start to forwarding: %.1f s, %.2f times that",
		float64(kernel)/1e9, float64(image)/1e9, float64(image)/float64(kernel))
	r.cleanEnd()
}
