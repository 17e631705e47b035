package flow

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

const second = int64(time.Second)

var (
	inside  = frame.Addr{192, 0, 2, 10}
	outside = frame.Addr{203, 0, 113, 3}
	remote  = frame.Addr{198, 51, 100, 7}
	gateway = frame.Addr{198, 51, 100, 254}

	macIn, macUs   = frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}
	macOut, macGW  = frame.MAC{2, 0, 0, 0, 0, 3}, frame.MAC{2, 0, 0, 0, 0, 4}
	lan, wan       = frame.Interface(1), frame.Interface(2)
	ownerA, ownerB = Owner{Kind: OwnerLSN, ID: 1}, Owner{Kind: OwnerESP, ID: 2}
)

// cleaner is a test, of any kind.
type cleaner interface{ Cleanup(func()) }

// open makes a table that lives as long as its test.
func open(t cleaner, c Config) *Table {
	tab := New(c)
	t.Cleanup(tab.Close)
	return tab
}

// process is one turn of a goroutine that receives.
func (t *Table) process(batch []frame.Frame, now int64) int {
	r := t.Reader()
	defer r.Close()
	return r.Process(batch, now)
}

// ipv4 makes an Ethernet frame with an IPv4 packet around transport.
func ipv4(src, dst frame.Addr, proto, ttl uint8, transport []byte) []byte {
	b := make([]byte, frame.HeaderLen+ipLen, frame.HeaderLen+ipLen+len(transport))
	copy(b, macUs[:])
	copy(b[6:], macIn[:])
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv4)
	ip := header.IPv4(b[frame.HeaderLen:])
	ip[0], ip[8], ip[9] = 0x45, ttl, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(ipLen+len(transport)))
	binary.BigEndian.PutUint16(ip[4:], 0xbeef)
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	ip.SetChecksum(^ip.CalculateChecksum())
	return append(b, transport...)
}

// resum makes the header checksum right after a test bent the header.
func resum(b []byte) {
	ip := header.IPv4(b[frame.HeaderLen:])
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
}

func esp(spi uint32, n int) []byte {
	t := make([]byte, max(n, 8))
	binary.BigEndian.PutUint32(t, spi)
	binary.BigEndian.PutUint32(t[4:], 1)
	return t[:n]
}

func udp(src, dst uint16, sum uint16, payload int) []byte {
	t := make([]byte, 8+payload)
	binary.BigEndian.PutUint16(t, src)
	binary.BigEndian.PutUint16(t[2:], dst)
	binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	binary.BigEndian.PutUint16(t[6:], sum)
	return t
}

func tcp(src, dst uint16, flags uint8, payload int) []byte {
	t := make([]byte, 20+payload)
	binary.BigEndian.PutUint16(t, src)
	binary.BigEndian.PutUint16(t[2:], dst)
	t[12], t[13] = 0x50, flags
	binary.BigEndian.PutUint16(t[16:], 0x1234)
	return t
}

// segment is a TCP segment of the flow of kinds' TCP with these numbers.
func segment(flags uint8, seq, ack uint32, payload int) []byte {
	t := tcp(40002, 443, flags, payload)
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	return ipv4(inside, remote, frame.ProtoTCP, 64, t)
}

func icmp(kind uint8, id uint16, payload int) []byte {
	t := make([]byte, 8+payload)
	t[0] = kind
	binary.BigEndian.PutUint16(t[2:], 0x4321)
	binary.BigEndian.PutUint16(t[4:], id)
	return t
}

// kinds are one packet of each kind that the fast path takes.
func kinds(payload int) map[string][]byte {
	return map[string][]byte{
		"ESP":             ipv4(inside, remote, frame.ProtoESP, 64, esp(0xc0ffee01, 8+payload)),
		"UDP":             ipv4(inside, remote, frame.ProtoUDP, 64, udp(40000, 53, 0x7777, payload)),
		"UDP without sum": ipv4(inside, remote, frame.ProtoUDP, 64, udp(40001, 53, 0, payload)),
		"TCP":             ipv4(inside, remote, frame.ProtoTCP, 64, tcp(40002, 443, 0x10, payload)),
		"ICMP":            ipv4(inside, remote, frame.ProtoICMP, 64, icmp(8, 77, payload)),
	}
}

// arrived is a frame as a port hands it on.
func arrived(b []byte, in frame.Interface) frame.Frame {
	f := frame.Copy(b, 0)
	f.In = in
	return f
}

func keyOf(t testing.TB, b []byte) Key {
	t.Helper()
	f := arrived(b, lan)
	k, ok := KeyOf(&f)
	if !ok {
		t.Fatalf("% x is not for the fast path", b)
	}
	return k
}

func hopOf(t testing.TB, tab *Table, out frame.Interface, next frame.Addr) HopID {
	t.Helper()
	id, ok := tab.Hop(out, next, macGW, macOut, 1500)
	if !ok {
		t.Fatal("no next hop left")
	}
	return id
}

// entryFor is an in2out entry for the flow of b.
func entryFor(t testing.TB, tab *Table, b []byte, o Owner) Entry {
	t.Helper()
	return Entry{Key: keyOf(t, b), Side: Source, Addr: outside, Port: 61000,
		Hop: hopOf(t, tab, wan, gateway), Owner: o, Idle: 60 * time.Second}
}

func insert(t testing.TB, tab *Table, e Entry, now int64) {
	t.Helper()
	if !tab.Insert(e, tab.Epoch(), now) {
		t.Fatalf("insert of %+v refused: %+v", e, tab.Stats())
	}
}

// hit runs one frame through tab and reports whether it was forwarded. A frame
// that was not must be untouched.
func hit(t testing.TB, tab *Table, b []byte, now int64) bool {
	t.Helper()
	batch := []frame.Frame{arrived(b, lan)}
	n := tab.process(batch, now)
	if n == 1 && batch[0].Out != 0 {
		return true
	}
	if n != 0 || batch[0].Out != 0 {
		t.Fatalf("%d hits, but Out is %d", n, batch[0].Out)
	}
	if !bytes.Equal(b, batch[0].Bytes()) {
		t.Fatalf("a frame that was not hit was changed:\n% x\n% x", b, batch[0].Bytes())
	}
	return false
}

// slow is what the stack and the NAT make of the frame b for entry e.
func slow(t testing.TB, b []byte, e Entry) []byte {
	t.Helper()
	f := frame.Copy(b, 0)
	f.SetMACs(macGW, macOut)
	ip := header.IPv4(f.Payload())
	f.Trim(frame.HeaderLen + int(ip.TotalLength())) // padding ends here
	ip.SetTTL(ip.TTL() - 1)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	var p frame.Packet
	if r := p.Parse(f.Payload()); r != drop.None {
		t.Fatalf("the fast path took a packet that the slow path drops: %v", r)
	}
	if e.Side == Source {
		p.SetSource(e.Addr, e.Port)
	} else {
		p.SetDestination(e.Addr, e.Port)
	}
	return f.Bytes()
}
