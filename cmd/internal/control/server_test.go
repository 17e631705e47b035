package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sample = IPsecSession{
	SourceIP: ip("192.0.2.10"), NATIP: ip("203.0.113.3"), DestIP: ip("198.51.100.9"),
	SPIIn: 0xc3a1b2d4, SPIOut: 0x00001000, State: StateEstablished, Idle: 1.5,
	RxPackets: 7, TxPackets: 8, Profile: "P", Group: "G",
}

func byValue() cmp.Option {
	return cmp.Options{cmpopts.EquateComparable(sample.SourceIP, Addr{}), cmpopts.EquateEmpty()}
}

func TestEveryViewComesBackAsItWasGiven(t *testing.T) {
	exchange := MessageID(0x1a)
	flow := Flow{SourceIP: ip("192.0.2.10"), DestIP: ip("198.51.100.9"), InInterface: "lan", OutInterface: "wan", Packets: 3, Bytes: 400, Owner: "ipsecalg", OwnerID: 9}
	flow.SetID(50, 0xc3a1b2d4)
	flow.SetNew(SideSource, ip("203.0.113.3"), 0)
	b := &fake{
		sessions: []IPsecSession{sample},
		gates: []IPsecGate{
			{NATIP: ip("203.0.113.3"), DestIP: ip("198.51.100.9"), State: StateConfirmed, Holder: Addr{ip("192.0.2.10")}, Exchange: &exchange,
				Opened: 2.25, Expires: 28, Waiters: []GateWaiter{{ip("192.0.2.11"), 1, 0.5}}, SPIs: []SPI{0x100}},
			{NATIP: ip("203.0.113.4"), DestIP: ip("198.51.100.9"), State: StateFree},
		},
		flows:  []Flow{flow},
		drops:  []Drop{{Reason: "ah", Count: 2, Rate: 0.5, Last: NewDropSample([]byte{1, 2}, 3), Means: "m", Do: "d", Rule: "R36"}, {Reason: "fragment"}},
		status: Status{Ready: true, Uptime: 61, Ports: []PortStatus{{Port: "wan", Interface: "external", Up: true, RxFrames: 1}}},
	}
	b.lsn = slices.Values([]LSNSession{{SubscriberIP: ip("192.0.2.10"), SubscriberPort: 500, DestIP: ip("198.51.100.9"), DestPort: 500,
		NATIP: ip("203.0.113.3"), NATPort: 6234, Protocol: "UDP", Direction: In2Out}})
	c, _ := serve(t, b)
	ctx := t.Context()
	same := func(name string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, byValue()); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	same("sessions", b.sessions, collect(t, c.IPsecSessions(ctx, Filter{})))
	same("gates", b.gates, collect(t, c.IPsecGates(ctx, Filter{})))
	same("lsn", slices.Collect(b.lsn), collect(t, c.LSNSessions(ctx, Filter{})))
	same("flows", b.flows, collect(t, c.Flows(ctx, Filter{})))
	same("drops", b.drops, collect(t, c.Drops(ctx)))
	status, err := c.Status(ctx)
	same("status", b.status, status)
	version, err2 := c.Version(ctx)
	same("version", b.Version(), version)
	if err := errors.Join(err, err2); err != nil {
		t.Error(err)
	}
}

// plainClient is net/http's: somebody else's view of the server.
func plainClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
}

// raw asks with any method and path.
func raw(t *testing.T, socket, method, path string, body io.Reader) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://spigate"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := plainClient(socket).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

func TestTheNamesOfTheFieldsAreAsPublished(t *testing.T) {
	_, socket := serve(t, &fake{
		sessions: []IPsecSession{{SourceIP: sample.SourceIP, NATIP: sample.NATIP, DestIP: sample.DestIP, SPIOut: 0x1000, State: StateHalf}},
		lsn: slices.Values([]LSNSession{{SubscriberIP: sample.SourceIP, DestIP: sample.DestIP, NATIP: sample.NATIP},
			{SubscriberIP: sample.SourceIP, DestIP: sample.DestIP, NATIP: sample.NATIP, Protocol: "A>B"}}),
		gates: []IPsecGate{{NATIP: sample.NATIP, DestIP: sample.DestIP, State: StateFree}},
	})
	for path, want := range map[string]string{
		pathIPsecSessions: `{"version":1,"items":[
{"source_ip":"192.0.2.10","nat_ip":"203.0.113.3","dest_ip":"198.51.100.9","spi_in":null,"spi_out":"00001000","state":"half","idle_seconds":0,"rx_packets":0,"tx_packets":0,"profile":"","group":"","td":0}
]}
`,
		pathLSNSessions: `{"version":1,"items":[
{"subscriber_ip":"192.0.2.10","subscriber_port":0,"subscriber_td":0,"dest_ip":"198.51.100.9","dest_port":0,"dest_td":0,"nat_ip":"203.0.113.3","nat_port":0,"protocol":"","direction":""},
{"subscriber_ip":"192.0.2.10","subscriber_port":0,"subscriber_td":0,"dest_ip":"198.51.100.9","dest_port":0,"dest_td":0,"nat_ip":"203.0.113.3","nat_port":0,"protocol":"A>B","direction":""}
]}
`,
		pathIPsecGates: `{"version":1,"items":[
{"nat_ip":"203.0.113.3","dest_ip":"198.51.100.9","state":"free","holder":null,"exchange":null,"opened_seconds":0,"expires_seconds":0,"waiters":[],"spis":[],"td":0}
]}
`,
		pathStatus: `{"version":1,"items":[
{"ready":false,"uptime_seconds":0,"pid":0,"config":"","fast_hits":0,"slow_hits":0,"flows":0,"flow_capacity":0,"offload":{"flows":0,"capacity":0,"packets":0,"refused":0,"left":[]},"ports":[],"failed_switches":[],"confirm_seconds_left":null}
]}
`,
		pathFlows: `{"version":1,"items":[]}
`,
	} {
		status, header, body := raw(t, socket, "GET", path, nil)
		if status != 200 || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d, %v", path, status, header)
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestARefusalIsJSONWithACode(t *testing.T) {
	b := &fake{lsn: func(func(LSNSession) bool) { panic("a broken table") }}
	_, socket := serve(t, b)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"unknown path":         {"GET", "/v1/lsn/sessions", "", 404, CodeUnknownPath},
		"the root":             {"GET", "/", "", 404, CodeUnknownPath},
		"method":               {"POST", pathFlows, "", 405, CodeMethod},
		"unknown filter":       {"GET", pathIPsecSessions + "?nat_pi=203.0.113.3", "", 400, CodeBadRequest},
		"another view's":       {"GET", pathIPsecSessions + "?nat_port=500", "", 400, CodeBadRequest},
		"filter of drops":      {"GET", pathDrops + "?client=A", "", 400, CodeBadRequest},
		"bad address":          {"GET", pathIPsecSessions + "?nat_ip=2001:db8::1", "", 400, CodeBadRequest},
		"filter twice":         {"GET", pathIPsecSessions + "?nat_ip=1.2.3.4&nat_ip=1.2.3.5", "", 400, CodeBadRequest},
		"unknown client":       {"GET", pathIPsecSessions + "?client=NOBODY", "", 404, CodeNotFound},
		"body too large":       {"GET", pathFlows, strings.Repeat("x", maxBody+1), 413, CodeTooLarge},
		"a view that panicked": {"GET", pathLSNSessions, "", 500, CodeInternal},
	} {
		status, header, body := raw(t, socket, c.method, c.path, strings.NewReader(c.body))
		var e Error
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Errorf("%s: %q: %v", name, body, err)
		}
		if status != c.status || e.Code != c.code || e.Message == "" || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %+v, want %d %s", name, status, e, c.status, c.code)
		}
	}
}

func TestHeadersWithoutEndAreCutOff(t *testing.T) {
	_, socket := serve(t, &fake{})
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n", pathFlows)
	for range 1000 {
		if _, err := fmt.Fprintf(conn, "X-Filler: %s\r\n", strings.Repeat("x", 1000)); err != nil {
			break
		}
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.Contains(reply, "431") {
		t.Errorf("got %q", reply)
	}
}

func TestAClientNameThatIsNotConfiguredIsNotFound(t *testing.T) {
	c, _ := serve(t, &fake{})
	err := failure(t, c.IPsecSessions(t.Context(), Filter{Client: "NOBODY"}))
	if !IsNotFound(err) || err.Error() != `no lsn client "NOBODY"` {
		t.Errorf("got %v", err)
	}
}

// endless yields sessions until the reader is gone, then closes gone.
func endless(gone chan<- struct{}) iter.Seq[LSNSession] {
	return func(yield func(LSNSession) bool) {
		defer close(gone)
		for yield(LSNSession{SubscriberIP: sample.SourceIP, NATIP: sample.NATIP, DestIP: sample.DestIP}) {
			continue
		}
	}
}

func TestAReaderThatStopsReadingIsCutOff(t *testing.T) {
	gone := make(chan struct{})
	s := New(&fake{lsn: endless(gone)}, nil)
	s.stall = 20 * time.Millisecond
	socket := newSocket(t)
	runServer(t, s, socket)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pathLSNSessions)
	<-gone
}

func TestAReaderThatGoesAwayEndsTheWalk(t *testing.T) {
	gone := make(chan struct{})
	c, _ := serve(t, &fake{lsn: endless(gone)})
	for range c.LSNSessions(t.Context(), Filter{}) {
		break
	}
	<-gone
}

func TestTheWalkEndsWithTheReaderAlsoWhenNothingPassesTheFilter(t *testing.T) {
	gone, walking := make(chan struct{}), make(chan struct{})
	rows := endless(gone)
	c, _ := serve(t, &fake{lsn: func(yield func(LSNSession) bool) {
		close(walking)
		rows(yield)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-walking
		cancel()
	}()
	err := failure(t, c.LSNSessions(ctx, Filter{SourceIP: ip("10.9.9.9")}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-gone
}

func TestTheServerEndsAlthoughAReaderIsStuck(t *testing.T) {
	gone := make(chan struct{})
	s := New(&fake{lsn: endless(gone)}, nil)
	socket := newSocket(t)
	if err := s.Listen(socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pathLSNSessions)
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-gone
}

func TestTheServerEndsNotBeforeItsLastView(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{})
	s := New(&fake{lsn: func(func(LSNSession) bool) {
		close(entered)
		<-hold
	}}, nil)
	socket := newSocket(t)
	if err := s.Listen(socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pathLSNSessions)
	<-entered
	cancel()
	conn.Read(make([]byte, 1)) // returns when the server has given up waiting politely
	for range 100_000 {
		runtime.Gosched()
		select {
		case err := <-ended:
			close(hold)
			t.Fatalf("the server ended while a view was at work: %v", err)
		default:
		}
	}
	close(hold)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestARowThatCannotBeEncodedIsAFailureAndNotAShortList(t *testing.T) {
	b := &fake{drops: []Drop{{Rate: math.NaN()}}}
	_, socket := serve(t, b)
	if status, _, body := raw(t, socket, "GET", pathDrops, nil); status != 500 || !strings.Contains(body, CodeInternal) {
		t.Errorf("got %d %s", status, body)
	}
	b.drops = append(slices.Repeat([]Drop{{Means: strings.Repeat("x", 100)}}, 1000), b.drops...)
	response, err := plainClient(socket).Get("http://spigate" + pathDrops)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a plain HTTP reader sees: %v", err)
	}
}

func TestMoreRequestsThanSlotsAreToldToComeAgain(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{})
	b := &fake{lsn: func(yield func(LSNSession) bool) {
		entered <- struct{}{}
		<-hold
	}}
	c, socket := serve(t, b)
	done := make(chan struct{})
	for range maxRequests {
		go func() {
			for range c.LSNSessions(context.Background(), Filter{}) {
				continue
			}
			done <- struct{}{}
		}()
		<-entered
	}
	status, _, body := raw(t, socket, "GET", pathFlows, nil)
	if status != 503 || !strings.Contains(body, CodeBusy) {
		t.Errorf("got %d %s", status, body)
	}
	close(hold)
	for range maxRequests {
		<-done
	}
}

func TestManySessionsDoNotGrowTheDaemonNorTheReader(t *testing.T) {
	const sessions, probe, allowed = 16_000, 4_000, 1 << 20 // kept, they would be 3 MB
	c, _ := serve(t, &fake{lsn: func(yield func(LSNSession) bool) {
		for range sessions {
			if !yield(LSNSession{SubscriberIP: sample.SourceIP, NATIP: sample.NATIP, DestIP: sample.DestIP}) {
				return
			}
		}
	}})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	n, before := 0, heap()
	for _, err := range c.LSNSessions(t.Context(), Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%probe == 0 {
			if now := heap(); now > before+allowed {
				t.Fatalf("after %d sessions the heap has grown from %d to %d", n, before, now)
			}
		}
	}
	if n != sessions {
		t.Errorf("%d sessions arrived, want %d", n, sessions)
	}
}
