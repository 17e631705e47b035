package lsn

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// The example in NetScaler's help text for -allocPolicy: three subscribers,
// two NAT addresses.
func TestTheBlocksAreDealtOutAsInNetScalersExample_R18(t *testing.T) {
	subscribers := []frame.Addr{{2, 2, 2, 1}, {2, 2, 2, 2}, {2, 2, 2, 3}}
	for policy, want := range map[AllocPolicy][3]place{
		ByPorts:     {{0, 0}, {0, 1}, {0, 2}},
		ByAddresses: {{0, 0}, {1, 0}, {0, 1}},
	} {
		d, err := newDealing(policy, 256, 2, prefixes("2.2.2.1/32", "2.2.2.2/31"))
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range subscribers {
			if p, ok := d.forward(a); !ok || p != want[i] {
				t.Errorf("%v: %v has %v, want %v", policy, a, p, want[i])
			}
		}
	}
}

func TestTheLastSubscriberStillHasABlockAndTheNextIsRefused_R18(t *testing.T) {
	tests := []struct {
		name      string
		size, m   int
		networks  []netip.Prefix
		want      string
		lastPlace place
	}{
		{"252 blocks and 252 subscribers", 256, 1, prefixes("10.0.0.0/25", "10.1.0.0/26", "10.2.0.0/27", "10.3.0.0/28", "10.4.0.0/29", "10.5.0.0/30"), "", place{0, 251}},
		{"one more", 256, 1, prefixes("10.0.0.0/24"), "256 subscribers need a block each, and 1 addresses have 252 blocks of 256 ports in all (R18)", place{}},
		{"a block that leaves ports over", 20000, 2, prefixes("10.0.0.0/30", "10.0.0.4/31"), "", place{1, 2}},
		{"and one more", 20000, 2, prefixes("10.0.0.0/30", "10.0.0.4/31", "10.0.0.6/32"), "7 subscribers", place{}},
		{"a whole address each", 64512, 2, prefixes("10.0.0.0/31"), "", place{1, 0}},
		{"networks that overlap", 256, 7, prefixes("10.0.0.0/24", "10.0.0.128/25"), "overlap at 10.0.0.128", place{}},
		{"everybody", 256, 4096, prefixes("0.0.0.0/0"), "4294967296 subscribers", place{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newDealing(ByPorts, tt.size, tt.m, tt.networks)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("fault %v, want one with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			end := tt.networks[len(tt.networks)-1]
			last := frame.Addr(end.Addr().As4())
			last[3] += 1<<(32-end.Bits()) - 1
			if p, ok := d.forward(last); !ok || p != tt.lastPlace {
				t.Errorf("the last subscriber %v has %v %v, want %v", last, p, ok, tt.lastPlace)
			}
		})
	}
}

func TestTooManySubscribersAreRefusedWithTheirGroup_R18(t *testing.T) {
	_, err := New(deterministic(config(nat1), ByPorts, 256))
	if err == nil || !strings.Contains(err.Error(), `group "G": 256 subscribers need a block each`) {
		t.Errorf("fault %v", err)
	}
}

// Forward and backward are one bijection between the subscribers and the
// places that are somebody's, and no two blocks share a port.
func TestDealingIsABijection_R18(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.SampledFrom([]int{256, 512, 1000, 2048, 32256, 64512}), rapid.IntRange(256, 64512)).Draw(t, "size")
		m := rapid.IntRange(1, 40).Draw(t, "addresses")
		policy := AllocPolicy(rapid.IntRange(0, 1).Draw(t, "policy"))
		var networks []netip.Prefix
		third := rapid.Permutation([]byte{1, 2, 3, 4, 5}).Draw(t, "third bytes")
		for _, b := range third[:rapid.IntRange(1, 5).Draw(t, "networks")] {
			bits := rapid.IntRange(24, 32).Draw(t, "bits")
			host := rapid.Byte().Draw(t, "host")
			networks = append(networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, b, host}), bits))
		}
		d, err := newDealing(policy, size, m, networks)
		count := uint64(0)
		for _, p := range networks {
			count += 1 << (32 - p.Bits())
		}
		room := uint64(numPorts / size * m)
		if (err != nil) != (count > room) {
			t.Fatalf("%d subscribers, %d blocks: %v", count, room, err)
		}
		if err != nil {
			return
		}
		number, perAddress := 0, map[int]int{}
		for _, p := range networks {
			for a := p.Masked().Addr(); p.Contains(a); a = a.Next() {
				checkPlace(t, d, frame.Addr(a.As4()), number, perAddress)
				number++
			}
		}
		for p, owned := (place{}), 0; p.address < m; p.address++ {
			owned = 0
			for p.block = 0; p.block <= d.perAddress; p.block++ {
				if a, ok := d.backward(p); ok {
					owned++
					if back, ok := d.forward(a); !ok || back != p {
						t.Fatalf("%v belongs to %v, who has %v", p, a, back)
					}
				}
			}
			if owned != perAddress[p.address] || owned != d.blocksOf(p.address) {
				t.Fatalf("address %d: %d blocks, %d subscribers, %d counted", p.address, owned, perAddress[p.address], d.blocksOf(p.address))
			}
		}
	})
}

func checkPlace(t *rapid.T, d *dealing, a frame.Addr, number int, perAddress map[int]int) {
	want := place{number / d.perAddress, number % d.perAddress}
	if d.policy == ByAddresses {
		want = place{number % d.addresses, number / d.addresses}
	}
	p, ok := d.forward(a)
	if !ok || p != want {
		t.Fatalf("subscriber %d, %v, has %v %v, want %v", number, a, p, ok, want)
	}
	if back, ok := d.backward(p); !ok || back != a {
		t.Fatalf("%v belongs to %v, not to %v", p, back, a)
	}
	first, last := portsOf(p.block, d.size)
	if int(last)-int(first)+1 != d.size || int(first) != FirstPort+p.block*d.size {
		t.Fatalf("block %d is %d-%d", p.block, first, last)
	}
	perAddress[p.address]++
}

func TestStrangersHaveNoBlock_R18(t *testing.T) {
	d, err := newDealing(ByPorts, 256, 1, prefixes("10.0.1.0/30", "10.0.0.4/30"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []frame.Addr{{10, 0, 0, 3}, {10, 0, 0, 8}, {10, 0, 1, 4}, {0, 0, 0, 0}, {255, 255, 255, 255}} {
		if p, ok := d.forward(a); ok {
			t.Errorf("%v has %v", a, p)
		}
	}
	for _, p := range []place{{0, 8}, {0, 251}, {0, 252}, {1, 0}, {-1, 0}, {0, -1}} {
		if a, ok := d.backward(p); ok {
			t.Errorf("%v belongs to %v", p, a)
		}
	}
}

func TestADeterministicSubscriberStaysInItsBlock_R18(t *testing.T) {
	for _, policy := range []AllocPolicy{ByPorts, ByAddresses} {
		c := deterministic(config(nat7, AppProfile{Name: "A", Proto: frame.ProtoUDP, Mapping: EIM, Pooling: Paired}), policy, 0)
		events := journal(&c, BlockAllocated, BlockFreed)
		f := build(t, c)
		for _, host := range []byte{0, 1, 100, 251, 252, 255} {
			x := frame.Addr{192, 0, 2, host}
			p := place{int(host) / 252, int(host) % 252}
			if policy == ByAddresses {
				p = place{int(host) % 7, int(host) / 7}
			}
			first, last := portsOf(p.block, 256)
			n := nat1
			n[3] += byte(p.address)
			if got, ok := f.PairedAddress(x); !ok || got != n {
				t.Errorf("%v is on %v %v, want %v", x, got, ok, n)
			}
			inRow, before := 0, uint16(0)
			for port := range uint16(256) {
				b := f.mustOut(udp(at(x, port), at(serverY, 53)), 0, 0)
				if b.Outside.Addr != n || b.Outside.Port < first || b.Outside.Port > last {
					t.Fatalf("%v: %v has %v, want %v ports %d-%d", policy, x, b.Outside, n, first, last)
				}
				if b.Outside.Port == before+1 {
					inRow++
				}
				before = b.Outside.Port
			}
			if inRow > 120 { // a nearly full block is searched in a row
				t.Errorf("%d of 256 ports followed the one before", inRow)
			}
			late := udp(at(x, 256), at(serverY, 53))
			if pl, why := f.DecideOut(late, Hints{}, 0); why != drop.NoFreePort || pl.Ports != (PortRange{first, last}) || len(pl.Addresses) != 1 || pl.Addresses[0] != n {
				t.Errorf("the 257th: decided %v of %v %v", why, pl.Addresses, pl.Ports)
			}
			if _, why := f.out(late, Hints{}, 0); why != drop.NoFreePort {
				t.Errorf("the 257th: %v", why)
			}
			f.mustOut(tcp(at(x, 256), at(serverY, 53)), syn, 0)
		}
		if len(*events) != 0 {
			t.Errorf("%d events about blocks that are nobody's news", len(*events))
		}
		if st := f.Stats().Pools[0]; st.Blocks != 7*252 || st.BlocksUsed != 256 {
			t.Errorf("%d of %d blocks belong to somebody", st.BlocksUsed, st.Blocks)
		}
		f.check()
	}
}
