package path

import "spigate/tests/bench/bed"

// Ways are what is compared. The limits that decide nothing are xdpgen's.
func Ways() []bed.Variant {
	both := []bed.Place{bed.TwoCores, bed.OneCore}
	return []bed.Variant{
		{Name: Forward, Places: both, Start: kernelForward},
		{Name: Masquerade, Places: both, Start: kernelMasquerade},
		{Name: SlowPath, Places: both[:1], Start: slow.start},
		{Name: FastPath, Places: both[:1], Start: fast.start},
		{Name: XDP, Places: both[1:], Start: xdp.start},
	}
}
