package link

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

var (
	natA  = [4]byte{203, 0, 113, 3}
	natB  = [4]byte{203, 0, 113, 9}
	other = [4]byte{203, 0, 113, 10}
	host  = [4]byte{203, 0, 113, 200}
)

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// reply is the frame with which the router answers hostMAC.
func reply(vlan uint16, a, to [4]byte) []byte {
	b := arpFrame(hostMAC, vlan, header.ARPReply, routerMAC, a, to)
	copy(b[len(b)-10:], hostMAC[:])
	return b
}

func TestARPForNATAddresses(t *testing.T) {
	tests := []struct {
		name   string
		raw    []byte
		answer []byte
		to     int // how many frames the stack gets
		why    drop.Reason
	}{
		{name: "request for the first address", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA), answer: reply(0, natA, host)},
		{name: "request on a tagged VLAN is answered with the tag", raw: arpFrame(broadcast, 20, header.ARPRequest, hostMAC, host, natB), answer: reply(20, natB, host)},
		{name: "unicast refresh", raw: arpFrame(routerMAC, 0, header.ARPRequest, hostMAC, host, natA), answer: reply(0, natA, host)},
		{name: "probe before somebody takes it", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, [4]byte{}, natA), answer: reply(0, natA, [4]byte{})},
		{name: "padded to 60 bytes", raw: append(arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA), make([]byte, 18)...), answer: reply(0, natA, host)},
		{name: "request for another address", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, other), to: 1},
		{name: "reply to the stack's request", raw: arpFrame(routerMAC, 0, header.ARPReply, hostMAC, host, natA), to: 1},
		{name: "gratuitous request of another for its own address", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, host), to: 1},
		{name: "gratuitous request that claims ours", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, natA, natA), why: drop.NATAddressSpoofed},
		{name: "gratuitous reply that claims ours", raw: arpFrame(broadcast, 0, header.ARPReply, hostMAC, natA, natA), why: drop.NATAddressSpoofed},
		{name: "request in our name", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, natA, natB), why: drop.NATAddressSpoofed},
		{name: "for another station", raw: arpFrame(otherMAC, 0, header.ARPRequest, hostMAC, host, natA), why: drop.NotForUs},
		{name: "unknown VLAN", raw: arpFrame(broadcast, 21, header.ARPRequest, hostMAC, host, natA), why: drop.VLANUnknown},
		{name: "cut", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA)[:41], why: drop.ARPMalformed},
		{name: "empty", raw: arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA)[:14], why: drop.ARPMalformed},
		{name: "about IPv6", raw: patched(15+2, 0xdd), why: drop.ARPMalformed},
		{name: "hardware addresses of 8 bytes", raw: patched(14+4, 8), why: drop.ARPMalformed},
		{name: "protocol addresses of 16 bytes", raw: patched(14+5, 16), why: drop.ARPMalformed},
		{name: "reverse ARP", raw: patched(14+7, 3), why: drop.ARPMalformed},
		{name: "sender is a group", raw: patched(14+8, 0xff), why: drop.ARPMalformed},
		{name: "sender has no address", raw: withSender(frame.MAC{}), why: drop.ARPMalformed},
		{name: "sender is us", raw: withSender(routerMAC), why: drop.ARPMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(Config{})
			_, s := b.add(t, 1, 0)
			_, s20 := b.add(t, 2, 20)
			b.fabric.SetProxy(prefixes("203.0.113.3/32", "203.0.113.4/30", "203.0.113.8/31"), b.interfaces())
			b.input(tt.raw)
			var want [][]byte
			if tt.answer != nil {
				want = [][]byte{tt.answer}
			}
			if d := cmp.Diff(want, b.far.Drain()); d != "" {
				t.Errorf("answer: %s", d)
			}
			if n := len(s.got) + len(s20.got); n != tt.to {
				t.Errorf("the stack got %d frames, want %d", n, tt.to)
			}
			drops := map[drop.Reason]uint64{}
			if tt.why != drop.None {
				drops[tt.why] = 1
			}
			b.wantDrops(t, drops)
		})
	}
}

// patched is a sound request for natA with one byte changed.
func patched(at int, to byte) []byte {
	b := arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA)
	b[at] = to
	return b
}

// withSender is a request whose message, not its frame, comes from mac.
func withSender(mac frame.MAC) []byte {
	b := arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA)
	copy(b[14+8:], mac[:])
	return b
}

func TestAnEmptySetAnswersNothing(t *testing.T) {
	b := newBench(Config{})
	_, s := b.add(t, 1, 0)
	b.fabric.SetProxy(prefixes("203.0.113.3/32"), b.interfaces())
	b.fabric.SetProxy(nil, b.interfaces())
	b.input(arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA))
	if got := b.far.Drain(); len(got) != 0 || len(s.got) != 1 {
		t.Errorf("answered %d, to the stack %d", len(got), len(s.got))
	}
}

// Two VLANs of one port may belong to two stacks that have the same addresses.
func TestASetIsForTheInterfacesThatItIsGiven(t *testing.T) {
	b := newBench(Config{})
	i, s := b.add(t, 1, 0)
	_, s20 := b.add(t, 2, 20)
	b.fabric.SetProxy(prefixes("203.0.113.3/32"), []*Interface{i})
	b.input(arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA), arpFrame(broadcast, 20, header.ARPRequest, hostMAC, host, natA))
	if got := b.far.Drain(); len(got) != 1 || len(s.got) != 0 || len(s20.got) != 1 {
		t.Errorf("answered %d; to the stacks %d and %d, want the tagged one alone", len(got), len(s.got), len(s20.got))
	}
}

func TestAnAnnouncementTellsEverybodyOnTheVLAN(t *testing.T) {
	b := newBench(Config{})
	i, _ := b.add(t, 1, 20)
	i.Announce(natA)
	want := [][]byte{arpFrame(broadcast, 20, header.ARPRequest, routerMAC, natA, natA)}
	if d := cmp.Diff(want, b.far.Drain()); d != "" {
		t.Error(d)
	}
	if c := b.fabric.Counters()[0]; c.TxFrames != 1 || c.TxBytes != 42 {
		t.Errorf("counted %d frames of %d bytes", c.TxFrames, c.TxBytes)
	}
}

func TestTheSetHoldsWhatItsPrefixesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few bits, so that prefixes meet, overlap and touch.
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			n := rapid.Uint32Range(0, 40).Draw(t, "n")
			if rapid.Bool().Draw(t, "top") {
				n = math.MaxUint32 - n
			}
			return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
		})
		var in []netip.Prefix
		for range rapid.IntRange(0, 8).Draw(t, "prefixes") {
			bits := rapid.IntRange(27, 32).Draw(t, "bits")
			in = append(in, netip.PrefixFrom(addr.Draw(t, "addr"), bits))
		}
		in = append(in, netip.MustParsePrefix("2001:db8::/32"), netip.Prefix{})
		set := newProxySet(in)
		for range 20 {
			a := addr.Draw(t, "a")
			want := false
			for _, p := range in {
				want = want || p.Contains(a)
			}
			if got := set.has(frame.Addr(a.As4())); got != want {
				t.Fatalf("%v in %v: %v, want %v (%v)", a, in, got, want, *set)
			}
		}
		for k := 1; k < len(*set); k++ {
			if (*set)[k].first <= (*set)[k-1].last+1 {
				t.Fatalf("ranges touch: %v", *set)
			}
		}
	})
}

func TestABigPoolIsOneRange(t *testing.T) {
	var in []netip.Prefix
	for k := range 8192 {
		in = append(in, netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(k >> 8), byte(k)}), 32))
	}
	if set := newProxySet(in); len(*set) != 1 || !set.has(frame.Addr{203, 0, 31, 255}) || set.has(frame.Addr{203, 0, 32, 0}) {
		t.Errorf("%v", *set)
	}
	if set := newProxySet(prefixes("0.0.0.0/0")); !set.has(frame.Addr{}) || !set.has(frame.Addr{255, 255, 255, 255}) {
		t.Errorf("everything is %v", *set)
	}
}

func FuzzARP(f *testing.F) {
	f.Add(arpFrame(broadcast, 0, header.ARPRequest, hostMAC, host, natA))
	f.Add(arpFrame(broadcast, 20, header.ARPRequest, hostMAC, host, natB))
	f.Add(arpFrame(routerMAC, 0, header.ARPReply, hostMAC, host, natA))
	f.Add(arpFrame(broadcast, 0, header.ARPRequest, hostMAC, natA, natA))
	f.Add(patched(14+4, 8))
	f.Add(withSender(routerMAC))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := newBench(Config{})
		_, s := b.add(t, 1, 0)
		_, s20 := b.add(t, 2, 20)
		b.fabric.SetProxy(prefixes("203.0.113.0/28"), b.interfaces())
		b.input(raw)
		sent := b.far.Drain()
		drops := uint64(0)
		for _, n := range b.drops.Snapshot() {
			drops += n
		}
		if n := len(sent) + len(s.got) + len(s20.got) + int(drops); n != 1 {
			t.Fatalf("one frame had %d ends", n)
		}
		for _, w := range sent {
			fr := frame.Copy(w, 0)
			fr.StripTag()
			h := header.ARP(fr.Payload())
			if fr.Dst().IsGroup() || fr.Src() != routerMAC || h.Op() != header.ARPReply || h.ProtocolAddressSender()[3] > 15 {
				t.Fatalf("answered % x with % x", raw, w)
			}
		}
	})
}
