package programs

import (
	"encoding/json"
	"strings"
	"testing"

	"spigate/tests/netns"
)

// anyone is a group without profiles: NetScaler's defaults.
const anyone = `
[lsn.group.G]
client = "C"
pools = ["P"]
`

// iperf runs a transfer of two seconds and returns the bytes that arrived.
func (p *place) iperf(from *netns.Namespace, to string, args ...string) float64 {
	p.t.Helper()
	out := p.run(from, "iperf3", append([]string{"-c", to, "-t", "2", "-J"}, args...)...)
	var report struct {
		End struct {
			Received struct{ Bytes float64 } `json:"sum_received"`
			Sum      struct {
				Bytes float64
				Lost  float64 `json:"lost_percent"`
			}
		}
	}
	p.must(json.Unmarshal([]byte(out), &report))
	return max(report.End.Received.Bytes, report.End.Sum.Bytes*(1-report.End.Sum.Lost/100))
}

func TestIperf3BothWays(t *testing.T) {
	p := settle(t, anyone)
	p.start(p.Gateway, "listening", "iperf3", "-s", "--forceflush")
	for _, args := range [][]string{{}, {"-R"}, {"-P", "4"}, {"-u", "-b", "5M"}, {"-u", "-b", "5M", "-R"}} {
		// A router that works moves some hundred megabits even on a busy machine
		// with the race detector on; one that loses segments, a few kilobytes.
		if got := p.iperf(p.Client1, netns.Remote.Addr().String(), args...); got < 500_000 {
			t.Errorf("iperf3 %s: %.0f bytes in two seconds", strings.Join(args, " "), got)
		}
	}
	var status []netns.StatusRow
	p.must(p.daemon.Show(p.ctx, &status, "status"))
	if fast := status[0].FastHits; fast < 1000 {
		t.Errorf("%d frames took the fast path", fast)
	}
}

func TestTracerouteSeesEveryHop(t *testing.T) {
	p := settle(t, anyone)
	_, server := p.farAway(1500)
	for _, how := range []string{"-U", "-I", "-T"} {
		// One at a time: of many at once the server's kernel answers the first six,
		// whichever come first through a router that receives by several threads.
		out := p.run(p.Client1, "traceroute", "-n", "-q", "1", "-N", "1", "-w", "5", how, server.String())
		for _, hop := range []string{" 1  192.0.2.1 ", " 2  203.0.113.254 ", " 3  198.51.100.7 "} {
			if !strings.Contains(out, hop) {
				t.Errorf("traceroute %s lacks %q:\n%s", how, hop, out)
			}
		}
	}
}

// The gateway's answer "too big" is about a packet from the NAT address; only
// if it reaches the client with the client's own address in it does TCP learn.
func TestPathMTUIsFoundOverASmallLinkBehindTheGateway(t *testing.T) {
	p := settle(t, anyone)
	far, server := p.farAway(1500)
	p.run(p.Gateway, "ip", "route", "change", "198.51.100.0/24", "dev", "far", "src", "198.51.100.1", "mtu", "lock", "1200")
	if out := p.run(p.Client2, "traceroute", "-n", "-q", "1", "-w", "5", "--mtu", server.String()); !strings.Contains(out, "F=1200") {
		t.Errorf("traceroute --mtu does not find 1200:\n%s", out)
	}
	p.start(far, "listening", "iperf3", "-s", "--forceflush")
	if got := p.iperf(p.Client1, server.String()); got < 500_000 {
		t.Errorf("%.0f bytes in two seconds", got)
	}
	p.learnt(p.Client1, server.String(), "1200")
}

// Here it is spigate that says "too big", about a packet to its NAT address.
func TestPathMTUIsFoundOverASmallLinkInside(t *testing.T) {
	p := settle(t, anyone, 1200)
	far, server := p.farAway(1500)
	p.start(far, "listening", "iperf3", "-s", "--forceflush")
	if got := p.iperf(p.Client1, server.String(), "-R"); got < 500_000 {
		t.Errorf("%.0f bytes in two seconds", got)
	}
	p.learnt(far, "203.0.113.3", "1200")
}

// learnt looks for an MTU among the exceptions that a host keeps of its routes.
func (p *place) learnt(host *netns.Namespace, to, mtu string) {
	p.t.Helper()
	if out := p.run(host, "ip", "route", "get", to); !strings.Contains(out, "mtu "+mtu) {
		p.t.Errorf("the sender has not learnt that the path to %s has an MTU of %s: %s", to, mtu, out)
	}
}
