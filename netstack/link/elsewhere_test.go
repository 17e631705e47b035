package link

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
)

func TestWhatTheKernelForwardsIsCountedByItsInterfaces(t *testing.T) {
	f := NewFabric(Config{})
	mine, _ := NewPair(routerMAC, hostMAC, 1500)
	p := f.AddPort("lan", mine)
	for id, vlan := range []uint16{0, 7} {
		if _, err := p.AddInterface(frame.Interface(id+1), "vlan", vlan); err != nil {
			t.Fatal(err)
		}
	}
	f.Elsewhere(1, 2, 3, 300)
	f.Elsewhere(9, 9, 1, 1) // gone in the meantime
	got := f.Counters()
	want := got[0]
	want.RxFrames, want.RxBytes, want.Offloaded = 3, 342, 3
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("where they came in (-want +got):\n%s", diff)
	}
	if out := got[1]; out.TxFrames != 3 || out.TxBytes != 342 || out.RxFrames != 0 || out.Offloaded != 0 {
		t.Errorf("where they left: %+v", out)
	}
}
