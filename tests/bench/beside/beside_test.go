package beside

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
	"spigate/tests/bench/inside"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is sent is counted at the far end: the instrument itself, on a path
// through the kernel.
func TestAFloodThroughTheKernelIsCounted(t *testing.T) {
	lab := netns.For(t)
	p, err := newPath(lab, "kernel")
	if err != nil {
		t.Fatal(err)
	}
	if err := startKernel(t.Context(), Options{}, "", p); err != nil {
		t.Fatal(err)
	}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	f, err := p.flood(100, 20*time.Millisecond)
	if err != nil || f.sent == 0 || f.arrived == 0 || f.arrived > f.sent*1.01 || f.work < 0 || f.work > float64(runtime.NumCPU()) {
		t.Errorf("%+v: %v", f, err)
	}
	if d, err := p.echo.roundTrip(); err != nil || d <= 0 {
		t.Errorf("round trip %v: %v", d, err)
	}
}

// The packets between the two routers are ESP, if they are to be.
func TestTunnelsBetweenTAPDevicesAreMeasured(t *testing.T) {
	netns.For(t)
	var out strings.Builder
	if err := tunnelsThroughTAP(t.Context(), Options{Rounds: 1, Each: 30 * time.Millisecond}, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1+(len(inside.Sizes)+1)*(1+len(tapWays)+1) || strings.Contains(out.String(), "-\n") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

func TestATunnelBetweenTAPDevicesSealsWhatPasses(t *testing.T) {
	lab := netns.For(t)
	ctx, stop := context.WithCancel(t.Context())
	p, wait, err := newTAPPath(ctx, lab, "tunnel", &inside.Suites[0])
	defer func() {
		stop()
		if err := wait(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	var came []*netns.Capture // each end of the cable sees what the other one sends
	for _, device := range []string{"a", "b"} {
		c, err := p.router.Capture(device)
		if err != nil {
			t.Fatal(err)
		}
		came = append(came, c)
	}
	defer p.close()
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	for i, c := range came {
		esp := 0
		for _, f := range c.Stop() {
			if f.Frame[12] != 8 || f.Frame[13] != 0 { // ARP
				continue
			}
			if f.Frame[23] != frame.ProtoESP {
				t.Errorf("in clear between the routers: % x", f.Frame[:42])
			}
			esp++
		}
		if esp < 10 {
			t.Errorf("end %d: %d packets of ten questions or answers", i, esp)
		}
	}
}

// Real connections, through the kernel and through a virtual server.
func TestConnectionsBesideTheKernelAreCounted(t *testing.T) {
	lab := netns.For(t)
	var built netns.Build
	t.Cleanup(built.Remove)
	binary, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]func(ctx context.Context, o Options, dir string, p *path) error{"kernel": startKernel, "server": startServer} {
		p, err := newPath(lab, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := start(t.Context(), Options{Binary: binary}, t.TempDir(), p); err != nil {
			t.Fatal(err)
		}
		if rate, err := p.connects(50 * time.Millisecond); err != nil || rate <= 0 { // how many is up to the machine
			t.Errorf("%s: %.0f connections a second: %v", name, rate, err)
		}
	}
}
