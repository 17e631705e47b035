package link

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestATagBehindAPriorityTagChoosesNoVLAN(t *testing.T) {
	bothVersions(t, func(t *testing.T, v int) {
		drops := new(drop.Counters)
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b", Version: v, Drops: drops})
		plain := testFrames(1, 100)[0].Bytes()
		hidden := append(append(append([]byte(nil), plain[:12]...), 0x81, 0, 0xa0, 0, 0x81, 0, 0, 20), plain[12:]...)
		sendAll(t, a, frame.Copy(hidden, 0), frame.Copy(plain, 0))
		if f := readFrames(t, b, 1)[0]; f.VLAN != 0 || f.Len() != len(plain) {
			t.Errorf("read %x in VLAN %d", f.Bytes(), f.VLAN)
		}
		if drops.Get(drop.DoubleTagged) != 1 {
			t.Errorf("%d drops, want 1", drops.Get(drop.DoubleTagged))
		}
	})
}

func TestAServiceTagIsNotOneOfOurVLANs(t *testing.T) {
	bothVersions(t, func(t *testing.T, v int) {
		drops := new(drop.Counters)
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b", Version: v, Drops: drops})
		plain := testFrames(1, 100)[0].Bytes()
		tagged := append(append(append([]byte(nil), plain[:12]...), 0x88, 0xa8, 0, 20), plain[12:]...)
		sendAll(t, a, frame.Copy(tagged, 0), frame.Copy(plain, 0))
		if f := readFrames(t, b, 1)[0]; f.VLAN != 0 || f.Len() != len(plain) {
			t.Errorf("read %x", f.Bytes())
		}
		if drops.Get(drop.DoubleTagged) != 1 {
			t.Errorf("%d drops, want 1", drops.Get(drop.DoubleTagged))
		}
	})
}
