//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"spigate/netstack/flow"
	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// twin is the program beside the fast path of package flow, with the same flows,
// next hops and interfaces.
type twin struct {
	*bed
	fast   *flow.Table
	reader *flow.Reader
	hops   map[uint16]flow.HopID
	slots  map[flow.Key]uint32
	told   map[flow.Key][2]uint64 // by the fast path: packets and bytes
	out    []byte                 // what the last frame became
}

const twinNow = int64(time.Hour)

// Interfaces that flows of the twin leave by.
const (
	outPlain  = frame.Interface(7)
	outTagged = frame.Interface(8)
)

func newTwin(t testing.TB, flows int) *twin {
	t.Helper()
	return newTwinOf(t, newBed(t, flows), flows)
}

// newTwinOf is newTwin without a program in the kernel where there is no bed.
func newTwinOf(t testing.TB, b *bed, flows int) *twin {
	t.Helper()
	if b == nil {
		b = &bed{t: t}
	}
	w := &twin{bed: b, slots: map[flow.Key]uint32{}, told: map[flow.Key][2]uint64{}, hops: map[uint16]flow.HopID{}}
	w.fast = flow.New(flow.Config{Capacity: flows, Active: func(r flow.Report) {
		n := w.told[r.Key]
		w.told[r.Key] = [2]uint64{n[0] + r.Packets, n[1] + r.Bytes}
	}})
	w.reader = w.fast.Reader()
	t.Cleanup(w.reader.Close)
	w.hop(hopPlain, outPlain, 1, linkMTU)
	w.hop(hopTagVLAN, outTagged, 2, linkMTU)
	w.hop(hopNarrow, outPlain, 3, narrow)
	w.hop(hopInvalid, outPlain, 4, linkMTU)
	return w
}

func (w *twin) hop(row uint16, out frame.Interface, next byte, mtu int) {
	w.t.Helper()
	id, ok := w.fast.Hop(out, frame.Addr{10, 0, 0, next}, macGW, macOut, mtu)
	if !ok {
		w.t.Fatal("no next hop left")
	}
	w.hops[row] = id
}

// add makes a flow of both. Flows of hopInvalid lose their next hop at once.
func (w *twin) add(ip []byte, in frame.Interface, to what) {
	w.t.Helper()
	f := frame.Copy(ethernet(bend(ip, func(ip []byte) { ip[8] = 64 })), 0)
	f.In = in
	k, ok := flow.KeyOf(&f)
	if _, twice := w.slots[k]; !ok || twice {
		w.t.Fatalf("% x is no packet of a new flow", ip)
	}
	if w.slots[k] = 0; w.table != nil {
		w.slots[k] = w.insert(ip, in, to)
	}
	e := flow.Entry{
		Key: k, Addr: to.addr, Port: to.port, Hop: w.hops[to.hop], Idle: time.Hour,
		DFOnly: to.flags&bucket.DFOnly != 0, Owner: flow.Owner{Kind: flow.OwnerLSN, ID: uint64(w.slots[k])},
	}
	if to.flags&bucket.Destination != 0 {
		e.Side = flow.Destination
	}
	if !w.fast.Insert(e, w.fast.Epoch(), twinNow) {
		w.t.Fatalf("refused: %+v", e)
	}
}

// reference is what a port with the fast path behind it makes of a frame; nil if
// it leaves it to the stack.
func (w *twin) reference(b []byte) []byte {
	f := frame.Copy(b, 0)
	f.StripTag()
	in, known := map[uint16]frame.Interface{0: plain, taggedVLAN: tagged}[f.VLAN]
	if !known || f.Len() < frame.HeaderLen || f.Dst() != macUs || f.Src() == macUs || f.Tagged() {
		return nil
	}
	f.In = in
	batch := []frame.Frame{f}
	if w.reader.Process(batch, twinNow) == 0 {
		return nil
	}
	if batch[0].VLAN = 0; batch[0].Out == outTagged {
		batch[0].VLAN = vlanOut
	}
	if !batch[0].PushTag() {
		w.t.Fatal("no room for a tag")
	}
	return batch[0].Bytes()
}

// same gives a frame to both, and reports whether they forwarded it.
func (w *twin) same(b []byte) bool {
	w.t.Helper()
	action, got := w.run(b)
	want := w.reference(b)
	switch {
	case want == nil && action == pass:
		want = b
	case want == nil || action != redirect:
		w.t.Fatalf("%s by the program, by the fast path % x (%v):\n% x", programActions[action], want, w.punts(), b)
	}
	if !bytes.Equal(want, got) {
		w.t.Fatalf("program and fast path differ:\nin   % x\nwant % x\ngot  % x", b, want, got)
	}
	w.out = got
	return action == redirect
}

// sameCounts compares what both have counted for each flow.
func (w *twin) sameCounts() (packets uint64) {
	w.t.Helper()
	w.fast.Sweep(twinNow)
	for k, slot := range w.slots {
		n, size := w.table.Credit(slot)
		if got := [2]uint64{n, size}; got != w.told[k] {
			w.t.Errorf("%+v: %v packets and bytes counted by the program, %v by the fast path", k, got, w.told[k])
		}
		packets += n
	}
	w.told = map[flow.Key][2]uint64{}
	return packets
}

// corners are the numbers where one's complement has its corners.
var corners = []uint16{0, 1, 0xffff, 0xfffe, 0x8000, 500, 4500}

type dice struct{ *rand.Rand }

func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func (d dice) word() uint16 {
	if d.one(3) {
		return corners[d.IntN(len(corners))]
	}
	return uint16(d.Uint32())
}

func (d dice) addr() (a frame.Addr) {
	binary.BigEndian.PutUint16(a[0:], d.word())
	binary.BigEndian.PutUint16(a[2:], d.word())
	return a
}

// packet is a random packet that is the first of a flow: any ports, any sums.
func (d dice) packet() []byte {
	payload := d.IntN(80)
	if d.one(20) {
		payload = 500 + d.IntN(1000)
	}
	var ip []byte
	switch d.IntN(3) {
	case 0:
		ip = ipv4(d.addr(), d.addr(), frame.ProtoESP, esp(d.Uint32(), payload))
	case 1:
		ip = ipv4(d.addr(), d.addr(), frame.ProtoUDP, udp(d.word(), d.word(), d.word(), payload))
	case 2:
		ip = ipv4(d.addr(), d.addr(), frame.ProtoTCP, tcp(d.word(), d.word(), d.word(), 0x10, payload))
	}
	for i := 28; i < len(ip); i++ {
		if ip[9] != frame.ProtoTCP || i >= 40 {
			ip[i] = byte(d.Uint32())
		}
	}
	return ip
}

// flow is what a random flow does.
func (d dice) flow(ip []byte) what {
	w := what{addr: d.addr(), port: d.word(), hop: []uint16{hopPlain, hopTagVLAN, hopNarrow}[d.IntN(3)]}
	if d.one(2) {
		w.flags |= bucket.Destination
	}
	if d.one(4) {
		w.flags |= bucket.DFOnly
	}
	side := ip[12:]
	if w.flags&bucket.Destination != 0 {
		side = ip[16:]
	}
	if d.one(4) { // half of the address stays
		copy(w.addr[:2], side)
	}
	if d.one(8) {
		copy(w.addr[:], side)
	}
	return w
}

// again is another packet of the flow of ip, mostly one that can be forwarded.
func (d dice) again(ip []byte) []byte {
	ip = bytes.Clone(ip)
	ip[1], ip[8] = byte(d.Uint32()), byte(2+d.IntN(254))
	binary.BigEndian.PutUint16(ip[4:], d.word())
	if d.one(4) {
		ip[6] &^= 0x40
	}
	switch ip[9] {
	case frame.ProtoUDP:
		binary.BigEndian.PutUint16(ip[26:], d.word())
	case frame.ProtoTCP:
		binary.BigEndian.PutUint16(ip[36:], d.word())
	}
	if d.one(5) {
		d.harm(ip)
	}
	resum(ip)
	if d.one(16) { // and its other form of zero, or a wrong one
		copy(ip[10:], [][]byte{{0, 0}, {0xff, 0xff}, {byte(d.Uint32()), 0}}[d.IntN(3)])
	}
	return ip
}

// harm makes a packet's header such that most often it is the stack's.
func (d dice) harm(ip []byte) {
	switch d.IntN(8) {
	case 0:
		ip[0] = byte(d.Uint32())
	case 1:
		binary.BigEndian.PutUint16(ip[2:], uint16(int(binary.BigEndian.Uint16(ip[2:]))+d.IntN(9)-4))
	case 2:
		ip[6] ^= 1 << d.IntN(8)
	case 3:
		ip[8] = byte(d.IntN(3))
	case 4:
		ip[9] = []byte{1, 6, 17, 47, 50}[d.IntN(5)]
	case 5:
		ip[20+d.IntN(8)] ^= 1 << d.IntN(8)
	case 6:
		if len(ip) >= 40 {
			ip[33] = byte(d.Uint32())
		}
	case 7:
		ip[12+d.IntN(8)] ^= 1 << d.IntN(8)
	}
}

// link puts a packet into a frame, mostly with the right tag.
func (d dice) link(ip []byte, in frame.Interface) []byte {
	var tags [][2]uint16
	if in == tagged {
		tags = append(tags, vlan(d.word()&0xf000|taggedVLAN))
	} else if d.one(8) {
		tags = append(tags, vlan(d.word()&0xf000))
	}
	if d.one(40) {
		tags = append(tags, [2]uint16{[]uint16{frame.TypeVLAN, frame.TypeProvider, 0x9100}[d.IntN(3)], d.word()})
	}
	f := ethernet(ip, tags...)
	switch d.IntN(24) {
	case 0:
		f = f[:max(frame.HeaderLen, len(f)-1-d.IntN(8))]
	case 1:
		f[d.IntN(12)] ^= 1 << d.IntN(8)
	case 2, 3, 4, 5, 6:
		f = append(f, make([]byte, d.IntN(40))...)
	}
	return f
}

func TestTwentyThousandRandomPacketsComeOutAsFromTheFastPath(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	w := newTwin(t, 2048)
	type known struct {
		ip []byte
		in frame.Interface
	}
	var flows []known
	for len(flows) < 200 {
		k := known{d.packet(), []frame.Interface{plain, tagged}[d.IntN(2)]}
		if f := frame.Copy(ethernet(k.ip), 0); keyable(&f) {
			w.add(k.ip, k.in, d.flow(k.ip))
			flows = append(flows, k)
		}
	}
	forwarded := uint64(0)
	for range 20000 {
		k := flows[d.IntN(len(flows))]
		f := d.link(d.again(k.ip), k.in)
		if d.one(50) {
			f = d.link(d.packet(), k.in)
		}
		if w.same(f) {
			forwarded++
		}
	}
	if n := w.sameCounts(); n != forwarded || n < 5000 {
		t.Errorf("%d packets forwarded, %d counted", forwarded, n)
	}
	left := w.punts()
	sum := uint64(0)
	for _, n := range left {
		sum += n
	}
	if sum != 20000-forwarded {
		t.Errorf("%d left to the stack are counted, want %d", sum, 20000-forwarded)
	}
	t.Logf("%d forwarded, left to the stack: %v", forwarded, left)
	for _, why := range []Reason{Short, NotOurs, Type, VLAN, Options, Length, Fragment, TTL, Checksum, Protocol, Flags, IKE, Miss, Fragmentable, MTU} {
		if left[why] == 0 {
			t.Errorf("no packet was left to the stack as %v: the test plays less than it says", why)
		}
	}
}

func keyable(f *frame.Frame) bool {
	_, ok := flow.KeyOf(f)
	return ok
}
