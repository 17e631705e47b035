//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/flow/bucket"
	"spigate/netstack/frame"
)

// typical are packets of the kinds that the program takes.
func typical(payload int) map[string][]byte {
	return map[string][]byte{
		"ESP":             ipv4(inside, remote, frame.ProtoESP, esp(0xc0ffee01, payload)),
		"UDP":             ipv4(inside, remote, frame.ProtoUDP, udp(40000, 53, 0x7777, payload)),
		"UDP without sum": ipv4(inside, remote, frame.ProtoUDP, udp(40001, 53, 0, payload)),
		"TCP":             ipv4(inside, remote, frame.ProtoTCP, tcp(40002, 443, 0x1234, 0x10, payload)),
	}
}

// rewritten is what an in2out flow to outside:61000 makes of a packet: every
// checksum as if from scratch, but for transport checksums, which are moved by
// the difference, as they were not right.
func rewritten(ip []byte, port uint16) []byte {
	out := header.IPv4(bytes.Clone(ip))
	copy(out[12:], outside[:])
	out[8]--
	resum(out)
	t := out[20:]
	at := map[uint8]int{frame.ProtoUDP: 6, frame.ProtoTCP: 16}[out[9]]
	if at == 0 {
		return out
	}
	was := binary.BigEndian.Uint16(t)
	binary.BigEndian.PutUint16(t, port)
	if sum := binary.BigEndian.Uint16(t[at:]); sum != 0 || out[9] != frame.ProtoUDP {
		n := uint32(^sum)
		for _, w := range [][2]uint16{
			{binary.BigEndian.Uint16(inside[0:]), binary.BigEndian.Uint16(outside[0:])},
			{binary.BigEndian.Uint16(inside[2:]), binary.BigEndian.Uint16(outside[2:])},
			{was, port},
		} {
			n += uint32(^w[0]) + uint32(w[1])
		}
		for n > 0xffff {
			n = n&0xffff + n>>16
		}
		binary.BigEndian.PutUint16(t[at:], ^uint16(n))
	}
	return out
}

func TestItForwardsWhatItKnowsWithEveryTag(t *testing.T) {
	out := append(append([]byte(nil), macGW[:]...), macOut[:]...)
	untagged := binary.BigEndian.AppendUint16(bytes.Clone(out), frame.TypeIPv4)
	withTag := append(bytes.Clone(out), 0x81, 0, byte(vlanOut>>8), byte(vlanOut), 8, 0)
	b := newBed(t, 1000)
	for name, ip := range typical(30) {
		for how, tt := range map[string]struct {
			in   []byte
			on   frame.Interface
			hop  uint16
			link []byte
		}{
			"untagged":              {ethernet(ip), plain, hopPlain, untagged},
			"tag on":                {ethernet(ip), plain, hopTagVLAN, withTag},
			"tag off":               {ethernet(ip, vlan(taggedVLAN)), tagged, hopPlain, untagged},
			"tag changed":           {ethernet(ip, vlan(taggedVLAN)), tagged, hopTagVLAN, withTag},
			"priority not kept":     {ethernet(ip, vlan(0xf000|taggedVLAN)), tagged, hopTagVLAN, withTag},
			"priority tag":          {ethernet(ip, vlan(0xe000)), plain, hopPlain, untagged},
			"priority tag, tag on":  {ethernet(ip, vlan(0)), plain, hopTagVLAN, withTag},
			"padding off":           {append(ethernet(ip), 1, 2, 3), plain, hopPlain, untagged},
			"padding off, tag on":   {append(ethernet(ip), make([]byte, 18)...), plain, hopTagVLAN, withTag},
			"padding and tag off":   {append(ethernet(ip, vlan(taggedVLAN)), make([]byte, 1000)...), tagged, hopPlain, untagged},
			"one byte too many":     {append(ethernet(ip), 0xff), plain, hopPlain, untagged},
			"tag changed, padding":  {append(ethernet(ip, vlan(taggedVLAN)), 9), tagged, hopTagVLAN, withTag},
			"with DF where DF must": {ethernet(ip), plain, hopPlain, untagged},
		} {
			w := what{addr: outside, port: 61000, hop: tt.hop}
			if how == "with DF where DF must" {
				w.flags = bucket.DFOnly
			}
			slot := b.insert(ip, tt.on, w)
			action, got := b.run(tt.in)
			if action != redirect {
				t.Errorf("%s, %s: %s, %v", name, how, programActions[action], b.punts())
				continue
			}
			if d := cmp.Diff(append(bytes.Clone(tt.link), rewritten(ip, 61000)...), got); d != "" {
				t.Errorf("%s, %s:\n%s", name, how, d)
			}
			if packets, n := b.table.Credit(slot); packets != 1 || n != uint64(len(ip)) {
				t.Errorf("%s, %s: %d packets and %d bytes counted, want 1 and %d", name, how, packets, n, len(ip))
			}
			if n := b.punts(); n != [Reasons]uint64{} {
				t.Errorf("%s, %s: counted as left to the stack: %v", name, how, n)
			}
			b.table.Remove(slot)
		}
	}
}

// bend returns a copy of ip that do has changed, with a right header checksum.
func bend(ip []byte, do func(ip []byte)) []byte {
	c := bytes.Clone(ip)
	do(c)
	resum(c)
	return c
}

func TestWhatItDoesNotForwardGoesToTheStackAsItCame(t *testing.T) {
	kinds := typical(30)
	e, u, c := kinds["ESP"], kinds["UDP"], kinds["TCP"]
	at := func(i int, v byte) func([]byte) { return func(ip []byte) { ip[i] = v } }
	port := func(i int, v uint16) func([]byte) {
		return func(ip []byte) { binary.BigEndian.PutUint16(ip[i:], v) }
	}
	withMAC := func(i int, m frame.MAC) []byte {
		f := ethernet(e)
		copy(f[i:], m[:])
		return f
	}
	badSum := ethernet(e)
	badSum[14+11]++
	options := bend(append(append(bytes.Clone(e[:20]), 1, 1, 1, 1), e[20:]...), func(ip []byte) { ip[0] = 0x46; ip[3] += 4 })
	b := newBed(t, 2) // of one bucket: only the key tells the flows apart
	for _, ip := range kinds {
		b.insert(ip, plain, what{addr: outside, port: 61000, hop: hopPlain})
	}
	for _, tt := range []struct {
		name string
		f    []byte
		why  Reason
	}{
		{"an Ethernet header alone", ethernet(nil), Short},
		{"cut one byte before the SPI's end", ethernet(e)[:41], Short},
		{"tagged and cut", ethernet(e, vlan(0))[:45], Short},
		{"for another station", withMAC(0, macGW), NotOurs},
		{"for a station that differs in the last byte", withMAC(0, frame.MAC{2, 0, 0, 0, 0, 3}), NotOurs},
		{"for a station that differs in the first byte", withMAC(0, frame.MAC{3, 0, 0, 0, 0, 2}), NotOurs},
		{"to all", withMAC(0, frame.MAC{255, 255, 255, 255, 255, 255}), NotOurs},
		{"from our own address", withMAC(6, macUs), NotOurs},
		{"ARP", append(ethernet(nil)[:12], append([]byte{8, 6}, e...)...), Type},
		{"IPv6", append(ethernet(nil)[:12], append([]byte{0x86, 0xdd}, e...)...), Type},
		{"two tags", ethernet(e, vlan(0), vlan(0)), Type},
		{"a tag of a provider", ethernet(e, [2]uint16{frame.TypeProvider, 0}), Type},
		{"an old tag of a provider", ethernet(e, [2]uint16{frame.TypeOldProvider, 0}), Type},
		{"a tag of a provider around one of ours", ethernet(e, [2]uint16{frame.TypeProvider, 0}, vlan(0)), Type},
		{"a VLAN that is no interface", ethernet(e, vlan(11)), VLAN},
		{"VLAN 4095", ethernet(e, vlan(0xffff)), VLAN},
		{"IPv4 options", ethernet(options), Options},
		{"version 6 in an IPv4 frame", ethernet(bend(e, at(0, 0x65))), Options},
		{"a header of 16 bytes", ethernet(bend(e, at(0, 0x44))), Options},
		{"longer than its frame", ethernet(bend(e, port(2, uint16(len(e)+1)))), Length},
		{"65535 bytes long", ethernet(bend(e, port(2, 0xffff))), Length},
		{"no room for an ESP header", ethernet(bend(e, port(2, 27))), Length},
		{"length 0", ethernet(bend(e, port(2, 0))), Length},
		{"more fragments", ethernet(bend(e, at(6, 0x20))), Fragment},
		{"a later fragment", ethernet(bend(e, at(7, 1))), Fragment},
		{"a far later fragment", ethernet(bend(e, at(6, 0x1f))), Fragment},
		{"TTL 0", ethernet(bend(e, at(8, 0))), TTL},
		{"TTL 1", ethernet(bend(e, at(8, 1))), TTL},
		{"a wrong header checksum", badSum, Checksum},
		{"ICMP", ethernet(bend(e, at(9, 1))), Protocol},
		{"GRE", ethernet(bend(e, at(9, 47))), Protocol},
		{"FIN", ethernet(bend(c, at(33, 0x11))), Flags},
		{"SYN", ethernet(bend(c, at(33, 0x02))), Flags},
		{"SYN and ACK", ethernet(bend(c, at(33, 0x12))), Flags},
		{"RST", ethernet(bend(c, at(33, 0x04))), Flags},
		{"TCP with 19 bytes", ethernet(bend(c, port(2, 39))), Length},
		{"TCP with 19 bytes in the frame, too", ethernet(bend(c, port(2, 39)))[:14+39], Length},
		{"UDP longer than its packet", ethernet(bend(u, port(24, 39))), Length},
		{"UDP of 7 bytes", ethernet(bend(u, port(24, 7))), Length},
		{"IKE from us", ethernet(bend(u, port(20, 500))), IKE},
		{"IKE to them", ethernet(bend(u, port(22, 500))), IKE},
		{"IKE in UDP from us", ethernet(bend(u, port(20, 4500))), IKE},
		{"IKE in UDP to them", ethernet(bend(u, port(22, 4500))), IKE},
		{"another SPI", ethernet(bend(e, at(23, 7))), Miss},
		{"another protocol with the same words", ethernet(bend(c, at(9, frame.ProtoESP))), Miss},
		{"another source", ethernet(bend(e, at(15, 11))), Miss},
		{"another destination", ethernet(bend(e, at(19, 8))), Miss},
		{"the same on another VLAN", ethernet(e, vlan(taggedVLAN)), Miss},
	} {
		b.stays(tt.name, tt.f, tt.why)
	}
}

// stays gives a frame to the program, which must leave it to the stack for this
// reason.
func (b *bed) stays(name string, f []byte, why Reason) {
	b.t.Helper()
	before := b.punts()
	b.stayed(name, why, before, &ebpf.RunOptions{Data: f}, f)
}

func (b *bed) stayed(name string, why Reason, before [Reasons]uint64, o *ebpf.RunOptions, f []byte) {
	b.t.Helper()
	action, got := b.runWith(o)
	if action != pass {
		b.t.Errorf("%s: %s", name, programActions[action])
	}
	if !bytes.Equal(f, got) {
		b.t.Errorf("%s: the stack gets another frame:\n% x\n% x", name, f, got)
	}
	want := before
	want[why]++
	if d := cmp.Diff(want, b.punts()); d != "" {
		b.t.Errorf("%s: want it counted as %v:\n%s", name, why, d)
	}
	for slot := range b.table.Len() {
		if packets, _ := b.table.Credit(slot); packets != 0 {
			b.t.Errorf("%s: counted as forwarded", name)
		}
	}
}

func TestAFlowThatCannotBeFollowedNowGoesToTheStack(t *testing.T) {
	e := typical(30)["ESP"]
	withoutDF := bend(e, func(ip []byte) { ip[6] = 0 })
	b := newBed(t, 100)
	for _, tt := range []struct {
		name string
		ip   []byte
		w    what
		why  Reason
	}{
		{"next hop not valid", e, what{hop: hopInvalid}, Hop},
		{"no next hop", e, what{hop: 0}, Hop},
		{"a next hop never set", e, what{hop: 1000}, Hop},
		{"the last next hop, never set", e, what{hop: Hops - 1}, Hop},
		{"a next hop that cannot be", e, what{hop: Hops}, Hop},
		{"its port is gone", e, what{hop: hopNoPort}, Port},
		{"without DF where DF must", withoutDF, what{hop: hopPlain, flags: bucket.DFOnly}, Fragmentable},
		{"more than a rewrite", e, what{hop: hopPlain, flags: bucket.Extended}, Extended},
		{"too long by one byte", ipv4(inside, remote, frame.ProtoESP, esp(1, linkMTU-28+1)), what{hop: hopPlain}, MTU},
		{"too long by one byte where less fits", ipv4(inside, remote, frame.ProtoESP, esp(1, narrow-28+1)), what{hop: hopNarrow}, MTU},
	} {
		slot := b.insert(tt.ip, plain, tt.w)
		b.stays(tt.name, ethernet(tt.ip), tt.why)
		b.table.Remove(slot)
	}
}

func TestAPacketAsLongAsTheMTUFits(t *testing.T) {
	b := newBed(t, 8)
	for hop, mtu := range map[uint16]int{hopPlain: linkMTU, hopTagVLAN: linkMTU, hopNarrow: narrow} {
		ip := ipv4(inside, remote, frame.ProtoESP, esp(uint32(hop), mtu-28))
		b.insert(ip, plain, what{addr: outside, hop: hop})
		if action, _ := b.run(ethernet(ip)); action != redirect {
			t.Errorf("%d bytes for hop %d: %s, %v", mtu, hop, programActions[action], b.punts())
		}
	}
}

func TestAFrameWithoutRoomForATagStays(t *testing.T) {
	b := newBed(t, 8)
	ip := typical(30)["ESP"]
	b.insert(ip, plain, what{addr: outside, hop: hopTagVLAN})
	// Metadata fills the room before the frame: 256 bytes less the 40 that the
	// kernel keeps for itself.
	const metadata = 216
	f := ethernet(ip)
	with := append(make([]byte, metadata), f...)
	type xdp struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }
	o := &ebpf.RunOptions{Data: with, Context: xdp{Data: metadata, DataEnd: uint32(len(with))}}
	b.stayed("no room", Room, b.punts(), o, with)
}
