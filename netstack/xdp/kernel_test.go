//go:build linux && !noxdp

package xdp

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// A namespace is another machine's network.
type namespace struct {
	t  testing.TB
	fd int
}

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	n := &namespace{t: t}
	elsewhere(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	}, t)
	t.Cleanup(func() { _ = unix.Close(n.fd) })
	return n
}

// do calls fn on the machine.
func (n *namespace) do(fn func() error) {
	n.t.Helper()
	elsewhere(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return err
		}
		return fn()
	}, n.t)
}

// elsewhere calls fn on a thread that ends with it.
func elsewhere(fn func() error, t testing.TB) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- fn()
	}()
	must(t, <-done)
}

// connect gives the machine the far end of a cable, with an address, and a
// route for everything by way of the router.
func (n *namespace) connect(t testing.TB, device, addr, via string, mac frame.MAC) {
	t.Helper()
	must(t, netlink.LinkSetNsFd(linkNamed(t, device), n.fd))
	n.do(func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(addr)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
		err = netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: net.ParseIP(via), HardwareAddr: mac[:]})
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(via), Flags: int(netlink.FLAG_ONLINK)})
	})
}

// machines are a client and a server of the kernel's own, on both sides of the
// router, and flows of one protocol both ways between them.
type machines struct {
	*world
	client, server *namespace
	refs           [2]uint32
}

// The client's and the server's addresses with the port in the packets.
const (
	clientPort, natPort, serverPort = 1001, 3001, 2000
)

func newMachines(t testing.TB, mode Mode, senderSums bool) *machines {
	t.Helper()
	veth(t, "lan", "host-lan")
	veth(t, "wan", "host-wan")
	for _, d := range []string{"host-lan", "host-wan"} {
		gro(t, d, true)
		if senderSums {
			ethtool(t, d, setTxChecksum, 0)
		}
	}
	m := &machines{client: newNamespace(t), server: newNamespace(t), world: &world{t: t}}
	clientMAC := frame.MAC(linkNamed(t, "host-lan").Attrs().HardwareAddr)
	serverMAC := frame.MAC(linkNamed(t, "host-wan").Attrs().HardwareAddr)
	m.client.connect(t, "host-lan", "10.0.0.2/24", "10.0.0.1", router["lan"])
	m.server.connect(t, "host-wan", "198.51.100.1/24", "198.51.100.254", router["wan"])
	var err error
	m.Offload, err = Open(Config{Ports: worldPorts(), Mode: mode, Log: m.journal.logger()})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	m.SetHop(plainHop, flow.OffloadHop{Out: wanPlain, Dst: serverMAC, Src: router["wan"], MTU: 1500, Valid: true})
	m.SetHop(insideHop, flow.OffloadHop{Out: lanPlain, Dst: clientMAC, Src: router["lan"], MTU: 1500, Valid: true})
	return m
}

// pair adds both directions of a flow.
func (m *machines) pair(proto uint8, out, back uint32) {
	m.t.Helper()
	m.refs[0] = m.add(flow.Offloaded{Key: flow.Key{Src: insideAddr, Dst: remoteAddr, ID: out, Proto: proto, In: lanPlain},
		Side: flow.Source, Addr: natAddr, Port: natPort, Hop: plainHop})
	m.refs[1] = m.add(flow.Offloaded{Key: flow.Key{Src: remoteAddr, Dst: natAddr, ID: back, Proto: proto, In: wanPlain},
		Side: flow.Destination, Addr: insideAddr, Port: clientPort, Hop: insideHop})
}

func TestTheKernelsOwnReceiversFindNothingWrong(t *testing.T) {
	for _, mode := range []Mode{Native, Generic} {
		t.Run("udp "+mode.String(), func(t *testing.T) {
			ownNamespace(t)
			m := newMachines(t, mode, true)
			m.pair(frame.ProtoUDP, flow.PortsID(clientPort, serverPort), flow.PortsID(serverPort, natPort))
			m.echo("udp", fmt.Sprintf("10.0.0.2:%d", clientPort), fmt.Sprintf("198.51.100.1:%d", serverPort), fmt.Sprintf("192.0.2.1:%d", natPort))
		})
		t.Run("esp "+mode.String(), func(t *testing.T) {
			ownNamespace(t)
			m := newMachines(t, mode, true)
			m.pair(frame.ProtoESP, 0x11223344, 0x11223344)
			m.echo("ip4:50", "10.0.0.2", "198.51.100.1", "192.0.2.1")
		})
	}
}

func TestChecksumsThatSendersLeaveToTheirHardwareAreNotSpoilt(t *testing.T) {
	ownNamespace(t)
	m := newMachines(t, Auto, false)
	ring, err := link.OpenRing(link.RingConfig{Device: "lan", MAC: router["lan"], Threads: 1})
	must(t, err)
	m.ports.list[0].Unfinished = ring.(interface{ Unfinished() uint64 }).Unfinished
	var client net.PacketConn
	m.client.do(func() (err error) {
		client, err = net.ListenPacket("udp", fmt.Sprintf("10.0.0.2:%d", clientPort))
		return err
	})
	defer client.Close()
	udp := flow.Offloaded{Key: flow.Key{Src: insideAddr, Dst: remoteAddr, ID: flow.PortsID(clientPort, serverPort), Proto: frame.ProtoUDP, In: lanPlain},
		Side: flow.Source, Addr: natAddr, Port: natPort, Hop: plainHop}
	m.Remove(m.add(udp)) // nothing is known against it
	_, err = client.WriteTo([]byte("one that comes through the ring"), &net.UDPAddr{IP: net.IP(remoteAddr[:]), Port: serverPort})
	must(t, err)
	batch := make([]frame.Frame, frame.Batch)
	_, err = ring.Read(batch)
	must(t, err)
	if _, ok := m.Add(udp); ok {
		t.Error("a flow with unfinished checksums was taken")
	}
	esp := udp
	esp.Key.Proto = frame.ProtoESP
	m.add(esp)
	back := flow.Offloaded{Key: flow.Key{Src: remoteAddr, Dst: natAddr, ID: 1, Proto: frame.ProtoUDP, In: wanPlain},
		Side: flow.Destination, Addr: insideAddr, Port: clientPort, Hop: insideHop}
	m.add(back) // its senders are others
	m.journal.take()
	m.Check(m.now)
	m.Check(m.now)
	if lines := m.journal.take(); len(lines) != 1 || !strings.Contains(lines[0], "only ESP is taken") {
		t.Errorf("logged %q", lines)
	}
	if s := m.Status(); s.Ports[0].Mode != "native" || s.Ports[0].Why == "" || s.Ports[1].Why != "" {
		t.Errorf("status %+v", s)
	}
	must(t, ring.Close())
	_, _ = ring.Read(batch) // gives back what was lent
}

// echo sends datagrams from client to server, which must see them come from
// the NAT's address, and back; and then looks what was counted. The kernel
// drops what has a wrong checksum.
func (m *machines) echo(network, from, to, nat string) {
	t := m.t
	t.Helper()
	var client, server net.PacketConn
	listen := func(c *net.PacketConn, addr string) func() error {
		return func() (err error) {
			*c, err = net.ListenPacket(network, addr)
			return err
		}
	}
	m.client.do(listen(&client, from))
	defer client.Close()
	m.server.do(listen(&server, to))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	deadline, _ := ctx.Deadline()
	must(t, client.SetDeadline(deadline))
	must(t, server.SetDeadline(deadline))
	buf := make([]byte, 2000)
	bytes := uint64(0)
	for _, n := range []int{1, 2, 99, 1400} {
		said := append([]byte{0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1}, strings.Repeat("~", n)...)
		_, err := client.WriteTo(said, server.LocalAddr())
		must(t, err)
		k, seen, err := server.ReadFrom(buf)
		must(t, err)
		if seen.String() != nat || string(buf[:k]) != string(said) {
			t.Errorf("the server saw %d bytes from %v", k, seen)
		}
		_, err = server.WriteTo(said, seen)
		must(t, err)
		if k, seen, err = client.ReadFrom(buf); err != nil || seen.String() != to || string(buf[:k]) != string(said) {
			t.Errorf("the client saw %d bytes from %v: %v", k, seen, err)
		}
		bytes += uint64(20 + len(said))
		if network == "udp" {
			bytes += 8
		}
	}
	for _, ref := range m.refs {
		m.wantCount(ref, 4, bytes)
	}
}
