package link

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link/takeover"
)

// overVeth runs a test in a namespace with a veth pair a-b.
func overVeth(t *testing.T, test func(t *testing.T)) {
	ownNamespace(t)
	vethPair(t, "a", "b")
	test(t)
}

func openTestRing(t testing.TB, c RingConfig) Driver {
	t.Helper()
	d, err := OpenRing(c)
	must(t, err)
	t.Cleanup(func() { closeRead(t, d) })
	return d
}

// readFrames reads n frames and returns copies with their VLANs.
func readFrames(t testing.TB, d Driver, n int) (out []frame.Frame) {
	t.Helper()
	var batch [7]frame.Frame // not a divisor of what a block holds
	for len(out) < n {
		k, err := d.Read(batch[:])
		must(t, err)
		for i := range batch[:k] {
			out = append(out, frame.Copy(batch[i].Bytes(), batch[i].VLAN))
		}
	}
	return out
}

func TestFramesPassTheRingInOrderAndWhole(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		// No more frames at a time than b has blocks: the kernel may hand over
		// a block for each, if the sender is slow. In all of them more than the
		// ring holds, so that it goes around.
		const blocks, rounds = 8, 300
		b := openTestRing(t, RingConfig{Device: "b", Blocks: blocks})
		for r := range rounds {
			batch := testFrames(blocks, 60+r*4)
			sendAll(t, a, batch...)
			for i, f := range readFrames(t, b, blocks) {
				if !bytes.Equal(f.Bytes(), batch[i].Bytes()) {
					t.Fatalf("round %d, frame %d: %x", r, i, f.Bytes())
				}
			}
		}
		if a.Lost() != 0 || b.Lost() != 0 {
			t.Errorf("lost %d and %d", a.Lost(), b.Lost())
		}
	})
}

func TestTagsComeOffAndGoOn(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b"})
		plain := testFrames(1, 100)[0].Bytes()
		for _, vlan := range []uint16{20, 4094, 0} {
			sendAll(t, a, frame.Copy(plain, vlan))
			f := readFrames(t, b, 1)[0]
			if f.VLAN != vlan || !bytes.Equal(f.Bytes(), plain) {
				t.Errorf("vlan %d came as %d: %x", vlan, f.VLAN, f.Bytes())
			}
		}
		// The fast path's way: another tag is put on in ring memory.
		sendAll(t, a, frame.Copy(plain, 20))
		var batch [1]frame.Frame
		_, err := b.Read(batch[:])
		must(t, err)
		batch[0].VLAN = 30
		sendAll(t, b, batch[0])
		if f := readFrames(t, a, 1)[0]; f.VLAN != 30 || !bytes.Equal(f.Bytes(), plain) {
			t.Errorf("came back in vlan %d: %x", f.VLAN, f.Bytes())
		}
		// A full-sized frame may have a tag as well.
		sendAll(t, a, frame.Copy(make([]byte, frame.HeaderLen+1500), 20))
		if f := readFrames(t, b, 1)[0]; f.Len() != frame.HeaderLen+1500 {
			t.Errorf("full-sized tagged frame came with %d bytes", f.Len())
		}
	})
}

func TestFramesForOthersPassAndOurOwnDoNot(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		other := frame.MAC{2, 0, 0, 0, 0, 0x77}
		b := openTestRing(t, RingConfig{Device: "b", MAC: other})
		if b.MAC() != other {
			t.Errorf("MAC %v", b.MAC())
		}
		if linkNamed(t, "b").Attrs().Promisc == 0 {
			t.Error("a port with another MAC address than its device is not promiscuous")
		}
		one := testFrames(2, 100)
		sendAll(t, b, testFrames(3, 100)...) // must not come back
		one[0].SetMACs(other, a.MAC())
		one[1].SetMACs(frame.MAC{2, 9, 9, 9, 9, 9}, a.MAC())
		sendAll(t, a, one...)
		for i, f := range readFrames(t, b, 2) {
			if f.Dst() != one[i].Dst() {
				t.Errorf("frame %d is for %v", i, f.Dst())
			}
		}
	})
}

func TestAPortGoesDownUnderTrafficAndComesBack(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b"})
		sendAll(t, a, testFrames(3, 100)...)
		readFrames(t, b, 3)
		got := make(chan int)
		go func() {
			var batch [1]frame.Frame
			n, _ := b.Read(batch[:]) // waits through the whole of it
			got <- n
		}()
		for range 3 {
			setDown(t, "b")
			waitCarrier(t, "a", false)
			if b.Up() || a.Up() {
				t.Error("a port is up without its device or carrier")
			}
			for what, d := range map[string]Driver{"down": b, "without carrier": a} {
				if n, why := d.Write(testFrames(5, 100)); n != 0 || why != drop.PortDown {
					t.Errorf("%s: sent %d, %v", what, n, why)
				}
			}
			setUp(t, "b")
			waitCarrier(t, "a", true)
		}
		sendAll(t, a, testFrames(1, 100)...)
		if n := <-got; n != 1 {
			t.Errorf("read %d frames after coming back", n)
		}
	})
}

func TestCloseEndsAReadThatWaits(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		d, err := OpenRing(RingConfig{Device: "a"})
		must(t, err)
		ended := make(chan error)
		go func() {
			var batch [1]frame.Frame
			_, err := d.Read(batch[:])
			ended <- err
		}()
		must(t, d.Close())
		if err := <-ended; err != net.ErrClosed {
			t.Errorf("read ended with %v", err)
		}
		must(t, d.Close())
		if n, why := d.Write(testFrames(1, 60)); n != 0 || why != drop.PortDown {
			t.Errorf("after close: sent %d, %v", n, why)
		}
		if d.Up() {
			t.Error("a closed port is up")
		}
		d.Lost()
	})
}

func TestLentFramesOutliveClose(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		b, err := OpenRing(RingConfig{Device: "b"})
		must(t, err)
		sent := testFrames(1, 100)
		sendAll(t, a, sent...)
		var batch [1]frame.Frame
		_, err = b.Read(batch[:])
		must(t, err)
		must(t, b.Close())
		if !bytes.Equal(batch[0].Bytes(), sent[0].Bytes()) {
			t.Error("the frame has changed")
		}
		closeRead(t, b)
	})
}

func TestAFullRingLosesAndCounts(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b", BlockSize: 64 << 10, Blocks: 2})
		const batches = 40
		for range batches {
			sendAll(t, a, testFrames(frame.Batch, 200)...)
		}
		lost := b.Lost()
		if lost == 0 || lost >= batches*frame.Batch {
			t.Errorf("lost %d of %d", lost, batches*frame.Batch)
		}
		readFrames(t, b, batches*frame.Batch-int(lost)) // everything else is there
		if again := b.Lost(); again != lost {
			t.Errorf("lost %d, then %d: not cumulative", lost, again)
		}
	})
}

func TestAFrameThatIsTooBigDoesNotHoldUpTheOthers(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		drops := new(drop.Counters)
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b", Snaplen: 200, Drops: drops})
		batch := testFrames(3, 100)
		batch[1] = frame.Copy(make([]byte, frame.HeaderLen+1501), 0)
		if n, why := writeAll(a, batch); n != 2 || why != drop.FrameTooBig {
			t.Errorf("sent %d, %v; want 2, %v", n, why, drop.FrameTooBig)
		}
		batch = testFrames(3, 100)
		batch[1] = frame.Copy(make([]byte, 201), 0) // fits the wire, not b
		sendAll(t, a, batch...)
		readFrames(t, b, 4)
		if drops.Get(drop.FrameTooBig) != 1 {
			t.Errorf("%d drops on receive, want 1", drops.Get(drop.FrameTooBig))
		}
	})
}

// The other end of a veth takes no frame that is longer than its own MTU.
func TestAFrameThatTheOtherEndRefusesDoesNotHoldUpTheOthers(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b"})
		must(t, netlink.LinkSetMTU(linkNamed(t, "b"), 1000))
		var batch []frame.Frame
		insist(func() bool { // all over again: frames behind one that had no room would be refused with it
			batch = testFrames(8, 100)
			for _, k := range []int{1, 2, 5} {
				batch[k] = frame.Copy(append(batch[k].Bytes(), make([]byte, 1300)...), 0)
			}
			n, why := a.Write(batch)
			if n > 5 || why != drop.TxRefused {
				t.Fatalf("sent %d, %v; want 5, %v", n, why, drop.TxRefused)
			}
			if n < 5 {
				readFrames(t, b, n)
			}
			return n == 5
		})
		for k, f := range readFrames(t, b, 5) {
			want := []byte{0, 3, 4, 6, 7}[k]
			if got := f.Bytes()[14]; got != want {
				t.Errorf("frame %d came, want %d", got, want)
			}
			if got := batch[k].Bytes()[14]; got != want {
				t.Errorf("frame %d is said to be sent, want %d", got, want)
			}
		}
		sendAll(t, a, testFrames(frame.Batch, 100)...) // the ring goes on where the kernel does
		readFrames(t, b, frame.Batch)
	})
}

func TestUnfinishedChecksumsOfLocalProgramsAreFinished(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		must(t, netlink.AddrAdd(linkNamed(t, "a"), &netlink.Addr{IPNet: &net.IPNet{IP: net.IP{10, 0, 0, 1}, Mask: net.CIDRMask(24, 32)}}))
		b := openTestRing(t, RingConfig{Device: "b"})
		must(t, netlink.NeighAdd(&netlink.Neigh{LinkIndex: linkNamed(t, "a").Attrs().Index, IP: net.IP{10, 0, 0, 2},
			HardwareAddr: net.HardwareAddr(linkNamed(t, "b").Attrs().HardwareAddr), State: unix.NUD_PERMANENT}))
		udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		defer func() { _ = unix.Close(udp) }()
		must(t, unix.SetsockoptInt(udp, unix.IPPROTO_IP, unix.IP_RECVERR, 1)) // or it would not say that there was no room
		insist(func() bool {
			err = unix.Sendto(udp, []byte("from a local program"), 0, &unix.SockaddrInet4{Port: 500, Addr: [4]byte{10, 0, 0, 2}})
			return err != unix.ENOBUFS
		})
		must(t, err)
		tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		defer func() { _ = unix.Close(tcp) }()
		_ = unix.Connect(tcp, &unix.SockaddrInet4{Port: 80, Addr: [4]byte{10, 0, 0, 2}})
		seen := map[uint8]bool{}
		for !seen[frame.ProtoTCP] || !seen[frame.ProtoUDP] {
			f := readFrames(t, b, 1)[0]
			var p frame.Packet
			if f.EtherType() != frame.TypeIPv4 || p.Parse(f.Payload()) != drop.None {
				continue
			}
			seen[p.Proto] = true
			if !soundTransport(&p) {
				t.Errorf("protocol %d: wrong checksum in %x", p.Proto, p.Bytes())
			}
		}
	})
}

// soundTransport reports whether the TCP or UDP checksum is right.
func soundTransport(p *frame.Packet) bool {
	h := header.IPv4(p.Bytes())
	sum := header.PseudoHeaderChecksum(h.TransportProtocol(), h.SourceAddress(), h.DestinationAddress(), uint16(len(p.Transport())))
	return checksum.Checksum(p.Transport(), sum) == 0xffff
}

func TestOnlyWholeTCPAndUDPPacketsGetAChecksum(t *testing.T) {
	udp := ip(60)
	udp[9] = frame.ProtoUDP
	binary.BigEndian.PutUint16(udp[24:], 40)
	fragment := append([]byte(nil), udp...)
	fragment[6] = 0x20
	short := append([]byte(nil), udp...)
	binary.BigEndian.PutUint16(short[2:], 24)
	for _, c := range []struct {
		name    string
		b       []byte
		changes bool
	}{
		{"a datagram", ether(hostMAC, routerMAC, 0, frame.TypeIPv4, udp), true},
		{"a fragment", ether(hostMAC, routerMAC, 0, frame.TypeIPv4, fragment), false},
		{"a cut header", ether(hostMAC, routerMAC, 0, frame.TypeIPv4, short), false},
		{"ESP", ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(60)), false},
		{"ARP", ether(hostMAC, routerMAC, 0, frame.TypeARP, udp), false},
		{"half an Ethernet header", []byte{1, 2, 3}, false},
	} {
		f := frame.Copy(c.b, 0)
		finishChecksum(&f)
		if changed := !bytes.Equal(f.Bytes(), c.b); changed != c.changes {
			t.Errorf("%s: changed %v, want %v", c.name, changed, c.changes)
		}
	}
}

func TestARingThatCannotBeOpenedSaysWhy(t *testing.T) {
	ownNamespace(t)
	vethPair(t, "a", "b")
	for _, c := range []struct {
		config RingConfig
		want   string
	}{
		{RingConfig{Device: "nope0"}, "port nope0: "},
		{RingConfig{Device: "lo"}, "port lo: not an Ethernet device"},
		{RingConfig{Device: "a", Threads: -1}, "-1 threads: want 1 to 64"},
		{RingConfig{Device: "a", Threads: 65}, "65 threads: want 1 to 64"},
		{RingConfig{Device: "a", BlockSize: 5000}, "power of two"},
		{RingConfig{Device: "a", Blocks: 1}, "at least 2"},
		{RingConfig{Device: "a", BlockSize: 4096, Snaplen: 9000}, "does not fit"},
	} {
		_, err := OpenRing(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %q", c.config, err, c.want)
		}
	}
}

func TestReadingAndSendingCostNoAllocation(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b"})
		batch := testFrames(16, 100)
		var in [frame.Batch]frame.Frame
		if n := testing.AllocsPerRun(50, func() {
			sendAll(t, a, batch...)
			for got := 0; got < len(batch); {
				n, _ := b.Read(in[:])
				got += n
			}
		}); n >= 1 {
			t.Errorf("%v allocations a batch", n)
		}
	})
}

func TestARingWorksOnATakenPort(t *testing.T) {
	overVeth(t, func(t *testing.T) {
		taken, err := takeover.Take("b", takeover.Config{Dir: t.TempDir()})
		must(t, err)
		defer func() { must(t, taken.Restore()) }()
		a := openTestRing(t, RingConfig{Device: "a"})
		b := openTestRing(t, RingConfig{Device: "b"})
		for range 3 { // behind the drop on the way in, past the one on the way out
			sendAll(t, a, testFrames(frame.Batch, 100)...)
			readFrames(t, b, frame.Batch)
			sendAll(t, b, testFrames(frame.Batch, 100)...)
			readFrames(t, a, frame.Batch)
		}
	})
}
