package bed

import (
	"fmt"

	"spigate/netstack/frame"
	"spigate/tests/bench/traffic"
)

// Traffic is what a measurement sends.
type Traffic struct {
	Proto  uint8 // frame.ProtoESP or frame.ProtoUDP
	Flows  int   // established ones, 1 to traffic.MaxFlows
	Length int   // of the IPv4 packet in bytes
}

// String names the traffic as tables do.
func (t Traffic) String() string {
	name := map[uint8]string{frame.ProtoESP: "ESP", frame.ProtoUDP: "UDP"}[t.Proto]
	return fmt.Sprintf("%s %d B, %s flows", name, t.Length, thousands(t.Flows))
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// How the UDP flows are spread: many subscribers with a few flows each, and no
// more flows to one port of the server than a NAT with one address has ports.
const (
	flowsEach  = 64
	targets    = 1999
	sourcePort = 20000
	targetPort = 30000
	firstSPI   = 0x10000
)

// Of returns the flows as they are sent on a bed: ESP flows are SPIs between one
// pair of addresses, UDP flows ports of many subscribers towards one server.
func (t Traffic) Of(b *Bed) traffic.Flows {
	f := traffic.Flows{
		Proto: t.Proto, From: b.SourceMAC, To: b.LANMAC, Source: Subscriber.As4(), Target: Remote.Addr().As4(),
		SPI: firstSPI, Count: t.Flows, Length: t.Length,
	}
	if t.Proto == frame.ProtoUDP {
		f.Source, f.PerSource = Subscribers.As4(), flowsEach
		f.SourcePort, f.TargetPort, f.TargetPorts = sourcePort, targetPort, targets
	}
	return f
}
