package netstack

import (
	"bytes"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestATTLOfOneIsAnsweredAndNotForwarded(t *testing.T) {
	w := newWorld(t)
	question := ttl(udpTo(at(client1, 5353), at(upstream, 53), "question"), 1)
	w.fromLAN(question)
	w.none(w.atWAN())
	p := w.one(w.atLAN())
	if p.Src != lanAddr || p.Dst != client1 || p.ICMPType != 11 || p.ICMPCode != 0 {
		t.Fatalf("answer %v > %v type %d code %d, want time exceeded", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
	}
	q, _ := p.Quote()
	if q.Src != client1 || q.SrcPort != 5353 || q.Dst != upstream {
		t.Fatalf("quotes %v:%d > %v", q.Src, q.SrcPort, q.Dst)
	}
}

func TestATTLOfOneFromOutsideIsAnsweredWithTheAddressItWasSentTo(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(udpTo(at(client1, 5353), at(server, 53), "question"))
	out := w.one(w.atWAN())
	w.fromWAN(ttl(udpTo(at(server, 53), at(natAddr, out.SrcPort), "answer"), 1))
	w.none(w.atLAN())
	p := w.one(w.atWAN())
	q, _ := p.Quote()
	if p.Dst != server || p.ICMPType != 11 || q.Dst != natAddr || q.DstPort != out.SrcPort {
		t.Fatalf("to %v type %d, quotes > %v:%d", p.Dst, p.ICMPType, q.Dst, q.DstPort)
	}
}

func TestAnErrorFromOutsideReachesTheSubscriberAboutItsOwnPacket(t *testing.T) {
	for _, tc := range []struct {
		name string
		sent []byte
	}{
		{"UDP", udpTo(at(client1, 5353), at(server, 53), "question")},
		{"TCP", tcpTo(at(client1, 5353), at(server, 53), frame.TCPSyn, "")},
		{"ping", echo(client1, server, 8, 77, "question")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.fromLAN(tc.sent)
			left := w.atWAN()
			w.one(left)
			router := addr("198.51.100.1") // somewhere on the way
			w.fromWAN(icmpError(router, natAddr, 3, 1, left[0], 60))
			p := w.one(w.atLAN())
			if p.Src != router || p.Dst != client1 || p.ICMPType != 3 || p.ICMPCode != 1 {
				t.Fatalf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
			}
			quote := append([]byte(nil), p.Transport()[8:]...)
			want := ttl(tc.sent, 63) // as it left, with the inside source
			if n := min(len(quote), len(want)); !bytes.Equal(quote[:n], want[:n]) {
				t.Errorf("quotes % x\n want % x", quote[:n], want[:n])
			}
		})
	}
}

func TestASubscribersErrorLeavesFromTheNATAddressAboutWhatTheServerSent(t *testing.T) {
	w := newWorld(t)
	w.fromLAN(udpTo(at(client1, 5353), at(server, 53), "question"))
	out := w.one(w.atWAN())
	answer := udpTo(at(server, 53), at(natAddr, out.SrcPort), "answer")
	w.fromWAN(answer)
	came := w.atLAN()
	w.one(came)
	w.fromLAN(icmpError(client1, server, 3, 3, came[0], 60))
	p := w.one(w.atWAN())
	if p.Src != natAddr || p.Dst != server || p.ICMPType != 3 || p.ICMPCode != 3 {
		t.Fatalf("%v > %v type %d code %d", p.Src, p.Dst, p.ICMPType, p.ICMPCode)
	}
	want := ttl(answer, 63)
	if quote := p.Transport()[8:]; !bytes.Equal(quote, want) {
		t.Errorf("quotes % x\n want % x", quote, want)
	}
}

func TestAPacketTooBigForTheWayOutIsAnsweredWithTheMTU(t *testing.T) {
	w := newWorld(t)
	w.r.stack.SetNICMTU(2, 1000)
	w.fromLAN(udpTo(at(client1, 5353), at(server, 53), string(make([]byte, 1200))))
	w.none(w.atWAN())
	p := w.one(w.atLAN())
	q, _ := p.Quote()
	if mtu := int(p.Transport()[6])<<8 | int(p.Transport()[7]); p.Dst != client1 || p.ICMPType != 3 || p.ICMPCode != 4 || mtu != 1000 {
		t.Fatalf("to %v type %d code %d mtu %d", p.Dst, p.ICMPType, p.ICMPCode, mtu)
	}
	if q.Src != client1 || q.SrcPort != 5353 {
		t.Fatalf("quotes %v:%d", q.Src, q.SrcPort)
	}
}

func TestAPacketTooBigForTheWayInIsAnsweredWithoutShowingTheInside(t *testing.T) {
	w := newWorld(t)
	w.r.stack.SetNICMTU(1, 1000)
	w.fromLAN(udpTo(at(client1, 5353), at(server, 53), "question"))
	out := w.one(w.atWAN())
	w.fromWAN(udpTo(at(server, 53), at(natAddr, out.SrcPort), string(make([]byte, 1200))))
	w.none(w.atLAN())
	p := w.one(w.atWAN())
	q, _ := p.Quote()
	if p.Src != wanAddr || p.Dst != server || p.ICMPCode != 4 || q.Dst != natAddr || q.DstPort != out.SrcPort {
		t.Fatalf("%v > %v code %d quotes > %v:%d", p.Src, p.Dst, p.ICMPCode, q.Dst, q.DstPort)
	}
}

func TestASubscriberLearnsThatTheNextHopDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	silent := addr("203.0.113.77") // on the link, answers no ARP
	w.fromLAN(udpTo(at(client1, 5353), at(silent, 53), "question"))
	w.none(w.atWAN())
	for range 10 {
		w.advance(1e9)
	}
	p := w.one(w.soon(w.atLAN))
	q, _ := p.Quote()
	if p.Dst != client1 || p.ICMPType != 3 || p.ICMPCode != 1 || q.Src != client1 || q.SrcPort != 5353 {
		t.Fatalf("to %v type %d code %d quotes %v:%d", p.Dst, p.ICMPType, p.ICMPCode, q.Src, q.SrcPort)
	}
}

func TestAnErrorAboutALaterPieceIsNotSent(t *testing.T) { // it would quote the subscriber's address
	w := newWorld(t)
	w.fromLAN(udpTo(at(client1, 5353), at(server, 53), "question"))
	nat := w.one(w.atWAN()).SrcPort
	pieces := fragments(udpTo(at(server, 53), at(natAddr, nat), text(3000)), 1200)
	for i, b := range pieces {
		header.IPv4(b).SetFlagsFragmentOffset(header.IPv4(b).Flags()|header.IPv4FlagDontFragment, header.IPv4(b).FragmentOffset())
		pieces[i] = ttl(b, 64)
	}
	w.r.stack.SetNICMTU(1, 1000)
	w.fromWAN(pieces[0])
	p := w.one(w.atWAN())
	if q, _ := p.Quote(); p.ICMPCode != 4 || q.Dst != natAddr || q.DstPort != nat {
		t.Errorf("code %d quotes > %v:%d", p.ICMPCode, q.Dst, q.DstPort)
	}
	w.wantDrop(drop.ICMPMalformed, 1, func() { w.fromWAN(pieces[1]) })
	w.none(w.atWAN())
}
