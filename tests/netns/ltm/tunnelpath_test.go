package ltm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// both are servers for everything that either host begins.
var both = protected("[ltm.virtual.out]\ndestination = \"10.1.1.0/24:any\"\nip_forward = true\n") +
	protected("[ltm.virtual.in]\ndestination = \"10.2.1.0/24:any\"\nip_forward = true\n")

// A packet that may not be cut and is too long for the tunnel is answered by its
// router, and the kernel believes it: it knows how long packets may be from then
// on, and one of that length gets through (VR35, Q18).
func TestAHostIsToldHowLongPacketsThroughTheTunnelMayBe(t *testing.T) {
	e := digging(t, seedRoads, both)
	for _, c := range []struct {
		from, to *netns.Namespace
		src, dst netip.Addr
	}{{e.local, e.far, local, far}, {e.far, e.local, far, local}} {
		s := e.packets(c.to, "udp4", netip.AddrPortFrom(c.dst, 53))
		defer s.Close()
		u := e.uncut(c.from, netip.AddrPortFrom(c.dst, 53))
		defer u.Close()
		u.arrives(s, 100) // the tunnel is up: before, nobody knows its MTU
		seen := e.watch(c.from)
		if mtu := u.mtu(); mtu != 1500 {
			t.Fatalf("%s believes in %d bytes already", c.from.Name, mtu)
		}
		e.must(u.send(1472))
		e.eventually("the path MTU of "+c.from.Name, func() error {
			if mtu := u.mtu(); mtu < 1420 || mtu > 1460 {
				return fmt.Errorf("%d bytes: with ESP around them that is not what fits into 1500", mtu)
			}
			return nil
		})
		t.Logf("from %s: %d bytes", c.from.Name, u.mtu())
		if err := u.failure(); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("%s was told: %v", c.from.Name, err)
		}
		for _, f := range seen.Stop() {
			if b := ip(f, icmp); b != nil && (b[20] != 3 || b[21] != 4 || netip.AddrFrom4([4]byte(b[12:16])) != gatewayOf(c.src)) {
				t.Errorf("%s was told % x", c.from.Name, b)
			}
		}
		u.arrives(s, u.mtu()-28)
		if err := u.send(u.mtu() - 28 + 1); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("one byte more: %v", err)
		}
	}
}

// uncut is a UDP socket whose datagrams may not be cut.
type uncut struct {
	*net.UDPConn
	p *place
}

func (p *place) uncut(n *netns.Namespace, to netip.AddrPort) uncut {
	p.t.Helper()
	var c net.Conn
	p.must(n.Do(func() (err error) {
		c, err = net.Dial("udp4", to.String())
		return err
	}))
	u := uncut{c.(*net.UDPConn), p}
	p.must(u.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	}))
	return u
}

func (u uncut) control(do func(fd int) error) (err error) {
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = do(int(fd)) }), err)
}

// mtu is what the kernel believes of the way.
func (u uncut) mtu() (mtu int) {
	u.p.t.Helper()
	u.p.must(u.control(func(fd int) (err error) {
		mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
		return err
	}))
	return mtu
}

// failure takes what the socket was told.
func (u uncut) failure() error {
	var code int
	u.p.must(u.control(func(fd int) (err error) {
		code, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		return err
	}))
	return syscall.Errno(code)
}

func (u uncut) send(bytes int) error {
	_, err := u.Write(make([]byte, bytes))
	return err
}

// arrives sends a datagram that the other host has to get.
func (u uncut) arrives(at net.PacketConn, bytes int) {
	u.p.t.Helper()
	u.p.must(u.send(bytes))
	if n, _, err := at.ReadFrom(make([]byte, 8192)); err != nil || n != bytes {
		u.p.t.Errorf("of %d bytes %d arrived: %v", bytes, n, err)
	}
}

// TCP begins with segments that are too long for the tunnel, is told so, and goes
// on with shorter ones: a lot of it gets through, from both sides, and ESP is
// never cut.
func TestTCPFindsTheMTUOfATunnel(t *testing.T) {
	e := digging(t, seedRoads, both)
	for _, c := range []struct {
		from, to *netns.Namespace
		at       netip.Addr
	}{{e.local, e.far, far}, {e.far, e.local, local}} {
		e.serve(c.to, netip.AddrPortFrom(c.at, 80))
		e.ip(e.local, "route", "flush", "cache") // they forget what they were told
		e.ip(e.far, "route", "flush", "cache")
		seen, road := e.watch(c.from), e.between()
		e.reaches(c.from, netip.AddrPortFrom(c.at, 80), 3_000_000)
		told, cut := 0, 0
		for _, f := range seen.Stop() {
			if b := ip(f, icmp); b != nil && !f.Sent && b[20] == 3 && b[21] == 4 {
				told++
			}
		}
		for _, b := range slices.Concat(road.packets(esp)...) {
			if b[6]&0x3f != 0 || b[7] != 0 {
				cut++
			}
		}
		if told == 0 || cut > 0 {
			t.Errorf("%s was told %d times how long packets may be, and %d pieces of ESP passed", c.from.Name, told, cut)
		}
		e.isSealed(road)
	}
}

// Long datagrams are sent in pieces by their host; each piece is sealed, and the
// other host puts them together (Q19, VR13). Pieces that fill the cable are too
// long for the tunnel: sealed they are cut again (VR35).
func TestLongDatagramsPassATunnelInPieces(t *testing.T) {
	e := digging(t, seedRoads, both)
	e.reachesByPing(e.local, far) // of what comes before there is a tunnel one packet waits
	road := e.between()
	for _, c := range []struct {
		from, to *netns.Namespace
		src, dst netip.Addr
	}{{e.local, e.far, local, far}, {e.far, e.local, far, local}} {
		if seen, err := e.asksUDP(c.from, c.to, c.src, c.dst, c.dst); err != nil || seen != c.src {
			t.Errorf("from %s: %v was seen: %v", c.from.Name, seen, err)
		}
		if err := e.isRefused(c.from, c.src, c.dst); err != nil {
			t.Errorf("from %s: %v", c.from.Name, err)
		}
	}
	e.isSealed(road)
}
