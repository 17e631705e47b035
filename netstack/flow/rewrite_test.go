package flow

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"pgregory.net/rapid"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// word draws a 16 bit value; the two zeros of one's complement and their
// neighbours come often.
func word(rt *rapid.T, name string) uint16 {
	if rapid.Bool().Draw(rt, name+" is an edge") {
		return rapid.SampledFrom([]uint16{0, 1, 0xfffe, 0xffff}).Draw(rt, name)
	}
	return rapid.Uint16().Draw(rt, name)
}

func address(rt *rapid.T, name string) (a frame.Addr) {
	binary.BigEndian.PutUint16(a[:], word(rt, name+" high"))
	binary.BigEndian.PutUint16(a[2:], word(rt, name+" low"))
	return a
}

// anyPacket draws a frame with a well-formed packet of a kind that the fast
// path knows, and an entry for its flow. Its transport checksum is arbitrary:
// a router does not look at it.
func anyPacket(rt *rapid.T) ([]byte, Entry) {
	proto := rapid.SampledFrom([]uint8{frame.ProtoESP, frame.ProtoUDP, frame.ProtoTCP, frame.ProtoICMP}).Draw(rt, "proto")
	n := rapid.IntRange(0, 40).Draw(rt, "payload")
	a, b, sum := word(rt, "sport"), word(rt, "dport"), word(rt, "sum")
	var l4 []byte
	switch proto {
	case frame.ProtoESP:
		l4 = esp(uint32(a)<<16|uint32(b), 8+n)
	case frame.ProtoUDP:
		l4 = udp(a, b, sum, n)
	case frame.ProtoTCP:
		l4 = tcp(a, b, 0x10, n)
		copy(l4[4:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(rt, "numbers"))
		binary.BigEndian.PutUint16(l4[16:], sum)
	case frame.ProtoICMP:
		l4 = icmp(rapid.SampledFrom([]uint8{0, 8}).Draw(rt, "type"), a, n)
		binary.BigEndian.PutUint16(l4[2:], sum)
	}
	f := ipv4(address(rt, "src"), address(rt, "dst"), proto, uint8(rapid.IntRange(2, 255).Draw(rt, "ttl")), l4)
	binary.BigEndian.PutUint16(f[18:], word(rt, "id"))
	resum(f)
	// The other zero is as valid a checksum, and has to come out the same.
	if binary.BigEndian.Uint16(f[24:]) == 0 && rapid.Bool().Draw(rt, "other zero") {
		binary.BigEndian.PutUint16(f[24:], 0xffff)
	}
	e := Entry{
		Side: rapid.SampledFrom([]Side{Source, Destination}).Draw(rt, "side"),
		Addr: address(rt, "addr"), Port: word(rt, "port"), Owner: ownerA, Idle: time.Minute,
		Numbered: rapid.Bool().Draw(rt, "numbered"),
	}
	return f, e
}

func TestFastAndSlowPathGiveTheSameBytes(t *testing.T) {
	hits := 0
	rapid.Check(t, func(rt *rapid.T) {
		b, e := anyPacket(rt)
		f := arrived(b, lan)
		k, ok := KeyOf(&f)
		if !ok {
			return // IKE's ports
		}
		tab := open(t, Config{Capacity: 1})
		e.Key, e.Hop = k, hopOf(t, tab, wan, gateway)
		insert(t, tab, e, 0)
		batch := []frame.Frame{f}
		if tab.process(batch, 1) != 1 || batch[0].Out != wan {
			rt.Fatalf("no hit: %+v", tab.Stats())
		}
		if want := slow(t, b, e); !bytes.Equal(batch[0].Bytes(), want) {
			rt.Fatalf("came % x\nfast % x\nslow % x", b, batch[0].Bytes(), want)
		}
		hits++
	})
	if hits == 0 {
		t.Error("no packet ever hit")
	}
}

func TestAnIPChecksumOfTheOtherZeroIsRepaired(t *testing.T) {
	b := ipv4(inside, remote, frame.ProtoESP, 64, esp(0x1000, 24))
	// Choose the identification so that the header sums to zero.
	id := binary.BigEndian.Uint16(b[18:])
	binary.BigEndian.PutUint16(b[18:], checksum.Combine(id, binary.BigEndian.Uint16(b[24:])))
	resum(b)
	if binary.BigEndian.Uint16(b[24:]) != 0 {
		t.Fatalf("checksum %x, want 0: the test is wrong", b[24:26])
	}
	b[24], b[25] = 0xff, 0xff
	tab := open(t, Config{})
	e := entryFor(t, tab, b, ownerA)
	insert(t, tab, e, 0)
	batch := []frame.Frame{arrived(b, lan)}
	if tab.process(batch, 1) != 1 || !bytes.Equal(batch[0].Bytes(), slow(t, b, e)) {
		t.Errorf("fast % x\nslow % x", batch[0].Bytes(), slow(t, b, e))
	}
}

// Among all checksums are the one that becomes zero, and zero itself.
func TestEveryUDPChecksumComesOutAsOnTheSlowPath(t *testing.T) {
	e := Entry{Side: Source, Addr: outside, Port: 61000}
	became := 0
	for sum := range 1 << 16 {
		b := ipv4(inside, remote, frame.ProtoUDP, 64, udp(40000, 53, uint16(sum), 4))
		want := slow(t, b, e)
		f := frame.Copy(b, 0)
		f.SetMACs(macGW, macOut)
		addr, port, _ := bucket.UnpackValue(e.rewriteWord())
		patch{0, addr, port}.rewrite(f.Payload())
		if !bytes.Equal(f.Bytes(), want) {
			t.Fatalf("checksum %04x:\nfast % x\nslow % x", sum, f.Bytes(), want)
		}
		if got := binary.BigEndian.Uint16(f.Bytes()[40:]); got == 0xffff {
			became++
		} else if got == 0 && sum != 0 {
			t.Errorf("checksum %04x became 0, which says that there is none", sum)
		}
	}
	if became == 0 {
		t.Error("no checksum became zero: the test is wrong")
	}
}

func TestESPBytesAreNeverTouched(t *testing.T) {
	b := ipv4(inside, remote, frame.ProtoESP, 64, bytes.Repeat([]byte{0xa5}, 100))
	tab := open(t, Config{})
	insert(t, tab, entryFor(t, tab, b, ownerB), 0)
	f := []frame.Frame{arrived(b, lan)}
	if tab.process(f, 1) != 1 || !bytes.Equal(f[0].Bytes()[34:], b[34:]) {
		t.Error("rule R70 is broken")
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	tab := open(t, Config{})
	var came [][]byte
	for _, b := range kinds(100) {
		insert(t, tab, entryFor(t, tab, b, ownerA), 0)
		came = append(came, b)
	}
	b := ipv4(inside, remote, frame.ProtoTCP, 64, tcp(40003, 443, ackFlag, 100))
	e := entryFor(t, tab, b, ownerA)
	e.Numbered = true
	insert(t, tab, e, 0)
	came = append(came, b)
	miss := ipv4(inside, remote, frame.ProtoESP, 64, esp(99, 50))
	came = append(came, miss)
	batch := make([]frame.Frame, len(came))
	for i, b := range came {
		batch[i] = arrived(b, lan)
	}
	r := tab.Reader()
	n := testing.AllocsPerRun(1000, func() {
		binary.BigEndian.PutUint32(b[38:], binary.BigEndian.Uint32(b[38:])+100) // the next segment
		for i, b := range came {
			copy(batch[i].Bytes(), b)
			batch[i].Out = 0
		}
		if hits := r.Process(batch, 1); hits != len(came)-1 {
			t.Fatalf("%d hits, want %d", hits, len(came)-1)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
	tab.Walk(func(in Info) bool {
		if want := binary.BigEndian.Uint32(b[38:]) + 100; in.Numbered && in.End != want {
			t.Errorf("the numbered flow is at %d, want %d: its way was not measured", in.End, want)
		}
		return true
	})
}
