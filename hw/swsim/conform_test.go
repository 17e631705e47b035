package swsim

import (
	"fmt"
	"testing"

	"spigate/hw"
	"spigate/hw/hwtest"
)

// The suite asks after every change where a frame would go; here one is sent.
func TestItIsAChipAsAnyOther(t *testing.T) {
	hwtest.Run(t, hwtest.Options{
		Open: func(t testing.TB) hw.Chip { b := newBench(t, 0); return &watched{b.s, b, nil} },
		SetLink: func(c hw.Chip, port string, up bool) {
			w := c.(*watched)
			w.b.ports[port].setDown(!up)
			w.Look()
		},
		Observe: func(c hw.Chip, step func(string, hwtest.Reach)) { c.(*watched).step = step },
	})
}

// watched is a switch whose observer is called after everything that changes it.
type watched struct {
	*Switch
	b    *bench
	step func(what string, r hwtest.Reach)
}

func (w *watched) after(err error, what ...any) error {
	if err == nil && w.step != nil {
		w.step(fmt.Sprint(what...), w.b.reach)
	}
	return err
}

func (w *watched) SetVLAN(v hw.VLAN) error { return w.after(w.Switch.SetVLAN(v), "set ", v) }
func (w *watched) RemoveVLAN(id uint16) error {
	return w.after(w.Switch.RemoveVLAN(id), "remove ", id)
}
func (w *watched) SetMTU(mtu int) error    { return w.after(w.Switch.SetMTU(mtu), "mtu ", mtu) }
func (w *watched) Flush(port string) error { return w.after(w.Switch.Flush(port), "flush ", port) }

func (w *watched) SetPVID(port string, vlan uint16) error {
	return w.after(w.Switch.SetPVID(port, vlan), "pvid ", port, vlan)
}

func (w *watched) SetPort(port string, on bool) error {
	return w.after(w.Switch.SetPort(port, on), "port ", port, on)
}

// reach sends a broadcast and returns by which ports it left.
func (b *bench) reach(from string, tag uint16) (out []hwtest.Out) {
	var tags []uint16
	if tag != 0 {
		tags = []uint16{tag}
	}
	for port, frames := range b.send(from, ether(everybody, carol, "x", tags...)) {
		f := framed(frames[0])
		tci, _ := f.tag()
		out = append(out, hwtest.Out{Port: port, Tag: tci & vlanBits})
	}
	return out
}
