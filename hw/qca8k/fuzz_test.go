package qca8k_test

import (
	"encoding/binary"
	"testing"

	"spigate/hw"
	"spigate/hw/qca8k"
)

// noise is a bus that answers with bytes of a fuzzer, over and over.
type noise struct {
	bytes []byte
	at    int
	reads int
	id    uint16
}

func (n *noise) Read(phy, reg int) (uint16, error) {
	n.reads++
	if phy == 0x10 && reg == 0 && n.reads%7 != 0 {
		return n.id, nil // most looks at the id find it
	}
	if len(n.bytes) < 2 {
		return 0, nil
	}
	v := binary.LittleEndian.Uint16(n.bytes[n.at:])
	n.at = (n.at + 2) % (len(n.bytes) - 1)
	return v, nil
}

func (n *noise) Write(int, int, uint16) error { return nil }
func (n *noise) Close() error                 { return nil }

// FuzzAChipThatReadsAsAnything: no panic, no row that cannot be, and an end.
func FuzzAChipThatReadsAsAnything(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff})
	f.Add([]byte{0x00, 0x80, 0xff, 0xff, 0x01, 0x00})
	f.Add([]byte("\x05\x00\x14\x00\xf0\xff\x19\x00\x05\x00\x15\x00"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		bus := &noise{bytes: bytes, id: 0x1302}
		c := config("qca8337", 0)
		c.Bus = bus
		chip, err := qca8k.Open(c)
		if err != nil {
			return
		}
		_ = chip.Prepare()
		is, err := chip.Table()
		for i, v := range is.VLANs {
			if v.ID == 0 || i > 0 && is.VLANs[i-1].ID >= v.ID || len(v.Tagged)+len(v.Untagged) == 0 {
				t.Errorf("row %+v after %v", v, err)
			}
		}
		_, _ = hw.Apply(chip, plan())
		_, _ = chip.Links()
		_, _ = chip.Counters()
		_ = chip.Flush("lan1")
		_ = chip.SetMTU(1500)
		if bus.reads > 600_000 {
			t.Errorf("%d reads", bus.reads)
		}
	})
}
