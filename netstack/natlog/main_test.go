package natlog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/netstack/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(0, testWall).UTC()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// testWall is 2026-03-07 09:08:05.250 UTC.
const testWall = 1772874485_250_000_000

func endpoint(a, b, c, d byte, port uint16) frame.Endpoint {
	return frame.Endpoint{Addr: frame.Addr{a, b, c, d}, Port: port}
}

// The records of the specification's samples.
func sampleSession() Record {
	return Record{
		Kind: SessionCreated, Proto: protoTCP, Inside: endpoint(192, 0, 2, 10, 15136),
		Outside: endpoint(203, 0, 113, 6, 6234), Remote: endpoint(198, 51, 100, 9, 80), Wall: testWall,
	}
}

func sampleMapping() Record {
	return Record{
		Kind: MappingCreated, Mode: EIM, Proto: protoTCP, Inside: endpoint(192, 0, 2, 15, 14567),
		Outside: endpoint(203, 0, 113, 5, 8214), Remote: endpoint(198, 51, 100, 20, 443), Wall: testWall,
	}
}

func sampleBlock() Record {
	return Record{
		Kind: BlockAllocated, Inside: endpoint(192, 0, 2, 15, 0), Outside: endpoint(203, 0, 113, 5, 0),
		First: 2048, Last: 2303, Wall: testWall,
	}
}

func sampleESP() Record {
	return Record{
		Kind: SessionCreated, Proto: protoESP, Inside: endpoint(192, 0, 2, 10, 500), Outside: endpoint(203, 0, 113, 6, 500),
		Remote: endpoint(198, 51, 100, 9, 500), SPIIn: 0xc0ffee01, SPIOut: 0x00001001, Wall: testWall,
	}
}

func sampleQuota() Record {
	return Record{
		Kind: QuotaExceeded, Quota: SubscriberSessions, Proto: protoUDP, Inside: endpoint(192, 0, 2, 15, 0),
		Limit: 64, Domain: 7, Wall: testWall,
	}
}

// fakeConn is a connection to a collector in memory.
type fakeConn struct {
	net.Conn
	mu     sync.Mutex
	got    []string
	refuse error // of the next writes
	ended  chan error
	once   sync.Once
}

func newFakeConn() *fakeConn { return &fakeConn{ended: make(chan error, 1)} }

func (c *fakeConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return 0, c.refuse
	}
	c.got = append(c.got, string(b))
	return len(b), nil
}

func (c *fakeConn) Read([]byte) (int, error) { return 0, <-c.ended }

func (c *fakeConn) Close() error {
	c.hangUp(net.ErrClosed)
	return nil
}

// hangUp ends the connection from outside.
func (c *fakeConn) hangUp(err error) { c.once.Do(func() { c.ended <- err }) }

func (c *fakeConn) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 254), Port: 40000}
}

func (c *fakeConn) messages() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.got...)
}

// network is a dialler that hands out connections in order; nil is one that
// cannot be made.
type network struct {
	mu    sync.Mutex
	conns []*fakeConn
	dials int
}

var errRefused = errors.New("connection refused")

func (n *network) dial(context.Context, string, string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials++
	if len(n.conns) == 0 || n.conns[0] == nil {
		n.conns = n.conns[min(1, len(n.conns)):]
		return nil, errRefused
	}
	c := n.conns[0]
	n.conns = n.conns[1:]
	return c, nil
}

// newTestSender is a sender that the test drives by hand.
func newTestSender(t *testing.T, target Target, conns ...*fakeConn) (*sender, *network, *clock) {
	t.Helper()
	target.Name, target.Address = "test", "192.0.2.1:514"
	target, err := target.checked()
	if err != nil {
		t.Fatal(err)
	}
	n, c := &network{conns: conns}, newClock()
	s := newSender(target, &Config{Now: c.now, Dial: n.dial, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	s.hard = ctx
	t.Cleanup(func() {
		cancel()
		s.disconnect()
		s.readers.Wait()
	})
	return s, n, c
}

// numbered is a session record that its destination port tells from others.
func numbered(n int) *Record {
	r := sampleSession()
	r.Remote.Port = uint16(n)
	r.Wall += int64(n) * int64(time.Second)
	return &r
}

// ports lists the destination ports of compact lines, and GAPn for a gap of n.
func ports(t *testing.T, messages []string) string {
	t.Helper()
	return listed(t, messages, func(r *Record, _ uint64) string {
		if r.Kind == Gap {
			return "GAP" + decimal(r.Lost)
		}
		return decimal(uint64(r.Remote.Port))
	})
}

// numbers lists the numbers of compact lines.
func numbers(t *testing.T, messages []string) string {
	t.Helper()
	return listed(t, messages, func(_ *Record, number uint64) string { return decimal(number) })
}

func listed(t *testing.T, messages []string, show func(r *Record, number uint64) string) string {
	t.Helper()
	var out []string
	for _, m := range messages {
		for line := range strings.Lines(m) {
			_, body, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "nat: ")
			r, number, err := ParseCompact(body)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			out = append(out, show(&r, number))
		}
	}
	return strings.Join(out, " ")
}

func decimal(n uint64) string { return string(appendMillis(nil, int64(n)*int64(time.Millisecond))) }

var _ io.Reader = (*fakeConn)(nil)
