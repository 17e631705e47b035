package link

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestATagBehindAPriorityTagChoosesNoVLAN(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		drops := new(drop.Counters)
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b", Drops: drops})
		plain := testFrames(1, 100)[0].Bytes()
		hidden := append(append(append([]byte(nil), plain[:12]...), 0x81, 0, 0xa0, 0, 0x81, 0, 0, 20), plain[12:]...)
		sendAll(t, a, frame.Copy(hidden, 0), frame.Copy(plain, 0))
		if f := readFrames(t, b, 1)[0]; f.VLAN != 0 || f.Len() != len(plain) {
			t.Errorf("read %x in VLAN %d", f.Bytes(), f.VLAN)
		}
		if drops.Get(drop.DoubleTagged) != 1 {
			t.Errorf("%d drops, want 1", drops.Get(drop.DoubleTagged))
		}
	})
}

func TestAServiceTagIsNotOneOfOurVLANs(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		drops := new(drop.Counters)
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b", Drops: drops})
		plain := testFrames(1, 100)[0].Bytes()
		tagged := append(append(append([]byte(nil), plain[:12]...), 0x88, 0xa8, 0, 20), plain[12:]...)
		sendAll(t, a, frame.Copy(tagged, 0), frame.Copy(plain, 0))
		if f := readFrames(t, b, 1)[0]; f.VLAN != 0 || f.Len() != len(plain) {
			t.Errorf("read %x", f.Bytes())
		}
		if drops.Get(drop.DoubleTagged) != 1 {
			t.Errorf("%d drops, want 1", drops.Get(drop.DoubleTagged))
		}
	})
}

// What a port of a switch sees: every destination, and frames as they are on the
// wire, whatever tags they have.
func TestAPortOfASwitchSeesEverythingAsItIs(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		drops := new(drop.Counters)
		a := openTestRing(t, RingConfig{Device: "a", Promiscuous: true, KeepTags: true, Drops: drops})
		b := openTestRing(t, RingConfig{Device: "b", Promiscuous: true, KeepTags: true, Drops: drops})
		if n := linkNamed(t, "b").Attrs().Promisc; n == 0 {
			t.Error("the device is not in promiscuous mode")
		}
		plain := slices.Concat([]byte{2, 9, 9, 9, 9, 9, 2, 8, 8, 8, 8, 8, 0x88, 0xb5}, make([]byte, 60))
		for _, tags := range [][]byte{
			nil, {0x81, 0, 0xa0, 20}, {0x81, 0, 0xa0, 0}, {0x88, 0xa8, 0, 30}, {0x81, 0, 0, 20, 0x81, 0, 0, 30}, {0x88, 0xa8, 0, 20, 0x81, 0, 0, 30},
		} {
			raw := slices.Concat(plain[:12], tags, plain[12:])
			sendAll(t, a, frame.Copy(raw, 0))
			var batch [1]frame.Frame
			_, err := b.Read(batch[:])
			must(t, err)
			f := &batch[0]
			if f.VLAN != 0 || !bytes.Equal(f.Bytes(), raw) {
				t.Errorf("%x came as %x in VLAN %d", raw, f.Bytes(), f.VLAN)
			}
			if f.VLAN = 7; !f.PushTag() {
				t.Errorf("no room for a tag before %x", raw)
			}
		}
		full := slices.Concat(plain[:12], []byte{0x81, 0, 0, 20, 0x88, 0xb5}, make([]byte, 1500))
		sendAll(t, a, frame.Copy(full, 0))
		if f := readFrames(t, b, 1)[0]; !bytes.Equal(f.Bytes(), full) {
			t.Errorf("a full-sized tagged frame came with %d bytes", f.Len())
		}
		if n := drops.Get(drop.DoubleTagged) + drops.Get(drop.FrameTooBig); n != 0 {
			t.Errorf("%d drops", n)
		}
	})
}

// The sender has left its checksum to its card: it is finished before the tag is
// put back in front.
func TestATagThatStaysHidesNoOpenChecksum(t *testing.T) {
	c := cell{mem: make([]byte, 200), mac: 100, snap: frame.HeaderLen + 28, length: frame.HeaderLen + 28, tci: 20}
	c.status = unix.TP_STATUS_VLAN_VALID | unix.TP_STATUS_CSUMNOTREADY
	packet := ip(28)
	packet[9], packet[24], packet[25] = frame.ProtoUDP, 0, 8
	header.IPv4(packet).SetChecksum(^header.IPv4(packet).CalculateChecksum())
	copy(c.mem[100:], ether(routerMAC, hostMAC, 0, frame.TypeIPv4, packet))
	s := sieve{snaplen: 100, keepTags: true, unfinished: new(atomic.Uint64)}
	f, ok := s.pass(&c)
	if !ok || f.EtherType() != frame.TypeVLAN {
		t.Fatalf("passed %v: %x", ok, f.Bytes())
	}
	open := frame.New(slices.Clone(f.Bytes()), 0, f.Len(), 0)
	open.StripTag()
	finishChecksum(&open)
	f.StripTag()
	if sum := f.Payload()[26:28]; !bytes.Equal(sum, open.Payload()[26:28]) || sum[0]|sum[1] == 0 {
		t.Errorf("the checksum is %x", sum)
	}
	if n := s.unfinished.Load(); n != 1 {
		t.Errorf("%d packets with an open checksum were counted", n)
	}
}
