package lsn

import (
	"fmt"
	"strings"
	"testing"

	"spigate/netstack/frame"
)

// owners lists who has an outside endpoint, a line each.
func (f *fixture) owners(out frame.Endpoint, now int64) string {
	var lines []string
	f.WhoOwns(out, now, func(o Owner) bool {
		lines = append(lines, fmt.Sprintf("%v %s %v %d-%d %d %v", o.Kind, o.Group.Name, o.Inside, o.First, o.Last, o.Proto, o.Remote))
		return true
	})
	return strings.Join(lines, "\n")
}

func TestWhoHasAPortIsAnsweredForEveryMapping(t *testing.T) {
	adm := AppProfile{Name: "adm", Proto: frame.ProtoUDP, Mapping: ADM, Ports: []PortRange{{53, 53}}}
	c := config(nat1, adm, AppProfile{Name: "eim", Proto: frame.ProtoTCP, Mapping: EIM})
	c.Rand = always(0) // everybody gets port 1024 if it fits
	f := build(t, c)
	f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	f.mustOut(udp(at(other, 2), at(serverZ, 53)), 0, 0)
	f.mustOut(tcp(at(other, 3), at(serverZ, 80)), syn, 0)
	got := f.owners(at(nat1, 1024), 1)
	for _, want := range []string{
		"MAPPING G 192.0.2.1:1 1024-1024 17 198.51.100.1:0", "MAPPING G 192.0.2.2:2 1024-1024 17 198.51.100.2:0",
		"MAPPING G 192.0.2.2:3 1024-1024 6 0.0.0.0:0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n") + 1; n != 3 {
		t.Errorf("%d owners, want 3:\n%s", n, got)
	}
	for name, got := range map[string]string{
		"unused port": f.owners(at(nat1, 1025), 1), "no NAT address": f.owners(at(serverY, 1024), 1), "later": f.owners(at(nat1, 1024), 200*second),
	} {
		if got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	calls := 0
	f.WhoOwns(at(nat1, 1024), 1, func(Owner) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls after the first said stop", calls)
	}
}

func TestWhoHasAPortIsAnsweredByItsBlock_R17(t *testing.T) {
	f := build(t, blocked(config(nat1, udpAll), 1000)) // the last 512 ports are left over
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	first := (b.Outside.Port-FirstPort)/1000*1000 + FirstPort
	block := fmt.Sprintf("BLOCK G 192.0.2.1:0 %d-%d 0 0.0.0.0:0", first, first+999)
	if got, want := f.owners(b.Outside, 1), block+fmt.Sprintf("\nMAPPING G 192.0.2.1:1 %d-%d 17 0.0.0.0:0", b.Outside.Port, b.Outside.Port); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	unused := at(nat1, first)
	if unused == b.Outside {
		unused.Port++
	}
	if got := f.owners(unused, 1); got != block {
		t.Errorf("another port of the block: %s", got)
	}
	for _, port := range []uint16{500, first - 1, first + 1000, 65024, 65535} {
		if got := f.owners(at(nat1, port), 1); got != "" {
			t.Errorf("port %d: %s", port, got)
		}
	}
}

func TestWhoHasAPortIsAnsweredByArithmetic_R18(t *testing.T) {
	c := deterministic(config(nat7), ByAddresses, 0)
	c.Clients = append(c.Clients, Client{"D", prefixes("192.0.2.9/32")})
	c.Pools = append(c.Pools, Pool{Name: "Q", Ranges: []Range{{frame.Addr{203, 0, 113, 99}, frame.Addr{203, 0, 113, 99}}}})
	c.Groups = append(c.Groups, Group{Name: "H", Client: "D", Pools: []string{"Q"}})
	f := build(t, c)
	f.mustOut(udp(at(frame.Addr{192, 0, 2, 9}, 1), at(serverY, 53)), 0, 0) // of H, not deterministic
	const want = "DETERMINISTIC G 192.0.2.8:0 1280-1535 0 0.0.0.0:0"
	for _, port := range []uint16{1280, 1400, 1535} { // 8 = 1 + 1*7
		if got := f.owners(frame.Endpoint{Addr: frame.Addr{203, 0, 113, 4}, Port: port}, 1); got != want {
			t.Errorf("port %d: %s, want %s", port, got, want)
		}
	}
	if got := f.owners(frame.Endpoint{Addr: frame.Addr{203, 0, 113, 5}, Port: 1300}, 1); got != "" {
		t.Errorf("the block of 192.0.2.9, who is in another group: %s", got)
	}
	if _, ok := f.Deterministic(frame.Addr{192, 0, 2, 9}); ok {
		t.Error("192.0.2.9 has a computed block in another group's pool")
	}
	if _, ok := f.Deterministic(serverY); ok {
		t.Error("a stranger has a computed block")
	}
}

func TestAllComputedBlocksAreListedInOrder_R18(t *testing.T) {
	for _, policy := range []AllocPolicy{ByPorts, ByAddresses} {
		f := build(t, deterministic(config(nat7), policy, 0))
		var listed []DeterministicInfo
		f.WalkDeterministic(func(d DeterministicInfo) bool { listed = append(listed, d); return true })
		if len(listed) != 256 {
			t.Fatalf("%d subscribers, want 256", len(listed))
		}
		byAddress := 0
		for last := byte(3); last <= 9; last++ {
			f.WalkDeterministicOn(frame.Addr{203, 0, 113, last}, func(d DeterministicInfo) bool {
				byAddress++
				if d.NAT[3] != last || listed[d.Inside[3]] != d {
					t.Errorf("on address %d: %+v, listed %+v", last, d, listed[d.Inside[3]])
				}
				return true
			})
		}
		if byAddress != 256 {
			t.Errorf("%d subscribers by address, want 256", byAddress)
		}
		for i, d := range listed {
			if d.Inside != (frame.Addr{192, 0, 2, byte(i)}) || d.Group.Name != "G" || d.Last-d.First != 255 {
				t.Fatalf("number %d: %+v", i, d)
			}
			if got, ok := f.Deterministic(d.Inside); !ok || got != d {
				t.Fatalf("%v: %+v, listed %+v", d.Inside, got, d)
			}
		}
		calls := 0
		f.WalkDeterministic(func(DeterministicInfo) bool { calls++; return false })
		f.WalkDeterministicOn(nat1, func(DeterministicInfo) bool { calls++; return false })
		if f.WalkDeterministicOn(serverY, func(DeterministicInfo) bool { calls++; return false }); calls != 2 {
			t.Errorf("%d calls after each was told to stop", calls)
		}
	}
}

func TestAllDrawnBlocksAreListed_R17(t *testing.T) {
	c := blocked(config(nat7, udpAll), 256)
	events := journal(&c, BlockAllocated)
	f := build(t, c)
	for host := range byte(50) {
		for port := range uint16(host)*5 + 1 {
			f.mustOut(udp(at(frame.Addr{192, 0, 2, host}, port), at(serverY, 53)), 0, 0)
		}
	}
	have := map[frame.Endpoint]BlockInfo{}
	f.WalkBlocks(func(b BlockInfo) bool { have[at(b.NAT, b.First)] = b; return true })
	if len(have) != len(*events) {
		t.Errorf("%d blocks listed, %d allocated", len(have), len(*events))
	}
	for _, e := range *events {
		b := have[at(e.Outside.Addr, e.First)]
		want := BlockInfo{Group: e.Group, Pool: "P", Inside: e.Inside.Addr, NAT: e.Outside.Addr, First: e.First, Last: e.Last, Mappings: int(e.Inside.Addr[3])*5 + 1}
		want.Used[1] = want.Mappings
		if b != want {
			t.Errorf("listed %+v, want %+v", b, want)
		}
	}
	calls := 0
	f.WalkBlocks(func(BlockInfo) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls after the first said stop", calls)
	}
}

func TestWhoHasAPortIsAnsweredByTheConfiguration_R27(t *testing.T) {
	c := config(nat1)
	c.Statics = []Static{
		{Name: "web", Proto: frame.ProtoTCP, Inside: at(subscriber, 80), Outside: at(nat1, 8080)},
		{Name: "one", Inside: at(other, 0), Outside: at(nat7, 0), Remote: serverY},
	}
	f := build(t, c)
	for out, want := range map[frame.Endpoint]string{
		at(nat1, 8080): "STATIC G 192.0.2.1:80 8080-8080 6 0.0.0.0:0",
		at(nat7, 99):   "STATIC G 192.0.2.2:99 99-99 0 198.51.100.1:0",
		at(nat1, 80):   "",
	} {
		if got := f.owners(out, 0); got != want {
			t.Errorf("%v: %s, want %s", out, got, want)
		}
	}
}
