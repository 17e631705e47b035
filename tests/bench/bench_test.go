package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheMiddleAndTheEdgesOfASample(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.5, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 3, 2, 1}, 0.5, 2},
		{[]float64{5, 4, 3, 2, 1}, 0.99, 5},
		{[]float64{5, 4, 3, 2, 1}, 1, 5},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %v is %v, want %v", c.q, c.values, got, c.want)
		}
	}
}

func TestATableLinesUpItsColumns(t *testing.T) {
	var out strings.Builder
	tab := table{head: []string{"way", "kpps"}}
	tab.row("kernel", "1000")
	tab.print(&out)
	if want := "way      kpps\nkernel   1000\n\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if got := ratio(1, 0); got != "-" {
		t.Errorf("a ratio to nothing is %q", got)
	}
}

func TestSamplePacketsAreWellFormedAndForTheFastPath(t *testing.T) {
	for _, proto := range []uint8{frame.ProtoESP, frame.ProtoUDP, frame.ProtoTCP, frame.ProtoICMP} {
		f := frame.Copy(samplePacket(proto), 0)
		if _, ok := flow.KeyOf(&f); !ok {
			t.Errorf("protocol %d: not for the fast path", proto)
		}
	}
	ip := header.IPv4(samplePacket(frame.ProtoUDP)[frame.HeaderLen:])
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), ip.PayloadLength())
	if checksum.Checksum(ip.Payload(), sum) != 0xffff {
		t.Error("the UDP checksum is wrong")
	}
}

func TestEveryCaseRunsOnce(t *testing.T) {
	for _, c := range cases {
		if r := testing.Benchmark(func(b *testing.B) { c.run(b) }); r.N == 0 || r.AllocsPerOp() != 0 && c.name != slowName {
			t.Errorf("%s: %d turns, %d allocations", c.name, r.N, r.AllocsPerOp())
		}
	}
}

// What is sent is counted at the far end: the instrument itself, on a path
// through the kernel.
func TestAFloodThroughTheKernelIsCounted(t *testing.T) {
	lab := netns.For(t)
	p, err := newPath(lab, "kernel")
	if err != nil {
		t.Fatal(err)
	}
	if err := startKernel(t.Context(), options{}, "", p); err != nil {
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

// Each suite is sealed and opened, and the bare cipher makes the same packets:
// it says so if it does not.
func TestESPIsMeasuredBesideTheBareCipher(t *testing.T) {
	var out strings.Builder
	if err := ciphers(1, 3, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != len(sizes)*(1+len(espSuites)+1) || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	e, err := newESP(espSuites[2], 100)
	if err != nil {
		t.Fatal(err)
	}
	e.bare.mac = hmac.New(sha256.New, []byte("another key"))
	if _, err := e.times(1); err == nil {
		t.Error("with another key the packets are the same")
	}
}

// What does not come out of a router is told, so all of it did.
func TestTunnelsAreMeasuredBesideTheSamePacketsInClear(t *testing.T) {
	var out strings.Builder
	if err := gateways(2, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != len(sizes)*(1+len(tunnelWays())+1) || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	g, err := newGateway(&espSuites[0])
	if err != nil {
		t.Fatal(err)
	}
	defer g.r.Close()
	l := &lap{tunnelWay: tunnelWay{name: "another key", suite: &espSuites[0], port: 9999}, gateway: g, length: 100}
	if l.peer, err = ipsec.NewSA(ipsec.SAConfig{
		SPI: 0x1002, Outbound: true, Mode: ipsec.Tunnel, Suite: espSuites[0], Keys: ipsec.Keys{Encrypt: make([]byte, 20)},
		Local: benchServer.As4(), Remote: gateEnd.As4(),
	}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.pass(true); err == nil {
		t.Error("packets came out of a tunnel whose key is another one")
	}
}

// The packets between the two routers are ESP, if they are to be.
func TestTunnelsBetweenTAPDevicesAreMeasured(t *testing.T) {
	netns.For(t)
	var out strings.Builder
	if err := tunnelsThroughTAP(t.Context(), options{rounds: 1, each: 30 * time.Millisecond}, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1+(len(sizes)+1)*(1+len(tapWays)+1) || strings.Contains(out.String(), "-\n") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

func TestATunnelBetweenTAPDevicesSealsWhatPasses(t *testing.T) {
	lab := netns.For(t)
	ctx, stop := context.WithCancel(t.Context())
	p, wait, err := newTAPPath(ctx, lab, "tunnel", &espSuites[0])
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

func TestASmallCarrierIsMeasuredInAllWays(t *testing.T) {
	var out strings.Builder
	if err := (carrier{subscribers: 100, sessions: 1000, fresh: 200}).measure(&out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1+2*len(carrierModes)+1 || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

func TestConnectionsAreMeasuredByEveryListener(t *testing.T) {
	var out strings.Builder
	if err := connections(1, 50, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1+len(admissions())+1 || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	refused := admission{"nobody", netstack.RouterConfig{}}
	if _, err := refused.connect(1); err == nil {
		t.Error("a router that lets nothing through was measured")
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
	for name, start := range map[string]func(ctx context.Context, o options, dir string, p *path) error{"kernel": startKernel, "server": startServer} {
		p, err := newPath(lab, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := start(t.Context(), options{binary: binary}, t.TempDir(), p); err != nil {
			t.Fatal(err)
		}
		if rate, err := p.connects(50 * time.Millisecond); err != nil || rate <= 0 { // how many is up to the machine
			t.Errorf("%s: %.0f connections a second: %v", name, rate, err)
		}
	}
}
