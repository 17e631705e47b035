package traffic

import (
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

func someFlows(proto uint8) Flows {
	return Flows{
		Proto: proto, From: frame.MAC{2, 0, 0, 0, 0, 1}, To: frame.MAC{2, 0, 0, 0, 0, 2},
		Source: frame.Addr{10, 0, 0, 255}, Target: frame.Addr{203, 0, 113, 9}, PerSource: 3,
		SPI: 0xfffffffe, SourcePort: 1024, TargetPort: 53, Count: 10, Length: 1400,
	}
}

func TestFlowsDifferInTheirKeysAndAreWellFormed(t *testing.T) {
	for _, proto := range []uint8{frame.ProtoESP, frame.ProtoUDP} {
		f := someFlows(proto)
		keys := map[flow.Key]bool{}
		for i := range f.Count {
			b := f.Frame(i)
			if ip := header.IPv4(b[frame.HeaderLen:]); !ip.IsValid(f.Length) || !ip.IsChecksumValid() {
				t.Errorf("protocol %d, flow %d: % x", proto, i, b[:42])
			}
			if proto == frame.ProtoUDP {
				checkUDP(t, i, b)
			}
			one := frame.Copy(b, 0)
			k, ok := flow.KeyOf(&one)
			if !ok || keys[k] {
				t.Errorf("protocol %d, flow %d: key %+v, for the fast path: %v", proto, i, k, ok)
			}
			keys[k] = true
		}
	}
	a, id := (&Flows{Proto: frame.ProtoUDP, Source: frame.Addr{10, 0, 0, 255}, PerSource: 3, SourcePort: 1024, TargetPort: 53, Count: 10}).SourceOf(5)
	if a != (frame.Addr{10, 0, 1, 0}) || id != [4]byte{4, 2, 0, 53} {
		t.Errorf("flow 5 is %v, % x", a, id)
	}
}

func TestAllFaultsOfFlowsAreTold(t *testing.T) {
	f := Flows{Proto: frame.ProtoUDP, Count: MaxFlows + 1, SourcePort: 60000, Length: 20}
	err := f.check()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three faults: %v", err)
	}
	f = someFlows(frame.ProtoTCP)
	if err := f.check(); err == nil {
		t.Error("TCP is made")
	}
}

func TestAUniformSequenceHasEachFlowAsOften(t *testing.T) {
	for _, flows := range []int{1, 1000, 1_000_000} {
		seen := make([]int, flows)
		sequence := Uniform(flows, 1)
		for _, f := range sequence {
			seen[f]++
		}
		least, most := seen[0], seen[0]
		for _, n := range seen {
			least, most = min(least, n), max(most, n)
		}
		if len(sequence) != Draws || least == 0 || most-least > 1 {
			t.Errorf("%d flows, %d draws: between %d and %d times", flows, len(sequence), least, most)
		}
	}
}

func TestAZipfSequenceHasAFewBusyFlowsAnywhere(t *testing.T) {
	seen := map[uint32]int{}
	for _, f := range Zipf(100_000, 1) {
		seen[f]++
	}
	busiest, most := uint32(0), 0
	for f, n := range seen {
		if n > most {
			busiest, most = f, n
		}
	}
	if most < Draws/20 || most > Draws/3 || len(seen) < 10_000 {
		t.Errorf("flow %d has %d of %d draws; %d flows have any", busiest, most, Draws, len(seen))
	}
}

func TestOnceHasEachFlowBeforeAnyComesAgain(t *testing.T) {
	for i, f := range Once(1000)[:3000] {
		if int(f) != i%1000 {
			t.Fatalf("draw %d is flow %d", i, f)
		}
	}
}

func TestQuantilesOfAges(t *testing.T) {
	a := Ages{Count: 100, steps: make([]uint64, ageSteps)}
	a.steps[0], a.steps[9], a.steps[ageSteps-1] = 1, 98, 1
	for q, want := range map[float64]time.Duration{0: 64, 0.5: 640, 0.99: 640, 1: ageSteps << ageShift} {
		if got := a.Quantile(q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if got := (&Ages{}).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
