package netns

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
	"spigate/netstack/natlog"
	"spigate/tests/golden"
)

// oneOfEach is a record of each kind and form.
func oneOfEach() []natlog.Record {
	inside := frame.Endpoint{Addr: frame.Addr{192, 0, 2, 10}, Port: 15136}
	outside := frame.Endpoint{Addr: frame.Addr{203, 0, 113, 6}, Port: 6234}
	remote := frame.Endpoint{Addr: frame.Addr{198, 51, 100, 9}, Port: 80}
	all := []natlog.Record{
		{Kind: natlog.SessionCreated, Proto: 6},
		{Kind: natlog.SessionDeleted, Proto: 17, Packets: [2]uint64{5, 6}, Bytes: [2]uint64{700, 1 << 40}},
		{Kind: natlog.SessionCreated, Proto: 50, SPIIn: 0xc0ffee01, SPIOut: 0x1001},
		{Kind: natlog.MappingCreated, Mode: natlog.EIM, Proto: 6},
		{Kind: natlog.MappingDeleted, Mode: natlog.ADM, Proto: 6},
		{Kind: natlog.MappingCreated, Mode: natlog.APDM, Proto: 6},
		{Kind: natlog.BlockAllocated, First: 2048, Last: 2303},
		{Kind: natlog.BlockFreed, First: 2048, Last: 2303},
		{Kind: natlog.AddressesExhausted, Pool: 3},
		{Kind: natlog.PortsExhausted, Proto: 17},
		{Kind: natlog.QuotaExceeded, Quota: natlog.GroupSessions, Proto: 17, Limit: 3000},
		{Kind: natlog.QuotaExceeded, Quota: natlog.SubscriberPorts, Proto: 17, Limit: 64},
	}
	for i := range all {
		all[i].Inside, all[i].Outside, all[i].Remote, all[i].Domain = inside, outside, remote, 7
	}
	return all
}

// What tshark must print of oneOfEach: name of the event, then the fields.
func decodedOneOfEach() []string {
	const (
		at   = "Observation Time Milliseconds: Mar  7, 2026 09:08:05.250000000 UTC|"
		vrf  = "Ingress VRFID: 7"
		src  = "SrcAddr: 192.0.2.10|SrcPort: 15136 (15136)|"
		nat  = "Post NAT Source IPv4 Address: 203.0.113.6|Post NAPT Source Transport Port: 6234|"
		dst  = "DstAddr: 198.51.100.9|DstPort: 80 (80)|"
		tcp  = "Protocol: TCP (6)|"
		udp  = "Protocol: UDP (17)|"
		ours = "Enterprise Private entry: (Example Enterprise Number for Documentation Use) Type "
	)
	return []string{
		at + "Nat Event: NAT44 session create (4)|" + tcp + src + nat + dst + vrf,
		at + "Nat Event: NAT44 session delete (5)|" + udp + src + nat + dst + vrf + "|Initiator Packets: 5|Initiator Octets: 700|" +
			"Responder Packets: 6|Responder Octets: 1099511627776",
		at + "Nat Event: NAT44 session create (4)|Protocol: Encap Security Payload (50)|SrcAddr: 192.0.2.10|SrcPort: 0|" +
			"Post NAT Source IPv4 Address: 203.0.113.6|Post NAPT Source Transport Port: 0|DstAddr: 198.51.100.9|DstPort: 0|" +
			ours + "1: Value (hex bytes): c0 ff ee 01|" + ours + "2: Value (hex bytes): 00 00 10 01|" + vrf,
		at + "Nat Event: NAT44 BIB create (8)|" + tcp + src + nat + vrf,
		at + "Nat Event: NAT44 BIB delete (9)|" + tcp + src + nat + "DstAddr: 198.51.100.9|" + vrf,
		at + "Nat Event: NAT44 BIB create (8)|" + tcp + src + nat + dst + vrf,
		at + "Nat Event: Port block allocation (16)|SrcAddr: 192.0.2.10|Post NAT Source IPv4 Address: 203.0.113.6|" +
			"Port Range Start: 2048|Port Range End: 2303|" + vrf,
		at + "Nat Event: Port block de-allocation (17)|SrcAddr: 192.0.2.10|Post NAT Source IPv4 Address: 203.0.113.6|" +
			"Port Range Start: 2048|Port Range End: 2303|" + vrf,
		at + "Nat Event: NAT Addresses exhausted (3)|Nat Pool Id: 3|SrcAddr: 192.0.2.10|" + vrf,
		at + "Nat Event: NAT ports exhausted (12)|Post NAT Source IPv4 Address: 203.0.113.6|" + udp + "SrcAddr: 192.0.2.10|" + vrf,
		at + "Nat Event: Quota Exceeded (13)|NAT Quota Exceeded Event: Maximum session entries (1)|Max Session Entries: 3000|" + udp + vrf,
		at + "Nat Event: Quota Exceeded (13)|NAT Quota Exceeded Event: Maximum entries per user (3)|Max Entries Per User: 64|" +
			"SrcAddr: 192.0.2.10|" + udp + vrf,
	}
}

func TestTsharkReadsEveryIPFIXRecord(t *testing.T) {
	for _, size := range []int{natlog.MinMessageSize, natlog.DefaultMessageSize} {
		var packets [][]byte
		for _, m := range ipfixMessages(t, natlog.Target{MessageSize: size}, oneOfEach()...) {
			packets = append(packets, inUDP(m, 4739))
		}
		flows, complaints := tsharkFlows(t, pcapFile(t, rawIPv4, packets))
		for i := range flows {
			flows[i] = strings.ReplaceAll(strings.TrimSpace(flows[i]), "\n", "|")
		}
		if diff := cmp.Diff(decodedOneOfEach(), flows); diff != "" || len(complaints) > 0 {
			t.Errorf("messages of %d bytes: complaints %q, records (-want +got):\n%s", size, complaints, diff)
		}
	}
}

func TestTsharkReadsAGap(t *testing.T) {
	var packets [][]byte
	records := slices.Repeat(oneOfEach()[:1], 5)
	for _, m := range ipfixMessages(t, natlog.Target{Queue: 2}, records...) {
		packets = append(packets, inUDP(m, 4739))
	}
	flows, complaints := tsharkFlows(t, pcapFile(t, rawIPv4, packets))
	if len(flows) != 3 || len(complaints) > 0 {
		t.Fatalf("%d records, want two sessions and a gap: %q, %q", len(flows), flows, complaints)
	}
	for _, want := range []string{"Not Sent Packets: 3\n", "Mar  7, 2026 09:08:05.250000000 UTC"} {
		if !strings.Contains(flows[2], want) {
			t.Errorf("the gap is %q, without %q", flows[2], want)
		}
	}
}

// The management network: the router's kernel reaches collectors through it.
var (
	routerManagement = netip.MustParsePrefix("198.18.0.1/24")
	collectorAddress = netip.MustParsePrefix("198.18.0.2/24")
)

// loggingTemplate is the example with a NAT log to the collector.
func loggingTemplate(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	const group = "[lsn.group.LSN-GROUP-1]\n"
	logging := strings.Replace(string(text), group, group+"logging = true\nsession_logging = true\n", 1) + `
[log.nat.target.lines]
kind = "syslog"
address = "198.18.0.2:514"
transport = "tcp"
format = "compact"
detail = "session"
[log.nat.target.flows]
kind = "ipfix"
address = "198.18.0.2:4739"
detail = "session"
`
	name := filepath.Join(t.TempDir(), "template.toml")
	if err := os.WriteFile(name, []byte(logging), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCollectorsOnTheManagementNetworkAreToldWhoHadWhichPort(t *testing.T) {
	s := site(t)
	collector, err := s.Router.lab.Namespace("collector")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Router.lab.Wire(End{s.Router, "mgmt"}, End{collector, "eth0"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Router.Address("mgmt", routerManagement); err != nil {
		t.Fatal(err)
	}
	if err := collector.Address("eth0", collectorAddress); err != nil {
		t.Fatal(err)
	}
	lines := collectLines(t, collector)
	listenUDP(t, collector, "198.18.0.2:4739")
	cable, err := collector.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	d := routerIn(t, s, DaemonConfig{Dir: t.TempDir(), Template: loggingTemplate(t)})
	ctx, cancel := d.While(deadline(t))
	defer cancel()
	first, second, err := Conversations(golden.IKEv2First, golden.IKEv2Second, 2)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(ctx, Scenario{First: first, Second: second, Patience: DefaultPatience()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(); err != nil { // sends what is queued
		t.Fatal(err)
	}
	checkLines(t, lines(), r, first, second)
	checkCollected(t, cable, first, second)
}

// listenUDP has a socket take what is sent to an address: with nobody there, the
// kernel would refuse it.
func listenUDP(t *testing.T, in *Namespace, address string) {
	t.Helper()
	var conn net.PacketConn
	err := in.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
}

// collectLines listens for syslog over TCP; the function that it returns waits
// for the end of the connection.
func collectLines(t *testing.T, in *Namespace) func() []string {
	t.Helper()
	var ln net.Listener
	err := in.Do(func() (err error) {
		ln, err = net.Listen("tcp4", "198.18.0.2:514")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	got := make(chan []string, 1)
	go func() {
		var out []string
		defer func() { got <- out }()
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		out = readLines(conn)
	}()
	return func() []string { return <-got }
}

func readLines(conn net.Conn) []string {
	var b strings.Builder
	buf := make([]byte, 1<<12)
	for {
		n, err := conn.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		}
	}
}

// checkLines looks for each client's IKE mapping, as the gateway saw it, and for
// its ESP session.
func checkLines(t *testing.T, lines []string, r *Result, convs ...golden.Conversation) {
	t.Helper()
	var got []string
	for i, line := range lines {
		header, body, ok := strings.Cut(line, " nat: ")
		record, _, err := natlog.ParseCompact(body)
		if !ok || err != nil || !strings.HasPrefix(header, "<134>") || !strings.HasSuffix(header, " 198.18.0.1") {
			t.Errorf("line %q: %v", line, err)
			continue
		}
		if (record.Kind == natlog.Started) != (i == 0) {
			t.Errorf("line %d is %q; the first one, and no other, says that the log begins", i, line)
		}
		switch {
		case record.Kind == natlog.MappingCreated:
			got = append(got, fmt.Sprint("mapping ", record.Inside, " ", record.Outside))
		case record.Kind == natlog.SessionCreated && record.Proto == frame.ProtoESP:
			got = append(got, fmt.Sprintf("esp %v %08x %08x", record.Inside.Addr, record.SPIIn, record.SPIOut))
		}
	}
	var want []string
	for _, c := range convs {
		want = append(want, fmt.Sprint("mapping ", netip.AddrPortFrom(c.Client, 500), " ", r.Delivery(c.Name, golden.Gateway).Peer))
		in, out := c.SPIs(golden.Gateway), c.SPIs(golden.Client)
		for i := range in {
			want = append(want, fmt.Sprintf("esp %v %08x %08x", c.Client, in[i], out[i]))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mappings and ESP sessions (-want +got):\n%s", diff)
	}
}

// checkCollected has tshark read the same from the cable.
func checkCollected(t *testing.T, cable *Capture, convs ...golden.Conversation) {
	t.Helper()
	var frames [][]byte
	for _, f := range cable.Stop() {
		frames = append(frames, f.Frame)
	}
	flows, complaints := tsharkFlows(t, pcapFile(t, ethernet, frames))
	if len(complaints) > 0 {
		t.Errorf("tshark complains: %q", complaints)
	}
	count := func(words ...string) (n int) {
		for _, f := range flows {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(f, w) }) {
				n++
			}
		}
		return n
	}
	for _, c := range convs {
		client := "SrcAddr: " + c.Client.String() + "\n"
		if n := count(client, "NAT44 BIB create (8)", "SrcPort: 500 "); n != 1 {
			t.Errorf("%d records of the IKE mapping of %s, want 1", n, client)
		}
		for _, in := range c.SPIs(golden.Gateway) {
			spi := fmt.Sprintf("Type 1: Value (hex bytes): % x\n", binary.BigEndian.AppendUint32(nil, in))
			if n := count(client, "NAT44 session create (4)", "Encap Security Payload (50)", spi); n != 1 {
				t.Errorf("%d records of the ESP session of %s with %s, want 1", n, client, spi)
			}
		}
	}
}
