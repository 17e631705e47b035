package lsn

import (
	"fmt"
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// blockUse is what the mappings of a block come to.
type blockUse struct {
	claims uint32
	ports  [numProtocols]map[uint16]bool
}

// checkBlocks holds the blocks against the mappings: each belongs to the one
// subscriber that has ports of it, and its numbers are right.
func (f *fixture) checkBlocks() {
	f.t.Helper()
	use := map[blockRef]*blockUse{}
	for i := range f.insides {
		f.countBlocks(&f.insides[i], use)
	}
	for i := range f.insides {
		f.checkHoldings(&f.insides[i], use)
	}
	for a, n := range f.cfg().addrs {
		for number := range n.freeAndTaken(f.t) {
			k := &n.blocks.list[number]
			u := use[refTo(uint32(a), number)]
			if u == nil {
				u = &blockUse{}
			}
			if k.claims != u.claims || n.owner.Load() == nil && k.taken != (u.claims > 0) {
				f.t.Fatalf("block %d of %v: %d claims, taken %v; %d mappings", number, n.addr, k.claims, k.taken, u.claims)
			}
			for i := range protocols {
				if int(k.used[i]) != len(u.ports[i]) {
					f.t.Fatalf("block %d of %v: %d ports counted, %d in use", number, n.addr, k.used[i], len(u.ports[i]))
				}
			}
		}
	}
}

// freeAndTaken checks the list of free blocks, and returns all blocks.
func (n *natAddress) freeAndTaken(t tester) []block {
	t.Helper()
	if n.blocks == nil {
		return nil
	}
	seen := map[uint8]bool{}
	for _, number := range n.blocks.free {
		if seen[number] || n.blocks.list[number].taken {
			t.Fatalf("block %d of %v is free twice, or free and taken", number, n.addr)
		}
		seen[number] = true
	}
	taken := 0
	for i := range n.blocks.list {
		if n.blocks.list[i].taken {
			taken++
		}
	}
	if n.owner.Load() == nil && taken+len(seen) != len(n.blocks.list) {
		t.Fatalf("%v: %d blocks taken, %d free, of %d", n.addr, taken, len(seen), len(n.blocks.list))
	}
	return n.blocks.list
}

func (f *fixture) countBlocks(sh *inside, use map[blockRef]*blockUse) {
	f.t.Helper()
	for slot := uint32(1); slot < sh.mappings.end(); slot++ {
		m := sh.mappings.at(slot)
		n := f.cfg().addrs[m.address]
		if m.head == 0 || n.blocks == nil {
			continue
		}
		number, ok := n.blocks.of(m.outside.Port)
		if !ok {
			if m.outside.Port >= FirstPort {
				f.t.Fatalf("mapping %v lies in no block", m.outside)
			}
			continue
		}
		f.mustOwn(n, number, m)
		ref := refTo(m.address, number)
		if use[ref] == nil {
			use[ref] = &blockUse{ports: [numProtocols]map[uint16]bool{{}, {}, {}}}
		}
		i, _ := protoIndex(f.cfg().rules[m.rules].app.Proto)
		use[ref].claims++
		use[ref].ports[i][m.outside.Port] = true
	}
}

func (f *fixture) mustOwn(n *natAddress, number int, m *mapping) {
	f.t.Helper()
	if n.owner.Load() != nil {
		if a, ok := n.owner.Load().dealing.backward(place{n.row, number}); !ok || a != m.inside.Addr {
			f.t.Fatalf("%v has %v, a port of %v, %v", m.inside, m.outside, a, ok)
		}
		return
	}
	if k := &n.blocks.list[number]; !k.taken || k.inside != m.inside.Addr {
		f.t.Fatalf("%v has %v, a port of a block of %v, taken %v", m.inside, m.outside, k.inside, k.taken)
	}
}

func (f *fixture) checkHoldings(sh *inside, use map[blockRef]*blockUse) {
	f.t.Helper()
	for a, h := range sh.holdings {
		count := uint32(0)
		for ref := h.head; ref != 0; ref = f.block(ref).next {
			count++
			if f.block(ref).inside != a || use[ref] == nil {
				f.t.Fatalf("%v is listed with a block of %v, or an empty one", a, f.block(ref).inside)
			}
		}
		if count != h.count || count == 0 {
			f.t.Fatalf("%v: %d blocks counted, %d listed", a, h.count, count)
		}
	}
}

// journal collects events of some kinds.
func journal(c *Config, kinds ...EventKind) *[]Event {
	var out []Event
	c.OnEvent = func(e Event) {
		for _, k := range kinds {
			if e.Kind == k {
				out = append(out, e)
			}
		}
	}
	return &out
}

var udpAll = AppProfile{Name: "udp", Proto: frame.ProtoUDP, Mapping: EIM}

// RFC 6888 REQ-14.
func TestABlockServesAllProtocolsOfOneSubscriber_R17(t *testing.T) {
	c := blocked(config(nat7, udpAll), 512)
	events := journal(&c, BlockAllocated, BlockFreed)
	f := build(t, c)
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	if len(*events) != 1 {
		t.Fatalf("%d blocks were allocated for the first session", len(*events))
	}
	first := (*events)[0]
	if first.Inside.Addr != subscriber || first.Outside.Addr != b.Outside.Addr || first.Group.Name != "G" ||
		b.Outside.Port < first.First || b.Outside.Port > first.Last || first.Last-first.First != 511 {
		t.Errorf("%+v does not hold %v", first, b.Outside)
	}
	for port := range uint16(400) {
		for _, tup := range []Tuple{udp(at(subscriber, port), at(serverY, 53)), tcp(at(subscriber, port), at(serverY, 53)), {frame.ProtoICMP, at(subscriber, port), at(serverY, 0)}} {
			o := f.mustOut(tup, syn, 0).Outside
			if o.Addr != first.Outside.Addr || o.Port < first.First || o.Port > first.Last {
				t.Fatalf("%v left the block %d-%d", o, first.First, first.Last)
			}
		}
	}
	d := f.mustOut(udp(at(other, 1), at(serverY, 53)), 0, 0)
	if len(*events) != 2 || (*events)[1].Inside.Addr != other || d.Outside.Port < (*events)[1].First || d.Outside.Port > (*events)[1].Last {
		t.Errorf("the second subscriber's block: %+v", *events)
	}
	if st := f.Stats().Pools[0]; st.Blocks != 7*126 || st.BlocksUsed != 2 {
		t.Errorf("%d of %d blocks used, want 2 of 882", st.BlocksUsed, st.Blocks)
	}
	f.check()
	f.Sweep(1000 * second)
	if st := f.Stats().Pools[0]; st.BlocksUsed != 0 || len(*events) != 4 {
		t.Errorf("%d blocks used after all sessions ended, %d events", st.BlocksUsed, len(*events))
	}
	f.check()
}

func TestABlockIsFreedWithItsLastPortAndNotBefore_R17(t *testing.T) {
	c := blocked(config(nat1, udpAll), 256)
	events := journal(&c, BlockFreed)
	f := build(t, c)
	a := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0)
	b := f.mustOut(tcp(at(subscriber, 1), at(serverY, 53)), syn, 0)
	f.RemoveMapping(a.Mapping)
	if len(*events) != 0 || f.Stats().Pools[0].BlocksUsed != 1 {
		t.Error("the block was freed although a TCP mapping uses it")
	}
	f.RemoveMapping(b.Mapping)
	if len(*events) != 1 || f.Stats().Pools[0].BlocksUsed != 0 {
		t.Errorf("%d events, %d blocks used", len(*events), f.Stats().Pools[0].BlocksUsed)
	}
	f.check()
}

func TestAFullBlockIsFollowedByAnother_R17(t *testing.T) {
	c := blocked(config(nat1, AppProfile{Name: "udp", Proto: frame.ProtoUDP, Mapping: EIM, Pooling: Paired}), 256)
	events := journal(&c, BlockAllocated)
	f := build(t, c)
	for i := range 252 * 256 {
		f.mustOut(udp(at(subscriber, uint16(i)), at(serverY, 53)), 0, 0)
		if want := i/256 + 1; len(*events) != want {
			t.Fatalf("%d blocks for %d sessions, want %d", len(*events), i+1, want)
		}
	}
	for _, x := range []frame.Endpoint{at(subscriber, 65000), at(other, 1)} {
		if pl, why := f.DecideOut(udp(x, at(serverY, 53)), Hints{}, 0); why != drop.NoFreePort {
			t.Errorf("decided %v for %v, want no free port (%v)", why, x, pl.Addresses)
		}
		if _, why := f.out(udp(x, at(serverY, 53)), Hints{}, 0); why != drop.NoFreePort {
			t.Errorf("%v for %v, want no free port", why, x)
		}
	}
	f.check()
}

func TestBlocksAndTheirPortsAreDrawnAtRandom_R16(t *testing.T) {
	c := blocked(config(nat1, udpAll), 1024)
	events := journal(&c, BlockAllocated)
	f := build(t, c)
	inRow, next := 0, 0
	var last uint16
	for host := range 63 {
		for port := range uint16(20) {
			p := f.mustOut(udp(at(frame.Addr{192, 0, 2, byte(host)}, port), at(serverY, 53)), 0, 0).Outside.Port
			if p == last+1 {
				inRow++
			}
			last = p
		}
		if host > 0 && (*events)[host].First == (*events)[host-1].Last+1 {
			next++
		}
	}
	if inRow > 10 || next > 8 {
		t.Errorf("%d of 1260 ports and %d of 63 blocks followed the one before", inRow, next)
	}
	f.check()
}

func TestARandomSubscriberUsesUpItsBlocksBeforeItGetsOneElsewhere(t *testing.T) {
	c := blocked(config(nat7, udpAll), 256)
	events := journal(&c, BlockAllocated)
	f := build(t, c)
	natOf := map[frame.Addr]bool{}
	for i := range 256 * 20 {
		natOf[f.mustOut(udp(at(subscriber, uint16(i)), at(serverY, 53)), 0, 0).Outside.Addr] = true
	}
	if len(*events) != 20 || len(natOf) < 4 {
		t.Errorf("%d blocks on %d addresses, want 20 on most of 7", len(*events), len(natOf))
	}
	f.check()
}

func TestAPairedSubscriberGetsBlocksOfItsAddressAlone_R14(t *testing.T) {
	c := blocked(config(nat7, AppProfile{Name: "udp", Proto: frame.ProtoUDP, Mapping: EIM, Pooling: Paired}), 32256)
	f := build(t, c)
	n := f.mustOut(udp(at(subscriber, 0), at(serverY, 53)), 0, 0).Outside.Addr
	for i := 1; i < numPorts; i++ {
		if b := f.mustOut(udp(at(subscriber, uint16(i)), at(serverY, 53)), 0, 0); b.Outside.Addr != n {
			t.Fatalf("port %d is on %v, paired with %v", i, b.Outside.Addr, n)
		}
	}
	if _, why := f.out(udp(at(subscriber, 65000), at(serverY, 53)), Hints{}, 0); why != drop.NoFreePort {
		t.Errorf("%v, want no free port", why)
	}
	f.check()
}

// Sessions to many servers share ports within a block (R19, RFC 7857 section
// 3), and those to one do not.
func TestPortsOverlapWithinABlock_R19(t *testing.T) {
	c := blocked(config(nat1), 256)
	events := journal(&c, BlockAllocated)
	f := build(t, c)
	for s := range byte(10) {
		for port := range uint16(256) {
			f.mustOut(udp(at(subscriber, port), at(frame.Addr{198, 51, 100, s}, 53)), 0, 0)
		}
	}
	if len(*events) != 1 {
		t.Errorf("2560 sessions to ten servers took %d blocks of 256", len(*events))
	}
	f.mustOut(udp(at(subscriber, 300), at(frame.Addr{198, 51, 100, 3}, 53)), 0, 0)
	if len(*events) != 2 {
		t.Errorf("the 257th session to one server took %d blocks", len(*events))
	}
	f.check()
}

// A search through a full block is not repeated (R17, boundedness).
func TestAFullBlockIsNotSearchedTwice(t *testing.T) {
	c := blocked(config(nat1), 64512)
	draws := 0
	draw := seeded(5)
	c.Rand = func(n uint32) uint32 { draws++; return draw(n) }
	f := build(t, c)
	for port := range numPorts {
		f.mustOut(udp(at(subscriber, uint16(port)), at(serverY, 53)), 0, 0)
	}
	late := udp(at(subscriber, 65000), at(serverY, 53))
	f.out(late, Hints{}, 0)
	draws = 0
	for range 100 {
		pl, _ := f.DecideOut(late, Hints{}, 0)
		if _, why := f.CommitOut(&pl, 0); why != drop.NoFreePort {
			t.Fatalf("%v, want no free port", why)
		}
	}
	if draws > 200 { // the block to begin with and the address, no ports
		t.Errorf("%d draws for 100 packets to a block that is known to be full", draws)
	}
	f.check()
}

// blockJournal follows the blocks by events alone, as a log does: each must be
// allocated, used by its subscriber alone, and freed once.
type blockJournal struct {
	taken map[frame.Endpoint]frame.Addr // by first port
	used  map[uint64]frame.Endpoint     // mappings
	sizes uint16
	fault string
}

func (j *blockJournal) note(e Event) {
	if j.taken == nil {
		j.taken, j.used = map[frame.Endpoint]frame.Addr{}, map[uint64]frame.Endpoint{}
	}
	block := at(e.Outside.Addr, e.First)
	_, taken := j.taken[block]
	switch e.Kind {
	case BlockAllocated:
		j.mustBe(!taken, "allocated twice", e)
		j.taken[block], j.sizes = e.Inside.Addr, e.Last-e.First+1
	case BlockFreed:
		j.mustBe(taken && j.taken[block] == e.Inside.Addr, "freed by a stranger", e)
		for _, out := range j.used {
			j.mustBe(out.Addr != block.Addr || out.Port < e.First || out.Port > e.Last, "freed in use", e)
		}
		delete(j.taken, block)
	case MappingCreated:
		j.used[e.Mapping] = e.Outside
		if j.sizes == 0 || e.Group.BlockSize == 0 || e.Group.Type == Deterministic {
			return
		}
		first := FirstPort + (e.Outside.Port-FirstPort)/j.sizes*j.sizes
		j.mustBe(j.taken[at(e.Outside.Addr, first)] == e.Inside.Addr, "mapping outside its subscriber's blocks", e)
	case MappingDeleted:
		delete(j.used, e.Mapping)
	}
}

func (j *blockJournal) mustBe(ok bool, fault string, e Event) {
	if !ok && j.fault == "" {
		j.fault = fmt.Sprintf("%s: %+v", fault, e)
	}
}
