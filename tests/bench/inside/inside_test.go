package inside

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack"
	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/tests/bench/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// Each suite is sealed and opened, and the bare cipher makes the same packets:
// it says so if it does not.
func TestESPIsMeasuredBesideTheBareCipher(t *testing.T) {
	var out strings.Builder
	if err := ciphers(1, 3, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != len(Sizes)*(1+len(Suites)+1) || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	e, err := newESP(Suites[2], 100)
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
	if n := strings.Count(out.String(), "\n"); n != len(Sizes)*(1+len(tunnelWays())+1) || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	g, err := newGateway(&Suites[0])
	if err != nil {
		t.Fatal(err)
	}
	defer g.r.Close()
	l := &lap{tunnelWay: tunnelWay{name: "another key", suite: &Suites[0], port: 9999}, gateway: g, length: 100}
	if l.peer, err = ipsec.NewSA(ipsec.SAConfig{
		SPI: 0x1002, Outbound: true, Mode: ipsec.Tunnel, Suite: Suites[0], Keys: ipsec.Keys{Encrypt: make([]byte, 20)},
		Local: benchServer.As4(), Remote: gateEnd.As4(),
	}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.pass(true); err == nil {
		t.Error("packets came out of a tunnel whose key is another one")
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

func TestTheHitPathIsMeasuredForEachGoal(t *testing.T) {
	var out strings.Builder
	f := report.Figures{}
	if err := HitPath(1, 1000, f, &out); err != nil {
		t.Fatal(err)
	}
	if len(f[report.HitAt1k]) != 1 || f[report.HitAt1k][0] <= 0 || f[report.HitAllocs][0] != 0 || f[report.FlowMemory][0] > 160 || len(f) != 3 {
		t.Errorf("%v\n%s", f, out.String())
	}
}
