//go:build linux && !noxdp

package xdp

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
)

// A packet is one frame, put together from scratch, checksums and all.
type packet struct {
	dst, src frame.MAC
	vlan     uint16 // 802.1Q id with priority, 0: no tag
	from, to frame.Addr
	proto    uint8
	id       uint32 // as in flow.Key
	ttl      uint8
	payload  string
}

func (p packet) bytes() []byte {
	b := append(append([]byte(nil), p.dst[:]...), p.src[:]...)
	if p.vlan != 0 {
		b = binary.BigEndian.AppendUint16(b, frame.TypeVLAN)
		b = binary.BigEndian.AppendUint16(b, p.vlan)
	}
	b = binary.BigEndian.AppendUint16(b, frame.TypeIPv4)
	at := len(b)
	t := p.transport()
	b = append(append(b, make([]byte, header.IPv4MinimumSize)...), t...)
	ip := header.IPv4(b[at:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b) - at), TTL: p.ttl, Protocol: p.proto, ID: 7, Flags: header.IPv4FlagDontFragment,
		SrcAddr: tcpip.AddrFrom4(p.from), DstAddr: tcpip.AddrFrom4(p.to),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	if sum := map[uint8]int{frame.ProtoUDP: 6, frame.ProtoTCP: 16}[p.proto]; sum != 0 {
		pseudo := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(p.proto), ip.SourceAddress(), ip.DestinationAddress(), uint16(len(t)))
		t = ip[header.IPv4MinimumSize:]
		binary.BigEndian.PutUint16(t[sum:], ^checksum.Checksum(t, pseudo))
	}
	return b
}

// transport is the header with a checksum of zero, and the payload.
func (p packet) transport() []byte {
	t := binary.BigEndian.AppendUint32(nil, p.id)
	switch p.proto {
	case frame.ProtoESP:
		t = append(t, 0, 0, 0, 1) // sequence number
	case frame.ProtoUDP:
		t = binary.BigEndian.AppendUint16(t, uint16(header.UDPMinimumSize+len(p.payload)))
		t = append(t, 0, 0)
	case frame.ProtoTCP:
		t = append(t, 0, 0, 0, 1, 0, 0, 0, 2, 5<<4, 0x18, 1, 0, 0, 0, 0, 0) // PSH, ACK
	}
	return append(t, p.payload...)
}

// A host is what is at the other end of a port's cable, as a packet socket.
type host struct {
	t     testing.TB
	fd    int
	index int
	mac   frame.MAC

	buf, control []byte
}

func newHost(t testing.TB, device string) *host {
	t.Helper()
	a := linkNamed(t, device).Attrs()
	h := &host{t: t, index: a.Index, mac: frame.MAC(a.HardwareAddr), buf: make([]byte, 10000), control: make([]byte, 256)}
	var err error
	h.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(h.fd) })
	must(t, unix.SetsockoptInt(h.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	must(t, unix.SetsockoptInt(h.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1))
	must(t, unix.SetsockoptInt(h.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1))
	must(t, unix.SetsockoptInt(h.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	tv := unix.NsecToTimeval(5e9)
	must(t, unix.SetsockoptTimeval(h.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	must(t, unix.Bind(h.fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: h.index})) // all, in network byte order
	return h
}

func (h *host) send(b []byte) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	err := error(unix.ENOBUFS) // as long as others leave no room in the queue that all namespaces share
	for ; err == unix.ENOBUFS && ctx.Err() == nil; runtime.Gosched() {
		err = unix.Sendto(h.fd, b, 0, &unix.SockaddrLinklayer{Ifindex: h.index})
	}
	must(h.t, err)
}

// receive returns the next IPv4 frame with its tag, as it was on the wire, nil
// if there is none and wait is false. It is good until the next call.
func (h *host) receive(wait bool) []byte {
	h.t.Helper()
	flags := 0
	if !wait {
		flags = unix.MSG_DONTWAIT
	}
	for {
		n, c, _, _, err := unix.Recvmsg(h.fd, h.buf, h.control, flags)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN && !wait, err == unix.ENETDOWN:
			return nil
		}
		must(h.t, err)
		if b := tagBack(h.t, h.buf[:n], h.control[:c]); len(b) > 20 && bytes.Contains(b[12:19], []byte{8, 0, 0x45}) {
			return b
		}
	}
}

// tagBack puts back the tag that the kernel takes out for packet sockets.
func tagBack(t testing.TB, b, control []byte) []byte {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(control)
	must(t, err)
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA {
			continue
		}
		status, tci := binary.NativeEndian.Uint32(m.Data), binary.NativeEndian.Uint16(m.Data[16:])
		if status&unix.TP_STATUS_VLAN_VALID != 0 {
			tag := binary.BigEndian.AppendUint16([]byte{0x81, 0}, tci)
			return bytes.Join([][]byte{b[:12], tag, b[12:]}, nil)
		}
	}
	return b
}

// wants fails unless the next frame is this one.
func (h *host) wants(p packet) {
	h.t.Helper()
	if diff := cmp.Diff(p.bytes(), h.receive(true)); diff != "" {
		h.t.Errorf("not the frame that was expected (-want +got):\n%s", diff)
	}
}

// wantsNothing fails if a frame has come in. Whoever calls it has seen already
// what became of the frame instead.
func (h *host) wantsNothing() {
	h.t.Helper()
	if b := h.receive(false); b != nil {
		h.t.Errorf("a frame came: %x", b)
	}
}

// The interfaces of a world's ports.
const (
	lanPlain frame.Interface = iota + 1
	lanTagged
	wanPlain
	wanTagged
)

// The tags of a world's VLANs.
const (
	lanVLAN = 10
	wanVLAN = 20
)

var (
	insideAddr = frame.Addr{10, 0, 0, 2}
	natAddr    = frame.Addr{192, 0, 2, 1}
	remoteAddr = frame.Addr{198, 51, 100, 1}
	router     = map[string]frame.MAC{"lan": {2, 0, 0, 0, 0, 1}, "wan": {2, 0, 0, 0, 0, 2}}
	peer       = frame.MAC{2, 0, 0, 0, 0, 3}
	plainHop   = flow.HopID(1)
	taggedHop  = flow.HopID(2)
	insideHop  = flow.HopID(3)
	defaultMTU = 1500
)

// A world is two ports between two hosts.
type world struct {
	*Offload
	t        testing.TB
	lan, wan *host
	up       *host // what lan leaves to the stack
	journal  journal
	now      int64
}

// newWorld makes the cables with GRO at the hosts' ends, unless a device is
// there already, and opens the offload with hops to the hosts.
func newWorld(t testing.TB, mode Mode, flows int) *world {
	t.Helper()
	veth(t, "lan", "host-lan")
	veth(t, "wan", "host-wan")
	gro(t, "host-lan", true)
	gro(t, "host-wan", true)
	return newWorldOf(t, mode, flows)
}

func newWorldOf(t testing.TB, mode Mode, flows int) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	w.Offload, err = Open(Config{Ports: worldPorts(), Flows: flows, Mode: mode, Log: w.journal.logger()})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	w.setHops()
	w.hosts()
	return w
}

// setHops tells the hops to both hosts.
func (w *world) setHops() {
	w.SetHop(plainHop, flow.OffloadHop{Out: wanPlain, Dst: peer, Src: router["wan"], MTU: defaultMTU, Valid: true})
	w.SetHop(taggedHop, flow.OffloadHop{Out: wanTagged, Dst: peer, Src: router["wan"], MTU: defaultMTU, Valid: true})
	w.SetHop(insideHop, flow.OffloadHop{Out: lanPlain, Dst: peer, Src: router["lan"], MTU: defaultMTU, Valid: true})
}

func worldPorts() []Port {
	return []Port{
		{Name: "lan", MAC: router["lan"], Interfaces: map[uint16]frame.Interface{0: lanPlain, lanVLAN: lanTagged}},
		{Name: "wan", MAC: router["wan"], Interfaces: map[uint16]frame.Interface{0: wanPlain, wanVLAN: wanTagged}},
	}
}

func (w *world) hosts() {
	w.lan, w.wan, w.up = newHost(w.t, "host-lan"), newHost(w.t, "host-wan"), newHost(w.t, "lan")
}

// outbound is a packet of the n-th flow as it comes in, and as it leaves.
func outbound(proto uint8, n uint16, in, out uint16) (come, leave packet) {
	come = packet{
		dst: router["lan"], src: peer, vlan: in, from: insideAddr, to: remoteAddr, proto: proto,
		id: flow.PortsID(1000+n, 2000), ttl: 64, payload: "what is carried",
	}
	leave = come
	leave.dst, leave.src, leave.vlan, leave.from, leave.ttl = peer, router["wan"], out, natAddr, 63
	if proto != frame.ProtoESP {
		leave.id = flow.PortsID(3000+n, 2000)
	}
	return come, leave
}

// offloaded is the flow of outbound.
func offloaded(proto uint8, n uint16, in frame.Interface, hop flow.HopID) flow.Offloaded {
	return flow.Offloaded{
		Key:  flow.Key{Src: insideAddr, Dst: remoteAddr, ID: flow.PortsID(1000+n, 2000), Proto: proto, In: in},
		Side: flow.Source, Addr: natAddr, Port: 3000 + n, Hop: hop,
	}
}

// add is Add of a flow that has to be taken.
func (w *world) add(f flow.Offloaded) uint32 {
	w.t.Helper()
	ref, ok := w.Add(f)
	if !ok {
		w.t.Fatalf("flow %+v was refused", f)
	}
	return ref
}

// count is what ref has counted since it was last asked.
func (w *world) count(ref uint32) (packets, bytes uint64) {
	var c [1]flow.Carried
	w.Count([]uint32{ref}, c[:])
	return c[0].Packets, c[0].Bytes
}

// wantCount fails unless ref has counted so much since it was last asked.
func (w *world) wantCount(ref uint32, packets, bytes uint64) {
	w.t.Helper()
	if p, b := w.count(ref); p != packets || b != bytes {
		w.t.Errorf("counted %d packets of %d bytes, want %d of %d", p, b, packets, bytes)
	}
}

// second lets a second pass.
func (w *world) second() {
	w.now += 1e9
	w.Check(w.now)
}
