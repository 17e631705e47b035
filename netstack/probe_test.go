package netstack

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestAProbeIsThePacketThatAHostWouldSend(t *testing.T) {
	for name, tt := range map[string]struct {
		q    Probe
		want []byte
	}{
		"UDP":         {Probe{Proto: frame.ProtoUDP, Src: at(client1, 5), Dst: at(server, 53), DF: true, Payload: []byte("hello")}, udpTo(at(client1, 5), at(server, 53), "hello")},
		"TCP":         {Probe{Proto: frame.ProtoTCP, Src: at(client1, 5), Dst: at(server, 80), DF: true, TCPFlags: frame.TCPSyn}, tcpTo(at(client1, 5), at(server, 80), frame.TCPSyn, "")},
		"a ping":      {Probe{Proto: frame.ProtoICMP, Src: at(client1, 0), Dst: at(server, 0), DF: true, ID: 7}, echo(client1, server, 8, 7, "")},
		"its answer":  {Probe{Proto: frame.ProtoICMP, Answer: true, Src: at(client1, 0), Dst: at(server, 0), DF: true, ID: 7}, echo(client1, server, 0, 7, "")},
		"ESP":         {Probe{Proto: frame.ProtoESP, Src: at(client1, 0), Dst: at(server, 0), DF: true, SPI: 0x1001}, esp(client1, server, 0x1001, 1, "")},
		"others":      {Probe{Proto: 47, Src: at(client1, 0), Dst: at(server, 0), DF: true, Payload: []byte("gre")}, ip(client1, server, 47, []byte("gre"))},
		"another TTL": {Probe{Proto: 47, Src: at(client1, 0), Dst: at(server, 0), DF: true, TTL: 1}, ttl(ip(client1, server, 47, nil), 1)},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.q.Packet()
			var p frame.Packet
			if why := p.Parse(got); why != drop.None || !transportSumOK(&p) || !header.IPv4(got).IsChecksumValid() {
				t.Fatalf("% x is no good packet: %v", got, why)
			}
			if !bytes.Equal(numbered(got, 0), numbered(tt.want, 0)) {
				t.Errorf("% x, want % x", got, tt.want)
			}
		})
	}
}
