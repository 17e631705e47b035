package frame

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var plain = append([]byte{1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 8, 0}, "payload"...)

func tagged(vlan ...byte) []byte {
	return append(append(bytes.Clone(plain[:12]), append([]byte{0x81, 0}, vlan...)...), plain[12:]...)
}

func TestATagIsTakenOutAndPutBack(t *testing.T) {
	f := Copy(tagged(0, 20), 0)
	f.StripTag()
	if d := cmp.Diff(plain, f.Bytes()); d != "" || f.VLAN != 20 {
		t.Fatalf("VLAN %d %s", f.VLAN, d)
	}
	if f.Dst() != MAC(plain[:6]) || f.Src() != MAC(plain[6:12]) || f.EtherType() != TypeIPv4 || string(f.Payload()) != "payload" {
		t.Errorf("% x", f.Bytes())
	}
	f.VLAN = 4094
	if !f.PushTag() || f.VLAN != 0 {
		t.Errorf("VLAN %d is left", f.VLAN)
	}
	if d := cmp.Diff(tagged(0x0f, 0xfe), f.Bytes()); d != "" {
		t.Error(d)
	}
}

func TestStripTagLeavesWhatIsNoTag(t *testing.T) {
	for name, b := range map[string][]byte{
		"untagged":        plain,
		"cut in the tag":  tagged(0, 20)[:17],
		"13 bytes":        plain[:13],
		"nothing":         nil,
		"service tag":     append(append(bytes.Clone(plain[:12]), 0x88, 0xa8, 0, 20), plain[12:]...),
		"only a tag type": append(bytes.Clone(plain[:12]), 0x81, 0),
	} {
		f := Copy(b, 7)
		f.StripTag()
		if f.VLAN != 7 || !bytes.Equal(f.Bytes(), b) {
			t.Errorf("%s: VLAN %d, % x", name, f.VLAN, f.Bytes())
		}
	}
}

func TestPriorityBitsAreNoPartOfTheVLAN(t *testing.T) {
	for tci, want := range map[[2]byte]uint16{{0xe0, 20}: 20, {0xff, 0xff}: 4095, {0xa0, 0}: 0} {
		f := Copy(tagged(tci[0], tci[1]), 0)
		if f.StripTag(); f.VLAN != want || f.Len() != len(plain) {
			t.Errorf("% x: VLAN %d of %d bytes", tci, f.VLAN, f.Len())
		}
	}
}

func TestPushTagNeedsRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		f  Frame
		ok bool
	}{
		"no tag wanted": {New(bytes.Clone(plain), 0, len(plain), 0), true},
		"no headroom":   {New(bytes.Clone(plain), 0, len(plain), 20), false},
		"three bytes":   {New(append(make([]byte, 3), plain...), 3, 3+len(plain), 20), false},
		"four bytes":    {New(append(make([]byte, 4), plain...), 4, 4+len(plain), 20), true},
		"no frame":      {Copy(plain[:13], 20), false},
	} {
		before := bytes.Clone(tt.f.Bytes())
		if got := tt.f.PushTag(); got != tt.ok {
			t.Errorf("%s: %v", name, got)
		}
		if !tt.ok && !bytes.Equal(before, tt.f.Bytes()) {
			t.Errorf("%s: changed to % x", name, tt.f.Bytes())
		}
	}
}

func TestPushAndStripUndoEachOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), HeaderLen, 64).Draw(t, "frame")
		vlan := rapid.Uint16Range(1, 4095).Draw(t, "vlan")
		f := Copy(b, vlan)
		if !f.PushTag() {
			t.Fatal("no room")
		}
		if f.StripTag(); f.VLAN != vlan || !bytes.Equal(f.Bytes(), b) {
			t.Fatalf("VLAN %d, % x", f.VLAN, f.Bytes())
		}
	})
}

func TestSetMACs(t *testing.T) {
	f := Copy(plain, 0)
	f.SetMACs(MAC{9, 9, 9, 9, 9, 9}, MAC{8, 8, 8, 8, 8, 8})
	if f.Dst() != (MAC{9, 9, 9, 9, 9, 9}) || f.Src() != (MAC{8, 8, 8, 8, 8, 8}) || !bytes.Equal(f.Bytes()[12:], plain[12:]) {
		t.Errorf("% x", f.Bytes())
	}
}

// A batch of frames is copied about; one cache line each is what it may cost.
func TestAFrameFitsACacheLine(t *testing.T) {
	if n := unsafe.Sizeof(Frame{}); n > 64 {
		t.Errorf("%d bytes", n)
	}
	if unsafe.Sizeof(Addr{}) != 4 || unsafe.Sizeof(Endpoint{}) != 6 || unsafe.Sizeof(MAC{}) != 6 {
		t.Error("a key has grown")
	}
}
