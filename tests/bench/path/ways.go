package path

import (
	"context"
	"io"
	"net/netip"
	"time"

	"spigate/netstack/frame"
	"spigate/tests/bench/bare"
	"spigate/tests/bench/bed"
	"spigate/tests/bench/traffic"
)

// The names of the ways.
const (
	Forward    = "Linux ip_forward"
	Masquerade = "nft masquerade"
	SlowPath   = "spigate, slow path"
	FastPath   = "spigate, AF_PACKET"
	XDP        = "spigate, XDP"
	Loop       = "bare receive-send loop"
	Redirect   = "bare XDP redirect"
)

// Ways are what is compared: two of the kernel, three of spigate, and two limits
// that decide nothing.
func Ways() []bed.Variant {
	both := []bed.Place{bed.TwoCores, bed.OneCore}
	return []bed.Variant{
		{Name: Forward, Places: both, Leaves: untranslated, Start: kernelForward},
		{Name: Masquerade, Places: both, Leaves: masqueraded, Start: kernelMasquerade},
		{Name: SlowPath, Places: both[:1], Leaves: translated, Hook: traffic.AtTC, Start: slow.start},
		{Name: FastPath, Places: both[:1], Leaves: translated, Hook: traffic.AtTC, Start: fast.start},
		{Name: XDP, Places: both[1:], Leaves: translated, Start: xdp.start},
		{Name: Loop, Places: both[:1], Leaves: untranslated, Hook: traffic.AtTC, Start: bareLoop},
		{Name: Redirect, Places: both[1:], Leaves: untranslated, Start: bareRedirect},
	}
}

func untranslated(uint8) netip.Prefix { return bed.Inside.Masked() }

func masqueraded(uint8) netip.Prefix { return netip.PrefixFrom(bed.Outside.Addr(), 32) }

// translated is where spigate's configuration has packets leave from.
func translated(proto uint8) netip.Prefix {
	if proto == frame.ProtoESP {
		return netip.MustParsePrefix("203.0.113.3/32")
	}
	return netip.MustParsePrefix("203.0.113.64/26")
}

// bareRedirect sends every frame on as it is.
func bareRedirect(_ context.Context, b *bed.Bed, _ bed.Setup) (bed.Running, error) {
	c, err := traffic.Redirect(b.Router, "lan", "wan")
	return limit{closer: c}, err
}

// bareLoop sends every frame on with other Ethernet addresses, through the
// router's own driver.
func bareLoop(_ context.Context, b *bed.Bed, s bed.Setup) (bed.Running, error) {
	l, err := bare.Start(b.Router, bare.Config{From: "lan", To: "wan", Next: b.SinkMAC, CPU: bed.ForwardCPU, Dir: s.Dir})
	if err != nil {
		return nil, err
	}
	return limit{closer: l, worked: l.Worked}, nil
}

// limit is a way that only passes frames on, and has no flows.
type limit struct {
	bed.Kernel
	closer io.Closer
	worked func() (time.Duration, error) // nil: it has no thread
}

// Close implements bed.Running.
func (l limit) Close() error { return l.closer.Close() }

// Worked implements bed.Running.
func (l limit) Worked() (time.Duration, error) {
	if l.worked == nil {
		return 0, nil
	}
	return l.worked()
}
