//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"unsafe"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

func TestEveryFlowOfAFullTableIsFound(t *testing.T) {
	const flows = 3000
	b := newBed(t, flows)
	live := 0
	for spi := uint32(1); live < flows; spi++ {
		ip := ipv4(inside, remote, frame.ProtoESP, esp(spi, 0))
		if _, ok := b.table.Insert(keyOf(ip, plain), 0, what{addr: outside, hop: hopPlain}.value(), spi); ok {
			live++
			continue
		}
		// Room was made, and rests.
		for range 2 {
			b.table.Sweep(0, b.table.Len(), func(slot, own uint32, packets, bytes uint64, s bucket.State) {})
		}
	}
	second, ways := 0, [bucket.Ways]int{}
	for slot := range b.table.Len() {
		if b.table.State(slot) != bucket.Live {
			continue
		}
		k := b.table.Key(slot)
		if b.table.Hash(k)&0xffffffff*uint64(b.table.Len()/bucket.Ways)>>32 != uint64(slot/bucket.Ways) {
			second++
		}
		ways[slot%bucket.Ways]++
		spi := binary.NativeEndian.AppendUint32(nil, k.ID())
		ip := ipv4(inside, remote, frame.ProtoESP, esp(binary.BigEndian.Uint32(spi), 0))
		if action, _ := b.run(ethernet(ip)); action != redirect {
			t.Fatalf("SPI % x in slot %d: %s", spi, slot, programActions[action])
		}
		if packets, n := b.table.Credit(slot); packets != 1 || n != 28 {
			t.Fatalf("SPI % x in slot %d: %d packets, %d bytes", spi, slot, packets, n)
		}
	}
	for way, n := range ways {
		if n == 0 {
			t.Errorf("no flow stands in way %d: the test plays less than it says", way)
		}
	}
	if second == 0 {
		t.Error("no flow stands in its second bucket: the test plays less than it says")
	}
}

func TestARemovedFlowMissesAndWhatItCountedIsKept(t *testing.T) {
	b := newBed(t, 8)
	ip := typical(30)["UDP"]
	slot := b.insert(ip, plain, what{addr: outside, port: 61000, hop: hopPlain})
	for range 3 {
		b.run(ethernet(ip))
	}
	b.table.Remove(slot)
	if action, _ := b.run(ethernet(ip)); action != pass || b.punts()[Miss] != 1 {
		t.Errorf("%s, %v", programActions[action], b.punts())
	}
	if packets, n := b.table.Credit(slot); packets != 3 || n != 3*uint64(len(ip)) {
		t.Errorf("%d packets, %d bytes", packets, n)
	}
}

func TestOnePacketForEachPuntGoesToTheStack(t *testing.T) {
	b := newBed(t, 8)
	ip := typical(30)["ESP"]
	b.insert(ip, plain, what{addr: outside, hop: hopPlain})
	for round := range 3 {
		b.maps.Punt(int(hopPlain))
		b.maps.Punt(int(hopTagVLAN)) // another row's
		b.stays("due", ethernet(ip), Due)
		if action, _ := b.run(ethernet(ip)); action != redirect {
			t.Errorf("round %d: %s", round, programActions[action])
		}
		for slot := range b.table.Len() {
			b.table.Credit(slot)
		}
	}
}

func TestAPuntIsNotSpentOnAPacketThatGoesUpAnyway(t *testing.T) {
	b := newBed(t, 8)
	long := ipv4(inside, remote, frame.ProtoESP, esp(1, linkMTU))
	b.insert(long, plain, what{addr: outside, hop: hopPlain})
	b.maps.Punt(int(hopPlain))
	b.stays("too long", ethernet(long), MTU)
	b.stays("due", ethernet(long[:0:0], vlan(0)), Short)
	b.stays("due", ethernet(bend(long[:60], func(ip []byte) { ip[2], ip[3] = 0, 60 })), Due)
}

func TestANextHopThatChangesIsFollowedAtOnce(t *testing.T) {
	b := newBed(t, 8)
	ip := typical(30)["ESP"]
	last := Hops - 1
	slot := b.insert(ip, plain, what{addr: outside, hop: uint16(last)})
	head := func() []byte {
		t.Helper()
		action, out := b.run(ethernet(ip))
		if b.table.Credit(slot); action != redirect {
			t.Fatalf("%s, %v", programActions[action], b.punts())
		}
		return out[:len(out)-len(ip)]
	}
	b.stays("never set", ethernet(ip), Hop)
	b.maps.SetHop(last, Route{Port: onePort, Dst: macGW, Src: macOut, MTU: 1500})
	if h := head(); !bytes.Equal(h, append(append(macGW[:], macOut[:]...), 8, 0)) {
		t.Errorf("% x", h)
	}
	b.maps.SetHop(last, Route{Port: onePort, VLAN: 4094, Dst: macIn, Src: macGW, MTU: 1500})
	if h := head(); !bytes.Equal(h, append(append(macIn[:], macGW[:]...), 0x81, 0, 0x0f, 0xfe, 8, 0)) {
		t.Errorf("% x", h)
	}
	b.maps.SetHop(last, Route{Port: onePort, Dst: macGW, Src: macOut, MTU: len(ip) - 1})
	b.stays("MTU less", ethernet(ip), MTU)
	b.maps.SetHop(last, Route{Port: onePort, Dst: macGW, Src: macOut, MTU: 1 << 20})
	head()
	b.maps.ClearHop(last)
	b.stays("cleared", ethernet(ip), Hop)
}

func TestAPortThatGoesAndComesBack(t *testing.T) {
	b := newBed(t, 8)
	ip := typical(30)["ESP"]
	b.insert(ip, plain, what{addr: outside, hop: hopTagVLAN})
	for range 2 {
		for range 2 { // a port that is gone can be taken away again
			if err := b.maps.ClearPort(onePort); err != nil {
				t.Fatal(err)
			}
		}
		b.stays("port gone", append(ethernet(ip), 1, 2, 3), Port)
		if err := b.maps.SetPort(onePort, lo); err != nil {
			t.Fatal(err)
		}
		if action, _ := b.run(ethernet(ip)); action != redirect {
			t.Fatalf("%s, %v", programActions[action], b.punts())
		}
		for slot := range b.table.Len() {
			b.table.Credit(slot)
		}
	}
	if err := b.maps.SetPort(onePort, 1<<30); err == nil {
		t.Error("a device that does not exist is a port")
	}
	if err := b.maps.SetPort(2, lo); err == nil {
		t.Error("there is a third port of two")
	}
}

func TestEveryVLANOfEveryPortHasItsOwnInterface(t *testing.T) {
	b := newBed(t, 64)
	other, err := b.maps.Load(Constants{Seed: seed, Port: 1, MAC: macGW})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ip := typical(30)["ESP"]
	for i, id := range []uint16{0, 1, 63, 64, 4032, 4094} {
		mine, theirs := frame.Interface(100+i), frame.Interface(200+i)
		b.maps.SetContext(0, id, mine)
		b.maps.SetContext(1, id, theirs)
		slots := [2]uint32{
			b.insert(ip, mine, what{addr: outside, hop: hopPlain}),
			b.insert(ip, theirs, what{addr: outside, hop: hopPlain}),
		}
		f := ethernet(ip, vlan(id))
		if action, _ := b.run(f); action != redirect {
			t.Errorf("VLAN %d: %s, %v", id, programActions[action], b.punts())
		}
		for n, want := range []uint64{1, 0} {
			if packets, _ := b.table.Credit(slots[n]); packets != want {
				t.Errorf("VLAN %d: %d packets in the flow of port %d", id, packets, n)
			}
		}
		b.stays("the other port's address", append(append([]byte(nil), macGW[:]...), f[6:]...), NotOurs)
		b.prog, other = other, b.prog
		if action, _ := b.run(append(append([]byte(nil), macGW[:]...), f[6:]...)); action != redirect {
			t.Errorf("VLAN %d on the other port: %s, %v", id, programActions[action], b.punts())
		}
		if packets, _ := b.table.Credit(slots[1]); packets != 1 {
			t.Errorf("VLAN %d: %d packets in the other port's flow", id, packets)
		}
		b.prog, other = other, b.prog
		b.maps.SetContext(0, id, 0)
		b.stays("taken away", f, VLAN)
	}
}

// churn runs the program on f while change runs over and over on another thread.
func (b *bed) churn(runs int, f []byte, change func(round uint32), judge func(action uint32, out []byte)) {
	b.t.Helper()
	var stop atomic.Bool
	done := make(chan uint32)
	go func() {
		round := uint32(0)
		for ; !stop.Load(); round++ {
			change(round)
		}
		done <- round
	}()
	defer func() {
		stop.Store(true)
		b.t.Logf("%d packets, %d changes", runs, <-done)
	}()
	for range runs {
		action, out := b.run(f)
		judge(action, out)
	}
}

// life is an entry as it stands in memory.
type life struct {
	src, dst frame.Addr
	id       uint32
	tag      uint32
	addr     frame.Addr
	port     [2]byte
	hop      uint16
}

func TestASlotThatIsReusedAtOnceNeverMixesFlows(t *testing.T) {
	b := newBed(t, 8)
	ip := typical(0)["UDP"]
	slot := b.insert(ip, plain, what{addr: outside, port: 61000, hop: hopPlain})
	e := (*life)(unsafe.Pointer(&b.maps.Flows()[slot*bucket.EntrySize]))
	mine, theirs := *e, *e
	theirs.src, theirs.addr, theirs.port, theirs.hop = frame.Addr{9, 9, 9, 9}, frame.Addr{6, 6, 6, 6}, [2]byte{6, 6}, hopTagVLAN
	const version, valid = 1 << 4, uint32(bucket.Valid)
	tag := mine.tag
	publish := func(l *life) {
		tag = tag&^(version<<12-version) | (tag+version)&(version<<12-version)
		atomic.StoreUint32(&e.tag, tag&^valid)
		to := unsafe.Slice((*uint32)(unsafe.Pointer(e)), 6)
		for i, w := range unsafe.Slice((*uint32)(unsafe.Pointer(l)), 6) {
			if i != 3 { // the tag
				atomic.StoreUint32(&to[i], w)
			}
		}
		tag = tag&^(version<<12-version) | (tag+version)&(version<<12-version)
		atomic.StoreUint32(&e.tag, tag|valid)
	}
	want := append(append(append(macGW[:], macOut[:]...), 8, 0), rewritten(ip, 61000)...)
	hits := 0
	b.churn(150000, ethernet(ip), func(round uint32) {
		publish(&theirs)
		publish(&mine)
	}, func(action uint32, out []byte) {
		if action == redirect {
			if hits++; !bytes.Equal(out, want) {
				t.Fatalf("a packet left as another flow's:\nwant % x\ngot  % x", want, out)
			}
		}
	})
	if n := b.punts(); hits == 0 || n[Miss] == 0 {
		t.Errorf("%d hits, left to the stack: %v: the test plays less than it says", hits, n)
	} else {
		t.Logf("%d hits, %d misses, %d changed meanwhile", hits, n[Miss], n[Changed])
	}
}

func TestANextHopThatIsRewrittenIsUsedWholeOrNotAtAll(t *testing.T) {
	b := newBed(t, 8)
	ip := typical(0)["ESP"]
	b.insert(ip, plain, what{addr: outside, hop: hopPlain})
	routes := []Route{
		{Port: onePort, Dst: frame.MAC{2, 2, 2, 2, 2, 2}, Src: frame.MAC{4, 4, 4, 4, 4, 4}, MTU: 1500},
		{Port: onePort, VLAN: 0x111, Dst: frame.MAC{6, 6, 6, 6, 6, 6}, Src: frame.MAC{8, 8, 8, 8, 8, 8}, MTU: 1400},
	}
	var want [2][]byte
	for i, r := range routes {
		h := r.fields()
		want[i] = append(bytes.Clone(h.head[:14+4*i]), rewritten(ip, 0)...)
	}
	b.maps.SetHop(int(hopPlain), routes[0])
	var hits [2]int
	var rest atomic.Uint32
	b.churn(150000, ethernet(ip), func(round uint32) {
		b.maps.SetHop(int(hopPlain), routes[round&1])
		for range 30 { // so that the row is valid for a while
			rest.Load()
		}
	}, func(action uint32, out []byte) {
		switch {
		case action != redirect:
		case bytes.Equal(out, want[0]):
			hits[0]++
		case bytes.Equal(out, want[1]):
			hits[1]++
		default:
			t.Fatalf("a packet left with parts of both routes:\n% x\n% x\n% x", want[0], want[1], out)
		}
	})
	n := b.punts()
	if hits[0] == 0 || hits[1] == 0 {
		t.Errorf("%v hits, left to the stack: %v: the test plays less than it says", hits, n)
	}
	t.Logf("%v hits, %d not valid, %d changed meanwhile", hits, n[Hop], n[Changed])
}
