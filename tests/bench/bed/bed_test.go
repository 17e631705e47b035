package bed

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const million = 1_000_000

func TestAMillionFlowsAreAllDifferentAndNoneIsReserved(t *testing.T) {
	for _, proto := range []uint8{frame.ProtoESP, frame.ProtoUDP} {
		seen := make(map[Flow]bool, million)
		for n := range million {
			f := Traffic{Proto: proto}.Flow(n)
			if seen[f] || !Inside.Contains(f.Src) || f.Src == Source {
				t.Fatalf("protocol %d, flow %d: %+v is another's, or not a subscriber's", proto, n, f)
			}
			if low, high := f.ID&0xffff, f.ID>>16; proto == frame.ProtoESP && f.ID < 256 || proto == frame.ProtoUDP && (low < 5000 || high < 5000) {
				t.Fatalf("protocol %d, flow %d: %+v means something", proto, n, f)
			}
			seen[f] = true
		}
	}
}

func TestFramesHaveRightChecksums(t *testing.T) {
	b := &Bed{}
	for _, length := range []int{100, 1400} {
		for n := range 100 {
			f := Traffic{Proto: frame.ProtoUDP, Length: length}.Frame(b, n)
			ip := header.IPv4(f[frame.HeaderLen:])
			sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), ip.PayloadLength())
			if !ip.IsChecksumValid() || int(ip.TotalLength()) != length || checksum.Checksum(ip.Payload(), sum) != 0xffff {
				t.Fatalf("flow %d: % x", n, f[:60])
			}
		}
	}
}

func TestFlowsShareAlikeOrByZipfsLaw(t *testing.T) {
	const flows, packets = 1000, 200_000
	for _, s := range []float64{0, 1.1} {
		tr := Traffic{Proto: frame.ProtoESP, Flows: flows, Zipf: s}
		counts := make([]float64, flows)
		order := tr.Draw(packets)
		for _, n := range order {
			counts[n]++
		}
		norm := 0.0
		for k := range flows {
			norm += math.Pow(float64(1+k), -s)
		}
		hot := tr.Every()[0] // the flow of the first rank
		want := float64(len(order)) / norm
		if got := counts[hot]; math.Abs(got-want) > want/20 {
			t.Errorf("s=%.1f: the hottest flow has %.0f of %d packets, expected about %.0f", s, got, len(order), want)
		}
		for n, c := range counts {
			if s == 0 && c != counts[0] {
				t.Fatalf("uniform, but flow %d has %.0f packets and flow 0 %.0f", n, c, counts[0])
			}
		}
	}
}

func TestATrafficIsDrawnAlikeEachTime(t *testing.T) {
	tr := Traffic{Proto: frame.ProtoUDP, Flows: 500, Zipf: 1.1}
	a, b := tr.Draw(1000), tr.Draw(1000)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("packet %d is of flow %d, then of flow %d", i, a[i], b[i])
		}
	}
}

func TestTrafficIsNamedForPeople(t *testing.T) {
	for want, tr := range map[string]Traffic{
		"ESP 100 B, 1 flows":                   {Proto: frame.ProtoESP, Flows: 1, Length: 100},
		"UDP 1400 B, 1,000,000 flows, uniform": {Proto: frame.ProtoUDP, Flows: million, Length: 1400},
		"ESP 100 B, 1,000 flows, Zipf 1.1":     {Proto: frame.ProtoESP, Flows: 1000, Zipf: 1.1, Length: 100},
	} {
		if got := tr.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The sender sends the drawn order, each flow's own frame, and what arrives is
// counted: a cable with nobody in between.
func TestEachFlowIsSentOnceAndCounted(t *testing.T) {
	b, err := Lay("cable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := b.Router.Capture("lan")
	if err != nil {
		t.Fatal(err)
	}
	tr := Traffic{Proto: frame.ProtoUDP, Flows: 200, Length: 100}
	s, err := NewPacketSender(b, tr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sent, err := s.Once(50_000)
	if err != nil || sent.Packets != 200 || sent.Worked <= 0 || sent.Took < 3*time.Millisecond {
		t.Fatalf("%+v: %v", sent, err)
	}
	frames := map[string]bool{}
	for _, f := range c.Stop() {
		if binary.BigEndian.Uint16(f.Frame[12:]) == frame.TypeIPv4 {
			frames[string(f.Frame)] = true
		}
	}
	for n := range tr.Flows {
		if !frames[string(tr.Frame(b, n))] {
			t.Fatalf("flow %d was not sent, or another frame of it", n)
		}
	}
}
