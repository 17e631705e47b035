//go:build linux

package bpf

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

var (
	inside  = frame.Addr{192, 0, 2, 10}
	outside = frame.Addr{203, 0, 113, 3}
	remote  = frame.Addr{198, 51, 100, 7}

	macUs, macIn   = frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}
	macOut, macGW  = frame.MAC{2, 0, 0, 0, 0, 3}, frame.MAC{2, 0, 0, 0, 0, 4}
	seed           = bucket.Seed{0x0123456789abcdef, 0xfedcba9876543210}
	plain, tagged  = frame.Interface(1), frame.Interface(3) // interfaces of the port
	taggedVLAN     = uint16(10)
	onePort, lo    = 1, 1 // the port that all leaves by; any device will do
	hopPlain       = uint16(1)
	hopTagVLAN     = uint16(2)
	hopInvalid     = uint16(3)
	hopNarrow      = uint16(4)
	hopNoPort      = uint16(5)
	vlanOut        = uint16(20)
	narrow         = 600
	linkMTU        = 1500
	programActions = map[uint32]string{0: "aborted", 1: "drop", 2: "pass", 3: "transmit", 4: "redirect"}
)

const (
	pass     = 2
	redirect = 4
)

// bed is the program over maps with a table of flows, run by the kernel on
// frames from memory. Nothing is attached to anything.
type bed struct {
	t     testing.TB
	maps  *Maps
	table *bucket.Table
	prog  *ebpf.Program
}

func newBed(t testing.TB, flows int) *bed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test loads a program into the kernel: run it as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON as user 0")
	}
	b := &bed{t: t}
	var err error
	if b.maps, err = NewMaps(Config{Buckets: bucket.Slots(flows) / bucket.Ways, Ports: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.maps.Close() })
	if b.table, err = bucket.New(b.maps.Flows(), seed, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.table.Release() })
	b.maps.SetContext(0, 0, plain)
	b.maps.SetContext(0, taggedVLAN, tagged)
	if err := b.maps.SetPort(onePort, lo); err != nil {
		t.Fatal(err)
	}
	out := Route{Port: onePort, Dst: macGW, Src: macOut, MTU: linkMTU}
	b.maps.SetHop(int(hopPlain), out)
	b.maps.SetHop(int(hopTagVLAN), Route{Port: onePort, VLAN: vlanOut, Dst: macGW, Src: macOut, MTU: linkMTU})
	b.maps.SetHop(int(hopInvalid), out)
	b.maps.ClearHop(int(hopInvalid))
	b.maps.SetHop(int(hopNarrow), Route{Port: onePort, Dst: macGW, Src: macOut, MTU: narrow})
	b.maps.SetHop(int(hopNoPort), Route{Port: 0, Dst: macGW, Src: macOut, MTU: linkMTU})
	if b.prog, err = b.maps.Load(Constants{Seed: seed, Port: 0, MAC: macUs}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.prog.Close() })
	return b
}

// what a flow does with its packets.
type what struct {
	flags uint32
	addr  frame.Addr
	port  uint16
	hop   uint16
}

// value is what an entry of bucket has for it.
func (w what) value() uint64 {
	port := binary.BigEndian.AppendUint16(nil, w.port)
	return bucket.PackValue(binary.NativeEndian.Uint32(w.addr[:]), binary.NativeEndian.Uint16(port), w.hop)
}

// keyOf is the key of an IPv4 packet that came in on i.
func keyOf(ip []byte, i frame.Interface) bucket.Key {
	return bucket.MakeKey(binary.NativeEndian.Uint64(ip[12:]), binary.NativeEndian.Uint32(ip[20:]), ip[9], uint8(i))
}

// insert makes a flow of the packet ip, and returns its slot.
func (b *bed) insert(ip []byte, i frame.Interface, w what) uint32 {
	b.t.Helper()
	slot, ok := b.table.Insert(keyOf(ip, i), w.flags, w.value(), 0)
	if !ok {
		b.t.Fatal("no room for a flow")
	}
	return slot
}

// run gives a frame to the program, and returns what became of it.
func (b *bed) run(f []byte) (action uint32, out []byte) {
	b.t.Helper()
	return b.runWith(&ebpf.RunOptions{Data: f})
}

func (b *bed) runWith(o *ebpf.RunOptions) (action uint32, out []byte) {
	b.t.Helper()
	o.DataOut = make([]byte, len(o.Data)+64)
	action, err := b.prog.Run(o)
	if err != nil {
		b.t.Fatalf("the kernel did not run the program on % x: %v", o.Data, err)
	}
	return action, o.DataOut
}

// punts is how many frames were left to the stack for each reason.
func (b *bed) punts() [Reasons]uint64 {
	b.t.Helper()
	n, err := b.maps.Punts()
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// ipv4 makes a packet around transport, with TTL 64 and DF set.
func ipv4(src, dst frame.Addr, proto uint8, transport []byte) []byte {
	ip := header.IPv4(make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(transport)))
	ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(transport)))
	binary.BigEndian.PutUint16(ip[4:], 0xbeef)
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	resum(ip)
	return append(ip, transport...)
}

// resum makes the checksum of the first 20 bytes right, whatever they say.
func resum(ip header.IPv4) {
	ip.SetChecksum(0)
	ip.SetChecksum(^checksum.Checksum(ip[:header.IPv4MinimumSize], 0))
}

func esp(spi uint32, payload int) []byte {
	t := make([]byte, 8+payload)
	binary.BigEndian.PutUint32(t, spi)
	binary.BigEndian.PutUint32(t[4:], 1)
	return t
}

func udp(src, dst, sum uint16, payload int) []byte {
	t := make([]byte, 8+payload)
	binary.BigEndian.PutUint16(t, src)
	binary.BigEndian.PutUint16(t[2:], dst)
	binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	binary.BigEndian.PutUint16(t[6:], sum)
	return t
}

func tcp(src, dst, sum uint16, flags uint8, payload int) []byte {
	t := make([]byte, 20+payload)
	binary.BigEndian.PutUint16(t, src)
	binary.BigEndian.PutUint16(t[2:], dst)
	t[12], t[13] = 0x50, flags
	binary.BigEndian.PutUint16(t[16:], sum)
	return t
}

// ethernet puts a packet into a frame for the port, with the tags' TPID and TCI.
func ethernet(ip []byte, tags ...[2]uint16) []byte {
	f := append(append([]byte(nil), macUs[:]...), macIn[:]...)
	for _, tag := range tags {
		f = binary.BigEndian.AppendUint16(f, tag[0])
		f = binary.BigEndian.AppendUint16(f, tag[1])
	}
	return append(binary.BigEndian.AppendUint16(f, frame.TypeIPv4), ip...)
}

// vlan is a tag of IEEE 802.1Q.
func vlan(tci uint16) [2]uint16 { return [2]uint16{frame.TypeVLAN, tci} }
