package link

import (
	"slices"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// marker knows every frame by one mark.
type marker uint32

func (m marker) Received(*Port, *frame.Frame, int64) uint32 { return uint32(m) }
func (marker) Wants(uint32) bool                            { return false }
func (marker) Hit([]byte, *frame.Frame, int64)              {}
func (marker) Delivered(*frame.Frame, int64)                {}
func (marker) Sent(*Port, *frame.Frame, int64)              {}

func TestWhoLooksOnIsToldWhoseDropItIs(t *testing.T) {
	const mark = 0x5000
	for why, raw := range map[drop.Reason][]byte{
		drop.IPMalformed:  ether(routerMAC, hostMAC, 0, frame.TypeIPv4, make([]byte, 20)),
		drop.EtherType:    ether(routerMAC, hostMAC, 0, 0x86dd, ip(40)),
		drop.ARPMalformed: ether(routerMAC, hostMAC, 0, frame.TypeARP, make([]byte, 9)),
		drop.VLANUnknown:  ether(routerMAC, hostMAC, 0, frame.TypeIPv4, ip(40)), // nobody is above the interface
	} {
		b := newBench(Config{})
		i, _ := b.add(t, 3, 0)
		i.Attach(nil)
		var told []drop.Dropped
		b.drops.SetWatch(func(d drop.Dropped) {
			d.Packet = slices.Clone(d.Packet)
			told = append(told, d)
		})
		b.fabric.SetOnlooker(marker(mark))
		b.input(raw)
		if len(told) != 1 || told[0].Reason != why || told[0].In != 3 || told[0].Mark != mark {
			t.Errorf("%v: %+v", why, told)
		}
	}
}
