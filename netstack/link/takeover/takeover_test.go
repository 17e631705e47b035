package takeover

import (
	"encoding/binary"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func TestMain(m *testing.M) {
	if device := os.Getenv("TAKE_AND_WAIT"); device != "" {
		takeAndWait(strings.Split(device, ","), os.Getenv("TAKE_DIR"))
	}
	goleak.VerifyTestMain(m)
}

// A lab is a machine that forwards: left -- p0 (kernel) p1 -- right.
type lab struct {
	left, right *host
	dir         string
}

const frames = 20

// newLab lays out two cables in a namespace, with the kernel as a router
// between them: addresses, routes, a policy table, a permanent neighbour.
func newLab(t *testing.T) *lab {
	ownNamespace(t)
	veth(t, "left", "p0")
	veth(t, "right", "p1")
	for _, d := range []string{"left", "right"} {
		sysctl(t, "ipv6/conf/"+d+"/disable_ipv6", "1")
	}
	sysctl(t, "ipv4/ip_forward", "1")
	for _, c := range []string{
		"ip addr add 10.0.1.1/24 brd + dev p0", "ip addr add 10.0.1.2/24 dev p0", "ip addr add 10.0.9.1/32 dev p0 label p0:x",
		"ip addr add 10.0.2.1/24 dev p1", "ip -6 addr add 2001:db8:1::1/64 dev p0 nodad",
		"ip route add 10.7.0.0/16 via 10.0.2.9 metric 50", "ip route add default via 10.0.2.254",
		"ip route add 10.8.0.0/16 via 10.7.0.1 dev p1 onlink", "ip route add 10.99.0.0/16 dev p1 table 77",
		"ip -6 route add 2001:db8:7::/48 via 2001:db8:1::9",
		"ip neigh add 10.0.2.9 lladdr 02:00:00:00:00:99 dev p1 nud permanent",
		"ip neigh add 10.0.2.2 lladdr 02:00:00:00:00:98 dev p1 nud permanent",
	} {
		run(t, strings.Fields(c)...)
	}
	return &lab{left: newHost(t, "left"), right: newHost(t, "right"), dir: t.TempDir()}
}

// packet is a UDP packet from the left to the right network, for the router's
// MAC address, with the mark as its payload.
func packet(t *testing.T, mark string) []byte {
	b := make([]byte, 14+28+len(mark))
	copy(b, linkNamed(t, "p0").Attrs().HardwareAddr)
	copy(b[6:], []byte{2, 0, 0, 0, 0, 7, 8, 0})
	ip := header.IPv4(b[14:])
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(len(b)-14))
	copy(ip[12:], []byte{10, 0, 1, 77, 10, 0, 2, 2})
	ip.SetChecksum(^ip.CalculateChecksum())
	binary.BigEndian.PutUint16(ip[24:], uint16(8+len(mark)))
	copy(b[14+28:], mark)
	return b
}

// forwarded sends frames on the left and returns how many of them the router's
// port saw, as the tap sees them, and how many came out on the right.
func (l *lab) forwarded(t *testing.T, mark string, want int) (seen, out int) {
	t.Helper()
	tap := newHost(t, "p0")
	for range frames {
		l.left.send(packet(t, mark))
	}
	seen = tap.receive(mark, frames, 2e6)
	if want == 0 {
		return seen, l.right.receive(mark, 1, 1e5)
	}
	return seen, l.right.receive(mark, want, 2e6)
}

func (l *lab) wantForwarding(t *testing.T, mark string) {
	t.Helper()
	if seen, out := l.forwarded(t, mark, frames); seen != frames || out != frames {
		t.Errorf("%s: port saw %d and kernel forwarded %d of %d", mark, seen, out, frames)
	}
}

func (l *lab) wantSilence(t *testing.T, mark string) {
	t.Helper()
	seen, out := l.forwarded(t, mark, 0)
	if seen != frames {
		t.Errorf("%s: the packet tap saw %d of %d", mark, seen, frames)
	}
	if out != 0 {
		t.Errorf("%s: the kernel forwarded", mark)
	}
}

// picture is all that Restore promises to bring back, as people would see it.
func picture(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	// The kernel looks for duplicates of IPv6 addresses, link-local ones too,
	// in its own time: until then they are tentative and without local route.
	volatile := regexp.MustCompile(`(valid_lft|preferred_lft) \d+sec|state \w+|<[A-Z_,]*>|tentative |local [0-9a-f]+:.*\n`)
	for _, c := range []string{"ip -4 addr", "ip -6 addr", "ip -4 route show table all", "ip -6 route show table all",
		"ip neigh show nud permanent", "tc qdisc", "tc filter show dev p0 ingress", "tc filter show dev p1 egress"} {
		lines := strings.Split(volatile.ReplaceAllString(run(t, strings.Fields(c)...), ""), "\n")
		if !strings.HasSuffix(c, "addr") {
			slices.Sort(lines) // the order of routes and neighbours is no one's promise
		}
		out[c] = strings.Join(lines, "\n")
	}
	for _, d := range []string{"p0", "p1"} {
		l := linkNamed(t, d)
		out[d+" flags"] = l.Attrs().Flags.String()
		e, err := openEthtool(d)
		must(t, err)
		_, blocks, err := e.features()
		e.close()
		must(t, err)
		for _, b := range blocks {
			out[d+" features"] += cmp.Diff(featureBlock{}, b)
		}
		for _, s := range sysctls() {
			b, err := os.ReadFile((&Port{link: l}).sysctlPath(s.Name))
			must(t, err)
			out[d+" "+s.Name] = strings.TrimSpace(string(b))
		}
	}
	return out
}

// take takes both ports of the lab.
func (l *lab) take(t *testing.T) (ports []*Port) {
	t.Helper()
	for _, d := range []string{"p0", "p1"} {
		p, err := Take(d, Config{Dir: l.dir})
		must(t, err)
		ports = append(ports, p)
	}
	return ports
}

func restore(t *testing.T, ports []*Port) {
	t.Helper()
	for _, p := range ports {
		if err := p.Restore(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingIsForwardedFromTakingToGivingBackThroughAKill(t *testing.T) {
	l := newLab(t)
	l.wantForwarding(t, "before")
	before := picture(t)
	killed := startTaker(t, l.dir, "p0", "p1")
	l.wantSilence(t, "taken by a process")
	killed()
	l.wantSilence(t, "after its kill")
	if left, _ := os.ReadDir(l.dir); len(left) != 4 {
		t.Errorf("a killed process left %d files, want state and lock of two ports", len(left))
	}
	ports := l.take(t)
	l.wantSilence(t, "taken again")
	if got := run(t, "ip", "-4", "route", "show", "table", "all", "dev", "p1"); got != "" {
		t.Errorf("routes on a taken port: %s", got)
	}
	restore(t, ports)
	if diff := cmp.Diff(before, picture(t)); diff != "" {
		t.Errorf("not as it was (-before +after):\n%s", diff)
	}
	if left, _ := os.ReadDir(l.dir); len(left) != 0 {
		t.Errorf("files left after giving back: %v", left)
	}
	l.wantForwarding(t, "given back")
}

func TestATakenPortHasNothingOfTheKernels(t *testing.T) {
	l := newLab(t)
	ports := l.take(t)
	defer restore(t, ports)
	for _, d := range []string{"p0", "p1"} {
		link := linkNamed(t, d)
		addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		must(t, err)
		if len(addrs) != 0 {
			t.Errorf("%s has addresses: %v", d, addrs)
		}
		if !strings.Contains(run(t, "ip", "link", "show", d), "NOARP") {
			t.Errorf("%s answers ARP", d)
		}
		for _, s := range sysctls() {
			b, err := os.ReadFile((&Port{link: link}).sysctlPath(s.Name))
			must(t, err)
			if got := strings.TrimSpace(string(b)); got != s.Value {
				t.Errorf("%s: %s = %s, want %s", d, s.Name, got, s.Value)
			}
		}
		e, err := openEthtool(d)
		must(t, err)
		names, blocks, err := e.features()
		e.close()
		must(t, err)
		for i, name := range names {
			if b := blocks[i/32]; unwanted(name) && b.Available&b.Requested&(1<<(i%32)) != 0 {
				t.Errorf("%s: %s is on", d, name)
			}
		}
	}
}

func TestTheKernelCannotSendOutOfATakenPort(t *testing.T) {
	l := newLab(t)
	veth(t, "other", "p2")
	run(t, strings.Fields("ip addr add 10.0.3.1/24 dev p2")...)
	ports := l.take(t)
	defer restore(t, ports)
	// Somebody, a DHCP client say, puts an address and a neighbour back.
	run(t, strings.Fields("ip addr add 10.0.2.1/24 dev p1")...)
	run(t, strings.Fields("ip neigh replace 10.0.2.2 lladdr 02:00:00:00:00:98 dev p1 nud permanent")...)
	other := newHost(t, "other")
	b := packet(t, "by a third port")
	copy(b, linkNamed(t, "p2").Attrs().HardwareAddr)
	for range frames {
		other.send(b)
	}
	if n := l.right.receive("by a third port", 1, 1e5); n != 0 {
		t.Error("the kernel sent a packet out of a taken port")
	}
	own := newHost(t, "p1")
	own.send(append(make([]byte, 14), "our own frame"...))
	if n := l.right.receive("our own frame", 1, 2e6); n != 1 {
		t.Error("our own frame did not pass the drop")
	}
}
