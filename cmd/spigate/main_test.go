package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"spigate/cmd/internal/control"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// spigate runs the command line in this process.
func spigate(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), args, &out, &errs, false)
	return code, out.String(), errs.String()
}

// daemon serves a backend on a socket in the test's folder and returns the
// path. stop ends it early.
func daemon(t *testing.T, b control.Backend) (socket string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cli") // a test's own folder is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	s := control.New(b, nil)
	if err := s.Listen(socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		os.RemoveAll(dir)
	})
	return socket, stop
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// house is a small router with one of everything.
type house struct {
	empty  bool
	missed bool // a virtual server by its VLAN
	status control.Status
	lsn    iter.Seq[control.LSNSession] // in place of the two sessions

	flushed []string // what was asked of it

	idle    bool                       // no tunnel is up
	up      func() bool                // is one now?
	broken  *control.NetIPsecLastError // what failed with gw3
	refuses error                      // what operators are told

	once sync.Once
	wait chan struct{} // a capture that goes on until it is ended
}

func healthy() control.Status {
	return control.Status{Ready: true, Uptime: 3725, PID: 4711, Config: "/etc/spigate.toml", FastHits: 9000, SlowHits: 41,
		Flows: 4, FlowCapacity: 65536, Offload: control.Offload{Flows: 1, Capacity: 8192, Packets: 70000, Refused: 2,
			Left: []control.OffloadLeft{{Reason: "flags", Frames: 14}, {Reason: "miss", Frames: 8041}}}, Ports: []control.PortStatus{
			{Port: "lan", Interface: "inside", Up: true, RxFrames: 5000, RxBytes: 640000, TxFrames: 4000, TxBytes: 512000, FastHits: 4900, SlowHits: 21, Offload: "native"},
			{Port: "wan", Interface: "external", Up: true, RxFrames: 4001, RxBytes: 512100, TxFrames: 4999, TxBytes: 639000, FastHits: 4100, SlowHits: 20, Lost: 3, Offload: "off", OffloadWhy: "another program is attached"},
		}}
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

// addresses of the house.
const (
	clientA = "192.0.2.10"
	clientB = "192.0.2.111"
	outside = "203.0.113.3"
	gateway = "198.51.100.9"
)

func rowsFor[T any](h *house, f control.Filter, rows ...T) (iter.Seq[T], error) {
	if f.Client != "" && f.Client != "LSN-CLIENT-1" {
		return nil, control.NotFound("lsn client", f.Client)
	}
	if h.empty {
		rows = nil
	}
	return slices.Values(rows), nil
}

func (h *house) IPsecSessions(f control.Filter) (iter.Seq[control.IPsecSession], error) {
	row := control.IPsecSession{SourceIP: ip(clientA), NATIP: ip(outside), DestIP: ip(gateway), SPIIn: 0xc3a1b2d4, SPIOut: 0x00001000,
		State: control.StateEstablished, Idle: 1.25, RxPackets: 120, TxPackets: 98, Profile: "IPSECALGPROFILE-1", Group: "LSN-GROUP-1", Client: "LSN-CLIENT-1"}
	half := row
	half.SourceIP, half.SPIIn, half.SPIOut = ip(clientB), 0, 0xffffffff
	half.State, half.Idle, half.RxPackets, half.TxPackets = control.StateHalf, 75, 0, 1
	return rowsFor(h, f, row, half)
}

func (h *house) IPsecGates(f control.Filter) (iter.Seq[control.IPsecGate], error) {
	exchange := control.MessageID(1)
	return rowsFor(h, f,
		control.IPsecGate{NATIP: ip(outside), DestIP: ip(gateway), State: control.StateConfirmed, Holder: control.Addr{Addr: ip(clientA)},
			Exchange: &exchange, Opened: 2.5, Expires: 28.4, SPIs: []control.SPI{0xc3a1b2d4, 0x100}, Waiters: []control.GateWaiter{
				{SourceIP: ip(clientB), Exchange: 1, Waiting: 1}, {SourceIP: ip("192.0.2.12"), Exchange: 0xdeadbeef, Waiting: 0.25}}},
		control.IPsecGate{NATIP: ip(outside), DestIP: ip("198.51.100.200"), State: control.StateFree, SPIs: []control.SPI{}, Waiters: []control.GateWaiter{}})
}

func (h *house) LSNSessions(f control.Filter) (iter.Seq[control.LSNSession], error) {
	if h.lsn != nil {
		return h.lsn, nil
	}
	return rowsFor(h, f,
		control.LSNSession{SubscriberIP: ip(clientA), SubscriberPort: 500, DestIP: ip(gateway), DestPort: 500, NATIP: ip(outside), NATPort: 6234,
			Protocol: "UDP", Direction: control.In2Out, Client: "LSN-CLIENT-1"},
		control.LSNSession{SubscriberIP: ip(clientB), SubscriberPort: 77, DestIP: ip("8.8.8.8"), NATIP: ip(outside), NATPort: 50123,
			Protocol: "ICMP", Direction: control.In2Out, Client: "LSN-CLIENT-2"})
}

func (h *house) Flows(f control.Filter) (iter.Seq[control.Flow], error) {
	out := control.Flow{SourceIP: ip(clientA), DestIP: ip(gateway), InInterface: "inside", OutInterface: "external", Packets: 98, Bytes: 12345, Idle: 0.3, Owner: "ipsecalg", OwnerID: 1}
	out.SetID(50, 0x1000)
	out.SetNew(control.SideSource, ip(outside), 0)
	out.Offloaded = true
	in := control.Flow{SourceIP: ip(gateway), DestIP: ip(outside), InInterface: "external", OutInterface: "inside", Packets: 3, Bytes: 420, Idle: 12, Owner: "lsn", OwnerID: 17}
	in.SetID(17, 443<<16|6234)
	in.SetNew(control.SideDestination, ip(clientA), 40000)
	echo := control.Flow{SourceIP: ip(clientB), DestIP: ip("8.8.8.8"), InInterface: "inside", OutInterface: "external", Owner: "lsn", OwnerID: 18}
	echo.SetID(1, 77<<16|8)
	echo.SetNew(control.SideSource, ip(outside), 50123)
	return rowsFor(h, f, out, in, echo)
}

func (h *house) Drops() []control.Drop {
	esp := []byte{0x45, 0, 0, 120, 0, 0, 0, 0, 64, 50, 0, 0, 198, 51, 100, 9, 203, 0, 113, 3, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 7}
	seen, ring := control.Seconds(3.5), control.Seconds(61)
	drops := []control.Drop{
		{Reason: "esp_no_gate_in", Count: 12, Rate: 0.4, Last: control.NewDropSample(esp, 3.5), Seen: &seen, Means: "No gate is open.", Do: "Look at the gates.", Rule: "section 5 step 5"},
		{Reason: "rx_ring_full", Count: 7, Seen: &ring, Means: "The ring was full.", Do: "Buy a faster machine."},
		{Reason: "ah", Means: "AH cannot pass a NAT.", Do: "Use ESP.", Rule: "R36"},
	}
	if h.empty {
		return drops[2:]
	}
	if h.missed {
		drops = append(drops, control.Drop{Reason: "vlan_miss", Count: 3, Means: "It came on another VLAN.", Do: "Add the VLAN.", Rule: "VR46", VLANMisses: []control.VLANMiss{{
			Kind: control.NounVirtual, Name: "ipsec-2", In: "external", Listens: control.Words{"vlan-internal-2-0"}, Enabled: true,
			Protocol: "TCP", SourceIP: ip("10.1.1.1"), SourcePort: 40000, DestIP: ip("10.2.1.1"), DestPort: 80, Count: 3, Ago: 2}}})
	}
	return drops
}

func (h *house) IPsecStat(profile string) (control.IPsecStat, error) {
	if h.empty {
		return control.IPsecStat{}, nil
	}
	if profile == "UNUSED" {
		return control.IPsecStat{Profile: &profile}, nil
	}
	if profile != "" {
		return control.IPsecStat{}, control.NotFound("ipsecalg profile", profile)
	}
	ah, pieces := uint64(1), uint64(14)
	return control.IPsecStat{
		Total: 1200, Dropped: 31, Active: 2, Blocked: 1, RxPackets: 1234567, TxPackets: 987654,
		AHDropped: &ah, ESPNoGateIn: 2, ESPNoGateOut: 3, GateTimeout: 4, GateFail: 5, LateBind: 6, SPICollisionSuspect: 7,
		StaleSPI: 8, SeqReject: 9, P2Held: 10, P2Dropped: 11, IKEHalfLimit: 12, MalformedIKE: 13, FragDropped: &pieces,
		ESPSessions: 15, IKESessions: 16, IKEHalfOpen: 17,
	}, nil
}

func (h *house) ClearIPsecStat(profile string, level control.ClearLevel) (control.IPsecStat, error) {
	was, err := h.IPsecStat(profile)
	if err == nil {
		h.flushed = append(h.flushed, fmt.Sprintf("stat %q level %d", profile, level))
	}
	return was, err
}

func (h *house) IPsecProfiles() []control.IPsecProfile {
	if h.empty {
		return nil
	}
	return []control.IPsecProfile{
		{Name: "IPSECALGPROFILE-1", IKESessionTimeout: 2700, ESPSessionTimeout: 2400, ESPGateTimeout: 20, IKEHalfOpenTimeout: 30,
			ConnFailover: true, BlockMode: "HOLD", LateBindingOut: true, IKEKeepWithESP: true, GateSeqMax: 1024, Groups: control.Words{"LSN-GROUP-1"}},
		{Name: "UNUSED", IKESessionTimeout: 3600, ESPSessionTimeout: 3600, ESPGateTimeout: 30, IKEHalfOpenTimeout: 30, BlockMode: "DROP"},
	}
}

func (h *house) LSNClients() []control.LSNClient {
	if h.empty {
		return nil
	}
	return []control.LSNClient{
		{Name: "LSN-CLIENT-1", Networks: control.Words{"192.0.2.0/25", "198.18.0.0/15"}, Groups: control.Words{"LSN-GROUP-1"}},
		{Name: "LSN-CLIENT-2", Networks: control.Words{"192.0.2.128/25"}},
	}
}

func (h *house) LSNPools() []control.LSNPool {
	if h.empty {
		return nil
	}
	return []control.LSNPool{{Name: "LSN-POOL-1", Addresses: control.Words{"203.0.113.3-203.0.113.9", "203.0.113.20"},
		AddressCount: 8, Ports: 516096, UsedTCP: 12, UsedUDP: 3, UsedICMP: 1, Held: 2, Blocks: 1008, UsedBlocks: 5, Groups: control.Words{"LSN-GROUP-1", "LSN-GROUP-2"}}}
}

func (h *house) LSNGroups() []control.LSNGroup {
	if h.empty {
		return nil
	}
	alg := "IPSECALGPROFILE-1"
	return []control.LSNGroup{
		{Name: "LSN-GROUP-1", Client: "LSN-CLIENT-1", Pools: control.Words{"LSN-POOL-1"}, AppsProfiles: control.Words{"LSN-APPSPROFILE-1"}, IPsecALGProfile: &alg},
		{Name: "LSN-GROUP-2", Client: "LSN-CLIENT-2", Pools: control.Words{"LSN-POOL-1"}, TransportProfiles: control.Words{"T1", "T2"}},
	}
}

func (h *house) LSNAppsProfiles() []control.LSNAppsProfile {
	if h.empty {
		return nil
	}
	return []control.LSNAppsProfile{
		{Name: "LSN-APPSPROFILE-1", Protocol: "UDP", IPPooling: "PAIRED", Mapping: "ADDRESS-PORT-DEPENDENT", Filtering: "ADDRESS-PORT-DEPENDENT",
			Ports: control.Words{"500", "4500-4501"}, Groups: control.Words{"LSN-GROUP-1"}},
		{Name: "LSN-APPSPROFILE-2", Protocol: "TCP", IPPooling: "RANDOM", Mapping: "ENDPOINT-INDEPENDENT", Filtering: "ENDPOINT-INDEPENDENT"},
	}
}

func (h *house) FlushIPsec(f control.Filter) (control.IPsecFlushed, error) {
	h.flushed = append(h.flushed, "ipsecalg "+f.Values().Encode())
	if h.empty {
		return control.IPsecFlushed{}, nil
	}
	return control.IPsecFlushed{ESPSessions: 2, IKESessions: 1}, nil
}

func (h *house) FlushLSN(f control.Filter) (control.LSNFlushed, error) {
	if _, err := rowsFor[control.LSNSession](h, f); err != nil {
		return control.LSNFlushed{}, err
	}
	h.flushed = append(h.flushed, "lsn "+f.Values().Encode())
	if h.empty {
		return control.LSNFlushed{}, nil
	}
	return control.LSNFlushed{Sessions: 3, Mappings: 1}, nil
}

func (h *house) Version() control.Version { return control.BuildVersion() }

func (h *house) Status() control.Status { return h.status }

// closedPipe is a stdout whose reader has gone.
func closedPipe(t *testing.T) io.Writer {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}
