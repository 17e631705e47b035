package netstack

import (
	"testing"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestASubscribersDatagramLeavesFromTheNATAddressAndTheAnswerComesBack(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(udpTo(at(client1, 5353), at(upstream, 53), "question"))
	out := w.one(w.atWAN())
	if out.Src != natAddr || out.SrcPort < 1024 || out.Dst != upstream || out.DstPort != 53 || out.TTL() != 63 {
		t.Fatalf("left as %v:%d > %v:%d ttl %d", out.Src, out.SrcPort, out.Dst, out.DstPort, out.TTL())
	}
	w.fromWAN(udpTo(at(upstream, 53), at(natAddr, out.SrcPort), "answer"))
	in := w.one(w.atLAN())
	if in.Dst != client1 || in.DstPort != 5353 || in.Src != upstream || in.SrcPort != 53 {
		t.Fatalf("came back as %v:%d > %v:%d", in.Src, in.SrcPort, in.Dst, in.DstPort)
	}
	if got := string(in.UDPPayload()); got != "answer" {
		t.Fatalf("payload %q", got)
	}
}

func TestADatagramWithoutChecksumStaysWithoutOne(t *testing.T) {
	w := newWorld(t)
	b := udpTo(at(client1, 5353), at(server, 53), "question")
	b[26], b[27] = 0, 0
	w.fromLAN(b)
	out := w.one(w.atWAN())
	if s := out.Transport()[6:8]; s[0] != 0 || s[1] != 0 {
		t.Fatalf("checksum %x", s)
	}
}

func TestATCPConnectionOpensAndCarriesDataBothWays(t *testing.T) {
	w := newWorld(t)
	c, s := at(client1, 40000), at(server, 443)
	w.fromLAN(tcpTo(c, s, frame.TCPSyn, ""))
	out := w.one(w.atWAN())
	nat := at(natAddr, out.SrcPort)
	w.fromWAN(tcpTo(s, nat, frame.TCPSyn|0x10, ""))
	w.one(w.atLAN())
	w.fromLAN(tcpTo(c, s, 0x10, "hello"))
	if out = w.one(w.atWAN()); out.SrcPort != nat.Port {
		t.Fatalf("port changed from %d to %d", nat.Port, out.SrcPort)
	}
	w.fromWAN(tcpTo(s, nat, 0x10, "hello yourself"))
	if in := w.one(w.atLAN()); in.Dst != client1 || in.DstPort != 40000 {
		t.Fatalf("came to %v:%d", in.Dst, in.DstPort)
	}
}

func TestTwoSubscribersPingTheSameServerWithTheSameIdentifier(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(echo(client1, server, 8, 77, "one"))
	a := w.one(w.atWAN())
	w.fromLAN(echo(client2, server, 8, 77, "two"))
	b := w.one(w.atWAN())
	if a.ICMPID == b.ICMPID {
		t.Fatalf("both left with identifier %d", a.ICMPID)
	}
	w.fromWAN(echo(server, natAddr, 0, b.ICMPID, "two"), echo(server, natAddr, 0, a.ICMPID, "one"))
	got := w.atLAN()
	if len(got) != 2 {
		t.Fatalf("%d answers, drops %v", len(got), w.dropped())
	}
	for i, want := range []frame.Addr{client2, client1} {
		if p := w.parsed(got[i]); p.Dst != want || p.ICMPID != 77 {
			t.Errorf("answer %d went to %v with identifier %d", i, p.Dst, p.ICMPID)
		}
	}
}

func TestTheRouterAnswersPingsToItsOwnAddresses(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(echo(client1, lanAddr, 8, 1, "x"))
	if p := w.one(w.atLAN()); p.Src != lanAddr || p.Dst != client1 || p.ICMPType != 0 {
		t.Fatalf("answer %v > %v type %d", p.Src, p.Dst, p.ICMPType)
	}
	w.fromLAN(echo(client1, wanAddr, 8, 1, "x"))
	if p := w.one(w.atLAN()); p.Src != wanAddr || p.Dst != client1 {
		t.Fatalf("answer %v > %v", p.Src, p.Dst)
	}
	w.fromWAN(echo(server, wanAddr, 8, 1, "x"))
	w.one(w.atWAN())
}

func TestWhatIsRefusedDiesForItsReason(t *testing.T) {
	c, s := at(client1, 5353), at(server, 53)
	fragment := func(b []byte) []byte {
		b[6] = 0x20 // MF
		return ttl(b, 64)
	}
	cut := func(b []byte, total int) []byte {
		b = b[:total]
		b[3] = byte(total)
		return ttl(b, 64)
	}
	tests := []struct {
		name   string
		reason drop.Reason
		from   func(*world, ...[]byte)
		packet []byte
	}{
		{"an outsider to an inside address", drop.ClientNotReachable, (*world).fromWAN, udpTo(s, c, "x")},
		{"an outsider to the NAT address without a mapping", drop.NoMapping, (*world).fromWAN, udpTo(s, at(natAddr, 5000), "x")},
		{"a ping of the NAT address", drop.NoMapping, (*world).fromWAN, echo(server, natAddr, 8, 9, "x")},
		{"an outsider with the NAT address as its source", drop.NATAddressSpoofed, (*world).fromWAN, udpTo(at(natAddr, 9), at(wanAddr, 9), "x")},
		{"a subscriber with the NAT address as its source", drop.NATAddressSpoofed, (*world).fromLAN, udpTo(at(natAddr, 9), s, "x")},
		{"a subscriber to a port that nobody has", drop.NoMapping, (*world).fromLAN, udpTo(c, at(natAddr, 9), "x")},
		{"a subscriber's GRE to the NAT address", drop.Hairpin, (*world).fromLAN, ip(client1, natAddr, 47, []byte("generic routing"))},
		{"a subscriber's ICMP error to the NAT address", drop.ICMPNoFlow, (*world).fromLAN, icmpError(client1, natAddr, 3, 3, udpTo(at(natAddr, 9), s, "x"), 28)},
		{"a subscriber's ESP to the NAT address", drop.ESPHairpin, (*world).fromLAN, esp(client1, natAddr, 0x1000, 1, "x")},
		{"TCP data without a connection", drop.NotSYN, (*world).fromLAN, tcpTo(c, s, 0x10, "x")},
		{"GRE from a subscriber", drop.ProtocolUnsupported, (*world).fromLAN, ip(client1, server, 47, []byte("generic routing"))},
		{"GRE to the NAT address", drop.ProtocolUnsupported, (*world).fromWAN, ip(server, natAddr, 47, []byte("generic routing"))},
		{"AH from a subscriber", drop.AH, (*world).fromLAN, ip(client1, server, 51, make([]byte, 24))},
		{"AH to the NAT address", drop.AH, (*world).fromWAN, ip(server, natAddr, 51, make([]byte, 24))},
		{"a fragment from a subscriber that cuts its header", drop.FragmentMalformed, (*world).fromLAN, fragment(udpTo(c, s, "first piece"))},
		{"a fragment to the NAT address without a mapping", drop.NoMapping, (*world).fromWAN, fragment(udpTo(s, at(natAddr, 9), "first piece is 24 bytes!"))},
		{"a fragment of GRE from a subscriber", drop.ProtocolUnsupported, (*world).fromLAN, fragment(ip(client1, server, 47, make([]byte, 16)))},
		{"a fragment of a subscriber's ICMP error", drop.Fragment, (*world).fromLAN, fragment(icmpError(client1, server, 3, 3, udpTo(s, c, "xxxx"), 32))},
		{"a fragment of an ICMP error", drop.Fragment, (*world).fromWAN, fragment(icmpError(server, natAddr, 3, 1, udpTo(at(natAddr, 9), s, "xxxx"), 32))},
		{"a UDP header cut short", drop.L4Malformed, (*world).fromLAN, cut(udpTo(c, s, "xx"), 26)},
		{"a UDP length that lies", drop.L4Malformed, (*world).fromLAN, func() []byte { b := udpTo(c, s, "xx"); b[25] = 99; return b }()},
		{"ESP of 7 bytes", drop.ESPShort, (*world).fromLAN, cut(esp(client1, server, 0x1000, 1, "x"), 27)},
		{"ESP of 7 bytes from outside", drop.ESPShort, (*world).fromWAN, cut(esp(server, natAddr, 0x1000, 1, "x"), 27)},
		{"ESP before any IKE", drop.ESPNoNATAddress, (*world).fromLAN, esp(client1, server, 0x1000, 1, "x")},
		{"inbound ESP without a gate", drop.ESPNoGateIn, (*world).fromWAN, esp(server, natAddr, 0x1000, 1, "x")},
		{"an ICMP error that quotes too little", drop.ICMPMalformed, (*world).fromWAN, icmpError(server, natAddr, 3, 1, udpTo(at(natAddr, 9), s, "x"), 24)},
		{"an ICMP error about a flow we do not have", drop.ICMPNoFlow, (*world).fromWAN, icmpError(server, natAddr, 3, 1, udpTo(at(natAddr, 9), s, "x"), 28)},
		{"a subscriber's ICMP error about a flow we do not have", drop.ICMPNoFlow, (*world).fromLAN, icmpError(client1, server, 3, 3, udpTo(s, c, "x"), 28)},
		{"a subscriber's ICMP error that quotes too little", drop.ICMPMalformed, (*world).fromLAN, icmpError(client1, server, 3, 3, udpTo(s, c, "x"), 20)},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.wantDrop(tc.reason, 1, func() { tc.from(w, tc.packet) })
			w.none(w.atLAN())
			w.none(w.atWAN())
		})
	}
}

func TestAMappingEndsWhenIdleExceedsItsTimeout(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(udpTo(at(client1, 5353), at(server, 53), "question"))
	out := w.one(w.atWAN())
	answer := udpTo(at(server, 53), at(natAddr, out.SrcPort), "answer")
	w.advance(120 * time.Second)
	w.fromWAN(answer) // exactly the timeout: still alive (R22), and refreshes
	w.one(w.atLAN())
	w.advance(125 * time.Second)
	w.wantDrop(drop.NoMapping, 1, func() { w.fromWAN(answer) })
}
