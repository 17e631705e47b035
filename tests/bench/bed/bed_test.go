package bed

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
	"spigate/tests/bench/traffic"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAllFlowsAreDifferentAndNoneMeansAnything(t *testing.T) {
	type flow struct {
		src frame.Addr
		id  [4]byte
	}
	for _, proto := range []uint8{frame.ProtoESP, frame.ProtoUDP} {
		f := Traffic{Proto: proto, Flows: traffic.MaxFlows, Length: 100}.Of(&Bed{})
		seen := make(map[flow]bool, f.Count)
		for n := range f.Count {
			src, id := f.SourceOf(n)
			if seen[flow{src, id}] || !Inside.Contains(netip.AddrFrom4(src)) || src == Source.As4() {
				t.Fatalf("protocol %d, flow %d: %v %x is another's, or not a subscriber's", proto, n, src, id)
			}
			from, to := binary.BigEndian.Uint16(id[:]), binary.BigEndian.Uint16(id[2:])
			if proto == frame.ProtoUDP && (src == Subscriber.As4() || from < 10000 || to < 10000) {
				t.Fatalf("flow %d: %v %d to %d is the VPN client's, or a port that means something", n, src, from, to)
			}
			if proto == frame.ProtoESP && from == 0 && to < 256 {
				t.Fatalf("flow %d: SPI %x is reserved (RFC 4303, 2.1)", n, id)
			}
			seen[flow{src, id}] = true
		}
	}
}

// A NAT with one address has 64,512 ports towards each port of a server.
func TestAHundredThousandFlowsFitBehindOneAddress(t *testing.T) {
	f := Traffic{Proto: frame.ProtoUDP, Flows: 100_000, Length: 100}.Of(&Bed{})
	towards := map[uint16]int{}
	for n := range f.Count {
		_, id := f.SourceOf(n)
		towards[binary.BigEndian.Uint16(id[2:])]++
	}
	for port, n := range towards {
		if n > 1000 {
			t.Fatalf("%d flows to port %d", n, port)
		}
	}
}

func TestTrafficIsNamedForPeople(t *testing.T) {
	for want, tr := range map[string]Traffic{
		"ESP 100 B, 1 flows":          {Proto: frame.ProtoESP, Flows: 1, Length: 100},
		"UDP 1400 B, 1,000,000 flows": {Proto: frame.ProtoUDP, Flows: 1_000_000, Length: 1400},
	} {
		if got := tr.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What works is what is counted: this thread is the process's only busy one.
func TestTheTimeOfAProcessGrowsWithItsWork(t *testing.T) {
	before, err := ProcessWorked(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := netns.Monotonic(); netns.Monotonic()-start < int64(30*time.Millisecond); {
	}
	after, err := ProcessWorked(os.Getpid())
	if err != nil || after-before <= 0 || after-before > time.Second {
		t.Errorf("%v of work: %v", after-before, err)
	}
	if _, err := ProcessWorked(1 << 30); err == nil {
		t.Error("a process that is not there has worked")
	}
}
