package ltm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/tests/netns"
)

// The seed's NAT, whose host is behind the far one, and one whose translation
// address is on the local network, so that its hosts ask for it by ARP.
const nats = `[route."192.168.15.2/32"]
via = "10.1.1.1"
[ltm.nat.NAT-1]
originating_address = "192.168.15.2"
translation_address = "172.17.1.1"
traffic_group = "traffic-group-1"
inherited_traffic_group = true
[ltm.nat.NAT-2]
originating_address = "10.1.1.1"
translation_address = "10.2.1.77"
`

// A NAT needs no virtual server, in neither direction, for no protocol (VR22,
// VR23), and each side sees what it should.
func TestANATTranslatesEveryProtocolBothWays(t *testing.T) {
	p := settle(t, nats)
	hidden := netip.MustParseAddr("192.168.15.2")
	p.must(p.far.Address("eth0", netip.PrefixFrom(hidden, 32)))
	for _, c := range []struct{ name, is, seen string }{
		{"NAT-1", "192.168.15.2", "172.17.1.1"},
		{"NAT-2", "10.1.1.1", "10.2.1.77"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is, seen := netip.MustParseAddr(c.is), netip.MustParseAddr(c.seen)
			p.translates(t, c.name, p.local, p.far, local, seen, is, local)
			p.translates(t, c.name, p.far, p.local, is, local, local, seen)
		})
	}
	p.must(p.local.Do(func() error {
		table, err := os.ReadFile("/proc/thread-self/net/arp")
		mac, merr := p.router.MAC("lan")
		if !strings.Contains(string(table), "10.2.1.77 ") || strings.Count(string(table), mac.String()) != 2 {
			t.Errorf("ARP for the translation address was not answered by %v:\n%s", mac, table)
		}
		return errors.Join(err, merr)
	}))
	for _, name := range []string{"NAT-1", "NAT-2"} {
		if c, err := p.counted("nat", name); err != nil || c.PacketsIn == 0 || c.PacketsOut == 0 || c.Total < 6 {
			t.Errorf("show ltm nat %s: %+v %v", name, c, err)
		}
	}
}

// translates talks over every protocol from an address of one host to what it
// knows the other one as: the other one has the address as, and sees the first
// one as another.
func (p *place) translates(t *testing.T, name string, from, to *netns.Namespace, src, dst, as, other netip.Addr) {
	t.Helper()
	s := p.serve(to, netip.AddrPortFrom(as, 80))
	c, err := p.dialFrom(from, netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 80), soon)
	p.must(err)
	port := c.LocalAddr().(*net.TCPAddr).AddrPort().Port()
	if err := exchange(c, 100_000); err != nil {
		t.Errorf("TCP: %v", err)
	}
	c.Close()
	s.close()
	if got := s.visitors(); !slices.Equal(got, []netip.AddrPort{netip.AddrPortFrom(other, port)}) {
		t.Errorf("TCP: %v came, expected %v, port %d", got, other, port)
	}
	for proto, ask := range map[string]func(from, to *netns.Namespace, src, dst, as netip.Addr) (netip.Addr, error){
		"UDP": p.asksUDP, "ICMP": p.pings, "ESP": p.sendsESP,
	} {
		if seen, err := ask(from, to, src, dst, as); err != nil || seen != other {
			t.Errorf("%s: %v was seen, expected %v: %v", proto, seen, other, err)
		}
	}
	if err := p.isRefused(from, src, dst); err != nil {
		t.Error(err)
	}
}

// packets opens a socket at an address.
func (p *place) packets(n *netns.Namespace, network string, at netip.AddrPort) net.PacketConn {
	p.t.Helper()
	var c net.PacketConn
	address := at.String()
	if !strings.HasPrefix(network, "udp") {
		address = at.Addr().String()
	}
	p.must(n.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	}))
	p.must(c.SetDeadline(time.Now().Add(soon)))
	return c
}

// datagram is longer than a packet may be: it travels in three pieces.
const datagram = 4000

// asksUDP sends a question, and returns where it seemed to come from.
func (p *place) asksUDP(from, to *netns.Namespace, src, dst, as netip.Addr) (netip.Addr, error) {
	s := p.packets(to, "udp4", netip.AddrPortFrom(as, 53))
	defer s.Close()
	c := p.packets(from, "udp4", netip.AddrPortFrom(src, 5353))
	defer c.Close()
	buf := make([]byte, 8192)
	asked := net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 53))
	if _, err := c.WriteTo(make([]byte, datagram), asked); err != nil {
		return netip.Addr{}, err
	}
	n, who, err := s.ReadFrom(buf)
	if err != nil {
		return netip.Addr{}, err
	}
	if _, err := s.WriteTo(buf[:n], who); err != nil {
		return netip.Addr{}, err
	}
	n, answered, err := c.ReadFrom(buf)
	if err == nil && (n != datagram || answered.String() != asked.String()) {
		err = fmt.Errorf("%d bytes from %v", n, answered)
	}
	return who.(*net.UDPAddr).AddrPort().Addr().Unmap(), err
}

// pings sends an echo request that the other kernel answers.
func (p *place) pings(from, to *netns.Namespace, src, dst, as netip.Addr) (netip.Addr, error) {
	s := p.packets(to, "ip4:icmp", netip.AddrPortFrom(as, 0)) // hears the request, too
	defer s.Close()
	c := p.packets(from, "ip4:icmp", netip.AddrPortFrom(src, 0))
	defer c.Close()
	ask := header.ICMPv4(make([]byte, 64))
	ask.SetType(header.ICMPv4Echo)
	ask.SetIdent(1) // as all of Windows' have
	ask.SetChecksum(^checksum.Checksum(ask, 0))
	if _, err := c.WriteTo(ask, &net.IPAddr{IP: dst.AsSlice()}); err != nil {
		return netip.Addr{}, err
	}
	buf := make([]byte, 2048)
	_, who, err := s.ReadFrom(buf)
	if err != nil {
		return netip.Addr{}, err
	}
	n, answered, err := c.ReadFrom(buf)
	if err == nil && (n != 64 || buf[0] != 0 || answered.String() != dst.String()) {
		err = fmt.Errorf("% x from %v", buf[:n], answered)
	}
	return address(who), err
}

// sendsESP sends a packet of a protocol without ports.
func (p *place) sendsESP(from, to *netns.Namespace, src, dst, as netip.Addr) (netip.Addr, error) {
	s := p.packets(to, "ip4:50", netip.AddrPortFrom(as, 0))
	defer s.Close()
	c := p.packets(from, "ip4:50", netip.AddrPortFrom(src, 0))
	defer c.Close()
	text := append([]byte{0, 0, 0xd0, 1, 0, 0, 0, 1}, strings.Repeat("x", 80)...)
	if _, err := c.WriteTo(text, &net.IPAddr{IP: dst.AsSlice()}); err != nil {
		return netip.Addr{}, err
	}
	buf := make([]byte, 2048)
	n, who, err := s.ReadFrom(buf)
	if err == nil && string(buf[:n]) != string(text) {
		err = fmt.Errorf("% x", buf[:n])
	}
	return address(who), err
}

func address(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(a.(*net.IPAddr).IP.To4())
	return ip
}

// isRefused sends to a port where nobody listens: the ICMP error quotes a
// translated packet and reaches its sender only if the quote is put right
// (VR28).
func (p *place) isRefused(from *netns.Namespace, src, dst netip.Addr) error {
	var c net.Conn
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0))}
	p.must(from.Do(func() (err error) {
		c, err = d.Dial("udp4", netip.AddrPortFrom(dst, 9).String())
		return err
	}))
	defer c.Close()
	p.must(c.SetDeadline(time.Now().Add(soon)))
	if _, err := c.Write([]byte("anybody there")); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("UDP to a closed port: %v", err)
	}
	return nil
}

// A SNAT gives sources an address of ours, several clients the same one, and
// lets nobody in (VR19, VR23).
func TestASNATWithAutomapLetsOutAndNobodyIn(t *testing.T) {
	p := settle(t, "[ltm.snat.S1]\norigins = [\"10.2.1.0/24\"]\nautomap = true\n")
	second := netip.MustParseAddr("10.2.1.2")
	p.must(p.local.Address("eth0", netip.PrefixFrom(second, 24)))
	p.serve(p.local, netip.AddrPortFrom(local, 80))
	p.serve(p.local, netip.AddrPortFrom(second, 80))
	s := p.serve(p.far, netip.AddrPortFrom(far, 80))
	var open []net.Conn
	for _, who := range []netip.Addr{local, second} {
		c, err := p.dialFrom(p.local, netip.AddrPortFrom(who, 5555), netip.AddrPortFrom(far, 80), soon)
		p.must(err)
		open = append(open, c)
	}
	for _, c := range open {
		if err := exchange(c, 50_000); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	got := s.visitors()
	if len(got) != 2 || got[0] != netip.AddrPortFrom(beyond, 5555) || got[1].Addr() != beyond || got[1].Port() == 5555 {
		t.Errorf("%v came, expected port 5555 and another one of %v", got, beyond)
	}
	for proto, ask := range map[string]func(from, to *netns.Namespace, src, dst, as netip.Addr) (netip.Addr, error){
		"UDP": p.asksUDP, "ICMP": p.pings,
	} {
		if seen, err := ask(p.local, p.far, second, far, far); err != nil || seen != beyond {
			t.Errorf("%s: %v was seen: %v", proto, seen, err)
		}
	}
	if err := p.isRefused(p.local, second, far); err != nil {
		t.Error(err)
	}
	p.dropped("no_listener", p.getsNothing(p.far, p.local, netip.AddrPortFrom(local, 80)))
	if c, err := p.counted("snat", "S1"); err != nil || c.Total != 5 {
		t.Errorf("show ltm snat S1: %+v %v", c, err)
	}
}

const carrier = `[lsn.client.C]
networks = ["10.2.1.0/25"]
[lsn.pool.P]
addresses = ["10.1.1.100"]
[lsn.group.G]
client = "C"
pools = ["P"]
`

var natAddress = netip.MustParseAddr("10.1.1.100")

// Both halves of the mission in one flow: the server admits and counts, the
// group translates (VR19).
func TestAServerInFrontOfAnLSNGroupCountsWhatTheGroupTranslates(t *testing.T) {
	p := settle(t, carrier+ipsec0+"source_address_translation = \"lsn\"\nlsn_group = \"G\"\n")
	s := p.serve(p.far, netip.AddrPortFrom(far, 80))
	wire := p.watch(p.local)
	p.reaches(p.local, netip.AddrPortFrom(far, 80), 500_000)
	if got := s.visitors(); len(got) != 1 || got[0].Addr() != natAddress {
		t.Errorf("%v came, expected %v", got, natAddress)
	}
	p.agrees("virtual", "ipsec-0", passed(wire, tcp))
	var rows []netns.LSNRow
	p.must(p.daemon.Show(p.ctx, &rows, "lsn", "session"))
	if len(rows) != 1 || rows[0].SubscriberIP != local || rows[0].NATIP != natAddress || rows[0].DestPort != 80 {
		t.Errorf("sessions of the group: %+v", rows)
	}
	if seen, err := p.asksUDP(p.local, p.far, local, far, far); err != nil || seen != natAddress {
		t.Errorf("UDP is the group's alone: %v was seen: %v", seen, err)
	}
	p.fastPathCarried(300)
}

// A wildcard server takes what nobody else wants. It neither shows a
// subscriber's address outside nor opens it to the outside (VR3).
func TestAWildcardServerLeavesTheSubscribersToTheirGroup(t *testing.T) {
	p := settle(t, carrier+"[ltm.virtual.all]\ndestination = \"0.0.0.0:any\"\nip_forward = true\n")
	office := netip.MustParseAddr("10.2.1.200")
	p.must(p.local.Address("eth0", netip.PrefixFrom(office, 24)))
	s := p.serve(p.far, netip.AddrPortFrom(far, 80))
	p.serve(p.local, netip.AddrPortFrom(office, 80))
	p.serve(p.local, netip.AddrPortFrom(local, 80))
	for _, who := range []netip.Addr{local, office} {
		c, err := p.dialFrom(p.local, netip.AddrPortFrom(who, 0), netip.AddrPortFrom(far, 80), soon)
		p.must(err)
		if err := exchange(c, 1000); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	if got := s.visitors(); len(got) != 2 || got[0].Addr() != natAddress || got[1].Addr() != office {
		t.Errorf("%v came, expected %v and %v", got, natAddress, office)
	}
	p.reaches(p.far, netip.AddrPortFrom(office, 80), 1000)
	p.getsNothing(p.far, p.local, netip.AddrPortFrom(local, 80))
}

// fastPathCarried fails unless the flow table has forwarded so many packets.
func (p *place) fastPathCarried(least uint64) {
	p.t.Helper()
	var rows []netns.StatusRow
	p.must(p.daemon.Show(p.ctx, &rows, "status"))
	if len(rows) != 1 || rows[0].FastHits < least {
		p.t.Errorf("status %+v: expected at least %d packets from the flow table", rows, least)
	}
}
