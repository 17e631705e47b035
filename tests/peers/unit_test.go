package peers

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spigate/board/image/deb"
	"spigate/board/image/files"
	"spigate/tests/netns"
)

const twoStates = `src 192.168.1.11 dst 203.0.113.2
	proto esp spi 0xcfb5627e(3484770942) reqid 1(0x00000001) mode tunnel
	replay-window 0 seq 0x00000000 flag  af-unspec (0x00100000)
	encap type espinudp sport 4500 dport 4500 addr 0.0.0.0
	lifetime config:
	  limit: soft (INF)(bytes), hard (INF)(bytes)
	  limit: soft (INF)(packets), hard (INF)(packets)
	lifetime current:
	  672(bytes), 8(packets)
	  add 2026-11-21 21:00:42 use -
src 203.0.113.2 dst 192.168.1.11
	proto esp spi 0x00000000(0) reqid 1(0x00000001) mode tunnel
	lifetime current:
	  0(bytes), 0(packets)
Updated src 203.0.113.2 dst 192.168.1.11
	proto esp spi 0xabb4c68e reqid 1 mode tunnel
src 10.0.0.1 dst 10.0.0.2
	proto ah spi 0x00000101(257) reqid 1(0x00000001) mode tunnel
`

func TestStatesAreReadAsTheKernelPrintsThem(t *testing.T) {
	client, gw := netip.MustParseAddr("192.168.1.11"), netip.MustParseAddr("203.0.113.2")
	want := []SA{
		{Src: client, Dst: gw, SPI: 0xcfb5627e, UDP: true, Bytes: 672, Packets: 8},
		{Src: gw, Dst: client, SPI: 0xabb4c68e},
	}
	got := parseStates(twoStates)
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Error(d)
	}
}

func TestPingsAreCounted(t *testing.T) {
	p, err := parsePings("PING x\n--- x ping statistics ---\n22 packets transmitted, 21 received, 4.5% packet loss, time 600ms\n")
	if err != nil || p != (Pings{22, 21, 0}) {
		t.Errorf("%+v, %v", p, err)
	}
	holes := "64 bytes from 10.99.0.1: icmp_seq=1 ttl=64 time=9 ms\n64 bytes from 10.99.0.1: icmp_seq=4 ttl=64 time=9 ms\n" +
		"6 packets transmitted, 2 received, 66% packet loss, time 600ms\n"
	if p, err := parsePings(holes); err != nil || p != (Pings{6, 2, 2}) {
		t.Errorf("%+v, %v: two were lost, and two are on their way", p, err)
	}
	two := "1 packets transmitted, 1 received, 0% packet loss, time 0ms\n1 packets transmitted, 0 received, 100% packet loss, time 0ms\n"
	if p, err := parsePings(two); err != nil || p != (Pings{2, 1, 0}) {
		t.Errorf("%+v, %v: two programs sent one each", p, err)
	}
	if _, err := parsePings("ping: bad address"); err == nil {
		t.Error("an error was taken for a count")
	}
}

func TestPacketsThatAKernelRefusedAreCounted(t *testing.T) {
	if n := parseRefused("XfrmInError             \t5\nXfrmInNoStates          \t2\nXfrmAcquireError        \t1\nXfrmOutNoStates\t4\n"); n != 7 {
		t.Errorf("%d, want 7", n)
	}
}

func TestWhatTheGuestNeverNeedsIsLeftOut(t *testing.T) {
	got := versions(needless([]deb.Package{{Name: "libattr1", Version: "1:2.5.1-4"}, {Name: "perl-base", Version: "5.36.0-7"}}))
	if d := cmp.Diff([]string{"libattr1=1:2.5.1-4"}, got); d != "" {
		t.Error(d)
	}
}

func TestTheMachineIsChosenByName(t *testing.T) {
	for value, want := range map[string]Machine{"": QEMU, "qemu": QEMU, "uml": UML} {
		t.Setenv(machineVariable, value)
		if got, err := ChooseMachine(); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", value, got, err, want)
		}
	}
	t.Setenv(machineVariable, "kvm")
	if m, err := ChooseMachine(); err == nil || !strings.Contains(err.Error(), `"uml"`) {
		t.Errorf("kvm: %q, %v; want an error that names what there is", m, err)
	}
}

func TestBothMachinesGiveEveryHostItsCard(t *testing.T) {
	for m, device := range map[Machine]string{QEMU: "eth", UML: "vec"} {
		c := MachineConfig{Image: &Image{Machine: m, Kernel: "/k", Initrd: "/i"}, Cards: []Card{{"c1", "tap-c1", cardAddress(1)}, {"gw", "tap-gw", cardAddress(2)}}, Dir: "/d"}
		line := strings.Join(m.launch(c, "/d/agent.sock").Args, " ")
		for _, want := range []string{"peers.hosts=c1:" + device + "0,gw:" + device + "1", "ifname=tap-c1,", "ifname=tap-gw,", "mac=02:00:5e:00:53:02", "/d/agent.sock"} {
			if !strings.Contains(line, want) {
				t.Errorf("%s: no %q in %q", m, want, line)
			}
		}
	}
}

func TestAMissingProgramIsMissed(t *testing.T) {
	if _, err := closure(files.Tree{}, []string{"usr/bin/nothing"}); err == nil {
		t.Error("a missing program was not missed")
	}
}

// packet makes an Ethernet frame with an IPv4 packet.
func packet(proto byte, body ...byte) []byte {
	f := make([]byte, etherLen+20, etherLen+20+len(body))
	binary.BigEndian.PutUint16(f[12:], etherIPv4)
	h := f[etherLen:]
	h[0], h[9] = 0x45, proto
	copy(h[12:], []byte{203, 0, 113, 2, 192, 168, 1, 11})
	return append(f, body...)
}

func TestESPIsFoundOnTheWire(t *testing.T) {
	natt := []byte{0x11, 0x94, 0x11, 0x94, 0, 16, 0, 0}
	ike := []byte{1, 0xf4, 0x4e, 0x20, 0, 8, 0, 0}
	for _, c := range []struct {
		name  string
		frame []byte
		spi   uint32
		udp   bool
	}{
		{"plain", packet(protoESP, 0xab, 0xcd, 0, 1, 0, 0, 0, 1), 0xabcd0001, false},
		{"in UDP", packet(protoUDP, append(slices.Clone(natt), 0xab, 0xcd, 0, 1, 0, 0, 0, 1)...), 0xabcd0001, true},
		{"IKE on 4500", packet(protoUDP, append(slices.Clone(natt), 0, 0, 0, 0, 1, 2, 3, 4)...), 0, false},
		{"keepalive", packet(protoUDP, append(slices.Clone(natt), 0xff)...), 0, false},
		{"IKE on 500", packet(protoUDP, ike...), 0, false},
		{"cut", packet(protoESP, 0xab, 0xcd), 0, false},
		{"short", []byte{1, 2, 3}, 0, false},
	} {
		e, ok := parseESP(c.frame)
		if ok != (c.spi != 0) || e.spi != c.spi || e.udp != c.udp {
			t.Errorf("%s: %+v, %v", c.name, e, ok)
		}
	}
}

func TestAFrameForAnotherCardIsNoDelivery(t *testing.T) {
	mine, other := Client(1).Card, Client(2).Card
	frame := func(to net.HardwareAddr) []byte {
		return append(slices.Clone([]byte(to)), packet(protoESP, 0, 0, 1, 0, 0, 0, 0, 1)[6:]...)
	}
	got := passingAt([]netns.Captured{{Frame: frame(mine), Sent: true}, {Frame: frame(other), Sent: true}, {Frame: frame(other)}, {Sent: true}}, mine)
	if len(got) != 2 || !got[0].delivered || got[1].delivered {
		t.Errorf("%+v: want one delivery, and one frame that the host sent", got)
	}
}

func TestALostPacketIsNamedByItsSPI(t *testing.T) {
	a, b := esp{spi: 0xa000}, esp{spi: 0xb000}
	if got := missing([]esp{a, b}, []esp{b, a}); len(got) != 0 {
		t.Errorf("%v are missing, and all came", got)
	}
	want := map[uint32]int{0xb000: 2}
	if d := cmp.Diff(want, missing([]esp{a, b}, []esp{a, b, b, b})); d != "" {
		t.Error(d)
	}
}

func TestCountersMustAgreeAtBothEnds(t *testing.T) {
	h := Client(1)
	sa := func(n uint64) SA { return SA{Packets: n, Bytes: 84 * n} }
	good := []Tunnel{{In: sa(4), GwOut: sa(4), Out: sa(5), GwIn: sa(5)}}
	if err := compareCounters(h, good, 4); err != nil {
		t.Error(err)
	}
	lost := []Tunnel{{In: sa(4), GwOut: sa(5), Out: sa(5), GwIn: sa(5)}}
	if compareCounters(h, lost, 4) == nil {
		t.Error("a lost packet was not noticed")
	}
	if compareCounters(h, good, 6) == nil || compareCounters(h, nil, 1) == nil {
		t.Error("too few packets were not noticed")
	}
}

func TestTheMatrixMarksWhatWasPlayedTwice(t *testing.T) {
	row := Rows()[0].Name
	text := Matrix([]Result{{Row: row, Scenario: "traffic", Tries: 1}, {Row: row, Scenario: "together", Tries: 2}, {Row: row, Scenario: "restart", Tries: 2, Err: errMisled}})
	for _, want := range []string{"| pass 0s * |", "| pass (2nd try) 0s |", "| FAIL (2nd try) 0s |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestEveryRowAndEveryScenarioIsSampled(t *testing.T) {
	rows, scenarios := map[string]int{}, map[string]int{}
	for _, c := range Cells(false) {
		rows[c.Row.Name]++
		scenarios[c.Scenario.Name]++
	}
	for _, r := range Rows() {
		if rows[r.Name] == 0 {
			t.Errorf("row %s is never run", r.Name)
		}
	}
	for _, s := range Scenarios() {
		if scenarios[s.Name] == 0 {
			t.Errorf("scenario %s is never run", s.Name)
		}
	}
	if got, want := len(Cells(true)), len(Rows())*len(Scenarios()); got != want {
		t.Errorf("soak has %d cells, want %d", got, want)
	}
}
