//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// orderBed is a machine with the same interfaces, next hops and flow as a twin.
type orderBed struct {
	*machine
	flows    []byte
	counters []byte
	hash     *bucket.Table // for its hash alone, which goes by numbers
}

const orderBuckets = 5

func newOrderBed(t *testing.T, spec *ebpf.CollectionSpec) *orderBed {
	o := spec.ByteOrder
	word := func(b ...byte) uint32 { return o.Uint32(b) }
	words := func(of ...uint32) []byte {
		b := make([]byte, 4*len(of))
		for i, w := range of {
			o.PutUint32(b[4*i:], w)
		}
		return b
	}
	u := macUs
	constants := map[string][]byte{
		"bucket_count": words(orderBuckets),
		"seed":         words(uint32(seed[0]), uint32(seed[0]>>32), uint32(seed[1]), uint32(seed[1]>>32)),
		"this_port":    words(0),
		"own_mac":      words(word(u[0], u[1], u[2], u[3]), word(u[2], u[3], u[4], u[5]), word(u[4], u[5], u[4], u[5])),
	}
	contexts := make([]byte, 2*4096)
	contexts[0], contexts[taggedVLAN] = uint8(plain), uint8(tagged)
	b := &orderBed{flows: make([]byte, orderBuckets*bucket.Size), counters: make([]byte, 8*Reasons)}
	memory, err := bucket.Anonymous(bucket.Ways)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Release() })
	if b.hash, err = bucket.New(memory.Bytes(), seed, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.hash.Release() })
	b.machine = newMachine(spec, constants, map[string][]byte{
		mapFlows: b.flows, mapHops: make([]byte, Hops*hopSize), mapContexts: contexts, mapCounters: b.counters,
	})
	b.ports[uint32(onePort)] = true
	out := Route{Port: onePort, Dst: macGW, Src: macOut, MTU: linkMTU}
	b.hop(hopPlain, out)
	out.VLAN = vlanOut
	b.hop(hopTagVLAN, out)
	out.VLAN, out.MTU = 0, narrow
	b.hop(hopNarrow, out)
	return b
}

// hop writes a row in the machine's byte order.
func (b *orderBed) hop(row uint16, r Route) {
	h := r.fields()
	for i, n := range b.names {
		if n != mapHops {
			continue
		}
		to := b.regions[dataBase+uint64(i)<<20][int(row)*hopSize:]
		copy(to[2:], h.head[:])
		b.order.PutUint16(to[20:], h.mtu)
		b.order.PutUint16(to[22:], h.port)
		state := uint32(hopValid + 3*hopVersion)
		if r.VLAN != 0 {
			state |= hopTagged
		}
		b.order.PutUint32(to[24:], state)
	}
}

// set makes the flow of ip the only one, in this way of its first or second
// bucket, and returns where it is.
func (b *orderBed) set(second bool, way int, ip []byte, in frame.Interface, w what) []byte {
	clear(b.flows)
	h := b.hash.Hash(bucket.MakeKey(b.order.Uint64(ip[12:]), b.order.Uint32(ip[20:]), ip[9], uint8(in)))
	if second {
		h >>= 32
	}
	number := int(h & 0xffffffff * orderBuckets >> 32)
	e := b.flows[(number*bucket.Ways+way)*bucket.EntrySize:]
	copy(e[0:], ip[12:20])
	copy(e[8:], ip[20:24])
	b.order.PutUint32(e[12:], uint32(ip[9])<<24|uint32(in)<<16|5<<4|w.flags|bucket.Valid)
	copy(e[16:], w.addr[:])
	binary.BigEndian.PutUint16(e[20:], w.port)
	b.order.PutUint16(e[22:], w.hop)
	return e
}

func TestObjectsOfBothByteOrdersForwardAsTheFastPath(t *testing.T) {
	for name, spec := range objects(t) {
		b := newOrderBed(t, spec)
		d := dice{rand.New(rand.NewPCG(7, 8))}
		forwarded, packets := 0, 0
		for packets < 3000 {
			ip, in := d.packet(), []frame.Interface{plain, tagged}[d.IntN(2)]
			if f := frame.Copy(ethernet(ip), 0); !keyable(&f) {
				continue
			}
			w := newTwinOf(t, nil, 8)
			to := d.flow(ip)
			w.add(ip, in, to)
			entry := b.set(d.one(2), d.IntN(bucket.Ways), ip, in, to)
			sent, size := uint64(0), uint64(0)
			for range 20 {
				packets++
				f := d.link(d.again(ip), in)
				want := w.reference(f)
				action, got := b.run(f)
				if (action == redirect) != (want != nil) || action != redirect && action != pass {
					t.Fatalf("%s: %s, by the fast path % x:\n% x", name, programActions[action], want, f)
				}
				if want == nil {
					want = f
				} else {
					sent++
					size += uint64(binary.BigEndian.Uint16(want[len(want)-totalAt(want):][2:]))
				}
				if !bytes.Equal(want, got) {
					t.Fatalf("%s:\nin   % x\nwant % x\ngot  % x", name, f, want, got)
				}
			}
			forwarded += int(sent)
			if n := b.order.Uint64(entry[24:]); n != sent<<36|size {
				t.Fatalf("%s: counted %#x, want %d packets of %d bytes", name, n, sent, size)
			}
		}
		left := uint64(0)
		for r := range Reasons {
			left += b.order.Uint64(b.counters[8*r:])
		}
		if forwarded < packets/4 || left != uint64(packets-forwarded) {
			t.Errorf("%s: %d of %d forwarded, %d counted as left to the stack", name, forwarded, packets, left)
		}
		t.Logf("%s: %d of %d packets forwarded, %d instructions each", name, forwarded, packets, b.steps/packets)
	}
}

// totalAt is how many bytes before its end the IPv4 packet of a frame begins.
func totalAt(f []byte) int {
	if binary.BigEndian.Uint16(f[12:]) == frame.TypeVLAN {
		return len(f) - 18
	}
	return len(f) - 14
}
