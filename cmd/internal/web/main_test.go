//go:build !noweb

package web

import (
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a router with one of everything.
type house struct {
	control.Backend // what the pages do not ask

	mu      sync.Mutex
	done    []string // what operators did
	gates   []control.IPsecGate
	virtual []control.LTMVirtual
	flows   int
	hits    uint64
}

func (h *house) did(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, fmt.Sprintf(format, args...))
}

func (h *house) doings() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.done)
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func (h *house) Status() control.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return control.Status{Ready: true, Uptime: 3725, Config: "/etc/spigate.toml", FastHits: h.hits, SlowHits: 41, Flows: 4, FlowCapacity: 65536,
		Offload: control.Offload{Flows: 1, Capacity: 8192, Packets: 70000},
		Ports: []control.PortStatus{
			{Port: "lan", Interface: "inside", Up: true, RxFrames: 5000, RxBytes: 640000, TxFrames: 4000, TxBytes: 512000, Offload: "native"},
			{Port: "wan", Interface: "external", RxFrames: 4001, RxBytes: 512100, Offload: "off", OffloadWhy: "another program is attached"},
		}}
}

func (h *house) Version() control.Version {
	return control.Version{Version: "v1", OS: "linux", Arch: "arm"}
}

func (h *house) Drops() []control.Drop {
	seen := control.Seconds(3.5)
	return []control.Drop{
		{Reason: "esp_no_gate_in", Count: 1234567, Rate: 0.4, Seen: &seen, Means: "No gate is open <for it>.", Do: "Look at the gates.", Rule: "R62",
			Last: control.NewDropSample([]byte{0x45, 0, 0, 120, 0, 0, 0, 0, 64, 50, 0, 0, 198, 51, 100, 9, 203, 0, 113, 3, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 7}, 3.5)},
		{Reason: "ah", Means: "AH cannot pass a NAT.", Do: "Use ESP."},
	}
}

func (h *house) IPsecStat(string) (control.IPsecStat, error) {
	return control.IPsecStat{Total: 1200, Active: 2, Blocked: 1, ESPSessions: 2}, nil
}

func (h *house) IPsecGates(control.Filter) (iter.Seq[control.IPsecGate], error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Values(slices.Clone(h.gates)), nil
}

func openGate() control.IPsecGate {
	exchange := control.MessageID(1)
	return control.IPsecGate{NATIP: ip("203.0.113.3"), DestIP: ip("198.51.100.9"), State: control.StateConfirmed, Holder: control.Addr{Addr: ip("192.0.2.10")},
		Exchange: &exchange, Opened: 2.5, Expires: 28.4, SPIs: []control.SPI{0xc3a1b2d4},
		Waiters: []control.GateWaiter{{SourceIP: ip("192.0.2.111"), Waiting: 1}}}
}

func (h *house) IPsecSessions(control.Filter) (iter.Seq[control.IPsecSession], error) {
	row := control.IPsecSession{SourceIP: ip("192.0.2.10"), NATIP: ip("203.0.113.3"), DestIP: ip("198.51.100.9"), SPIIn: 0xc3a1b2d4, SPIOut: 0x1000,
		State: control.StateEstablished, Idle: 1.2, RxPackets: 120, TxPackets: 98, Profile: "IPSECALGPROFILE-1"}
	return slices.Values([]control.IPsecSession{row}), nil
}

func (h *house) LSNSessions(f control.Filter) (iter.Seq[control.LSNSession], error) {
	if f.Client != "" && f.Client != "LSN-CLIENT-1" {
		return nil, control.NotFound("lsn client", f.Client, "LSN-CLIENT-1")
	}
	return func(yield func(control.LSNSession) bool) {
		for i := range 300 {
			row := control.LSNSession{SubscriberIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 150)}), NATIP: ip("203.0.113.3"), Protocol: []string{"TCP", "UDP", "ICMP"}[i%3]}
			if !yield(row) {
				return
			}
		}
	}, nil
}

func (h *house) Flows(control.Filter) (iter.Seq[control.Flow], error) {
	return func(yield func(control.Flow) bool) {
		for i := range h.flows {
			row := control.Flow{SourceIP: ip("192.0.2.10"), DestIP: ip("198.51.100.9"), InInterface: "inside", OutInterface: "external", Packets: uint64(i), Owner: "lsn"}
			row.SetID(17, uint32(i)<<16|53)
			row.SetNew(control.SideSource, ip("203.0.113.3"), 6234)
			if !yield(row) {
				return
			}
		}
	}, nil
}

func (h *house) LSNStat(control.Filter) control.LSNStat {
	return control.LSNStat{Subscribers: 150, Protocols: []control.LSNProtocol{{Protocol: "TCP", Sessions: 100}, {Protocol: "UDP", Sessions: 100}}}
}

func (h *house) LSNPools() []control.LSNPool {
	return []control.LSNPool{{Name: "LSN-POOL-1", Addresses: control.Words{"203.0.113.3-203.0.113.9"}, AddressCount: 7, Ports: 1000, UsedTCP: 900, UsedUDP: 50, Groups: control.Words{"LSN-GROUP-1"}}}
}

func (h *house) LSNGroups() []control.LSNGroup {
	return []control.LSNGroup{{Name: "LSN-GROUP-1", Client: "LSN-CLIENT-1", Pools: control.Words{"LSN-POOL-1"}}}
}

func (h *house) LSNClients() []control.LSNClient {
	return []control.LSNClient{{Name: "LSN-CLIENT-1", Networks: control.Words{"192.0.2.0/24"}, Groups: control.Words{"LSN-GROUP-1"}}}
}

func (h *house) LTMVirtuals() []control.LTMVirtual {
	v := control.LTMVirtual{Name: "ipsec-2", Availability: "unknown", State: "enabled", Destination: "10.2.1.0:any", Mask: "255.255.255.0", Source: "0.0.0.0/0", Protocol: "any", VLANsEnabled: true, VLANs: control.Words{"ipsec-tunnel"}}
	v.BitsIn, v.PacketsIn, v.Current = 36096, 27, 3
	return append([]control.LTMVirtual{v}, h.virtual...)
}

func (h *house) LTMNATs() []control.LTMNAT {
	return []control.LTMNAT{{Name: "NAT-1", Originating: "192.168.15.2", Translation: "172.17.1.1"}}
}

func (h *house) LTMSNATs() []control.LTMSNAT {
	return []control.LTMSNAT{{Name: "S1", Origins: control.Words{"10.0.0.0/8"}, Automap: true}}
}

func (h *house) NetIPsecSelectors() []control.NetIPsecSelector { return nil }

func (h *house) VLANs() []control.VLAN {
	return []control.VLAN{{Name: "inside", Port: "lan", Addresses: control.Words{"192.0.2.1/24"}, Up: true}, {Name: "external", ID: 7, Port: "wan"}}
}

func (h *house) Switches() []control.Switch {
	return []control.Switch{{Name: "sw0", Driver: "soft", Chip: "software", State: control.SwitchKept, Ports: []control.SwitchPort{{Port: "p1", Link: "up"}, {Port: "p0", CPU: true, Link: "up"}}}}
}

func (h *house) Explain(f control.Filter) (control.Explained, error) {
	if f.Question.In != "inside" {
		return control.Explained{}, control.NotFound("vlan", f.Question.In, "inside")
	}
	reason := "no_listener"
	return control.Explained{In: f.Question.In, Packet: f.Question.Frame.String(), Steps: []control.ExplainStep{
		{Hook: "prerouting", Step: "listener", Verdict: "drop", Says: "No virtual server takes it.", Rule: "VR7",
			Decided: &control.ExplainObject{Table: "[ltm.virtual.ipsec-2]", Name: "ipsec-2", File: "f.toml", Line: 12}}},
		Fate: control.ExplainFate{End: control.EndDropped, Reason: &reason, Means: "Nobody listens.", Do: "Add a virtual server."}}, nil
}

func (h *house) ShowConfig(slot string) (control.ConfigText, error) {
	if slot == "nowhere" {
		return control.ConfigText{}, control.NotFound("slot", slot)
	}
	return control.ConfigText{Path: "/etc/spigate.toml", Text: "version = 1\n[ipsec]\npsk = <secret>\n"}, nil
}

func (h *house) ConfigHistory() ([]control.ConfigRevision, error) {
	one := 1
	return []control.ConfigRevision{{Number: &one, State: control.RevisionRunning, Size: 40, Comment: "<b>first</b>"}}, nil
}

func (h *house) DiffConfig([]byte, string) (control.ConfigDiff, error) {
	return control.ConfigDiff{Text: "--- a\n+++ b\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"}, nil
}

func (h *house) FlushIPsec(f control.Filter) (control.IPsecFlushed, error) {
	h.did("flush ipsec %s", f.Values().Encode())
	return control.IPsecFlushed{ESPSessions: 2}, nil
}

func (h *house) FlushLSN(f control.Filter) (control.LSNFlushed, error) {
	h.did("flush lsn %s", f.Values().Encode())
	return control.LSNFlushed{Sessions: 5, Mappings: 4}, nil
}

func (h *house) ClearIPsecStat(string, control.ClearLevel) (control.IPsecStat, error) {
	h.did("clear ipsec")
	return control.IPsecStat{}, nil
}

func (h *house) ClearLSNStat(control.Filter) control.LSNStat {
	h.did("clear lsn")
	return control.LSNStat{}
}

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// users of the tests; the hashes cost little.
const (
	adminPassword  = "the admin's own password"
	readerPassword = "whoever only looks"
)

func hashed(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// rig is a server over a house, asked without a network.
type rig struct {
	*Server
	t     testing.TB
	house *house
	clock *clock
	log   *strings.Builder
}

func twoUsers(t testing.TB) []account {
	return []account{{"admin", []byte(hashed(t, adminPassword)), configs.WebAdmin}, {"reader", []byte(hashed(t, readerPassword)), configs.WebReadOnly}}
}

// newRig has no TLS of its own: what is asked comes as if through it.
func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, house: &house{flows: 3, gates: []control.IPsecGate{openGate()}}, clock: newClock(), log: &strings.Builder{}}
	c := Config{Address: ":8443", Backend: r.house, Web: configs.Web{TLS: true, SessionTimeout: 30 * time.Minute}, StateDir: t.TempDir(),
		Hostname: "gw1", Editor: &desk{text: office}, Now: r.clock.now, Log: slog.New(slog.NewTextHandler(&locked{w: r.log}, nil))}
	for _, f := range change {
		f(&c)
	}
	var err error
	if r.Server, err = New(c); err != nil {
		t.Fatal(err)
	}
	r.users.replace(twoUsers(t))
	return r
}

// locked is a writer for several goroutines.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// ask sends a request as a browser does that has a cookie ("": none).
func (r *rig) ask(method, target, cookie string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	q := httptest.NewRequest(method, target, body)
	q.Host = "gw1.example:8443"
	if form != nil {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	q.Header.Set("Sec-Fetch-Site", "same-origin")
	if cookie != "" {
		q.AddCookie(&http.Cookie{Name: r.site.cookieName(), Value: cookie})
	}
	for _, f := range change {
		f(q)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w
}

// logIn returns the cookie of a new session.
func (r *rig) logIn(name, password string) string {
	r.t.Helper()
	w := r.ask(http.MethodPost, loginPath, "", url.Values{"name": {name}, "password": {password}})
	for _, c := range w.Result().Cookies() {
		if c.Value != "" {
			return c.Value
		}
	}
	r.t.Fatalf("%s is not let in: %d %s", name, w.Code, w.Body)
	return ""
}

// token is that of the forms on a page.
func (r *rig) token(cookie string) string {
	r.t.Helper()
	w := r.ask(http.MethodGet, "/ipsec", cookie, nil)
	m := regexp.MustCompile(`name="token" value="([^"]+)"`).FindStringSubmatch(w.Body.String())
	if m == nil {
		r.t.Fatalf("no token on the page: %d", w.Code)
	}
	return m[1]
}
