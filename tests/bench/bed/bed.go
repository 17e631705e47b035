package bed

import (
	"errors"
	"fmt"
	"net/netip"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

// The addresses of a bed. Subscribers fill the inside network; ESP comes from
// one of them, which has a NAT address of its own.
var (
	Inside      = netip.MustParsePrefix("100.64.0.1/10") // the router, inside
	Source      = netip.MustParseAddr("100.64.0.9")      // the source's own address, from which nothing is sent
	Subscriber  = netip.MustParseAddr("100.64.0.10")     // of ESP
	Subscribers = netip.MustParseAddr("100.64.1.0")      // the first one of UDP
	Outside     = netip.MustParsePrefix("203.0.113.2/24")
	Remote      = netip.MustParsePrefix("203.0.113.254/24")
)

// The cores of a measurement.
const (
	SenderCPU  = 0
	ForwardCPU = 1
)

// Bed is one way from a source to a sink, with a router's place in between.
// Every neighbour that a kernel needs is known to it beforehand; spigate finds
// its own by ARP, which the source and the sink answer.
type Bed struct {
	Name                 string
	Source, Router, Sink *netns.Namespace

	// Addresses of the devices: eth0 of the source, lan and wan of the router,
	// eth0 of the sink.
	SourceMAC, LANMAC, WANMAC, SinkMAC frame.MAC

	lab *netns.Lab
}

// Lay makes the namespaces and cables of a bed.
func Lay(name string) (b *Bed, err error) {
	b = &Bed{Name: name, lab: netns.New()}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", name, errors.Join(err, b.Close()))
		}
	}()
	for _, n := range []struct {
		name string
		to   **netns.Namespace
	}{{"source", &b.Source}, {"router", &b.Router}, {"sink", &b.Sink}} {
		if *n.to, err = b.lab.Namespace(n.name); err != nil {
			return b, err
		}
	}
	err = errors.Join(
		b.lab.Wire(netns.End{In: b.Source, Device: "eth0"}, netns.End{In: b.Router, Device: "lan"}),
		b.lab.Wire(netns.End{In: b.Router, Device: "wan"}, netns.End{In: b.Sink, Device: "eth0"}),
		b.Source.Address("eth0", netip.PrefixFrom(Source, Inside.Bits())),
		b.Sink.Address("eth0", Remote),
		b.Source.Route(netip.MustParsePrefix("0.0.0.0/0"), Inside.Addr()),
		b.Sink.Route(Inside, Outside.Addr()),
		b.Source.Do(func() error { return setGRO("eth0", true) }),
		b.learn(),
	)
	return b, err
}

// learn reads the devices' addresses.
func (b *Bed) learn() error {
	for _, d := range []struct {
		in     *netns.Namespace
		device string
		to     *frame.MAC
	}{
		{b.Source, "eth0", &b.SourceMAC}, {b.Router, "lan", &b.LANMAC},
		{b.Router, "wan", &b.WANMAC}, {b.Sink, "eth0", &b.SinkMAC},
	} {
		mac, err := d.in.MAC(d.device)
		if err != nil {
			return err
		}
		*d.to = frame.MAC(mac)
	}
	return nil
}

// Batched has the router's lan receive in batches (NAPI, by way of GRO), as the
// source does from the beginning: a veth device takes XDP frames in no other way,
// and silently drops them otherwise.
// Nothing that is sent here is merged by it. Call it after the Variant has
// started: spigate turns GRO off on the ports it takes.
func (b *Bed) Batched() error {
	return b.Router.Do(func() error { return setGRO("lan", true) })
}

// Close removes the bed with everything that was started on it.
func (b *Bed) Close() error { return b.lab.Close() }
