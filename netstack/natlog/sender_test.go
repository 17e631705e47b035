package natlog

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var compactUDP = Target{Format: FormatCompact}

// offer queues records that are numbered from first to last.
func (s *sender) offerNumbered(first, last int) {
	for n := first; n <= last; n++ {
		s.offer(numbered(n))
	}
}

func TestADeadUDPCollectorLosesNothingUntilTheQueueIsFull(t *testing.T) {
	alive, dead, deadToo, back := newFakeConn(), newFakeConn(), newFakeConn(), newFakeConn()
	target := compactUDP
	target.Queue = 70
	s, _, _ := newTestSender(t, target, alive, dead, deadToo, back)
	ctx := t.Context()
	s.offerNumbered(0, 1)
	s.drain(ctx)
	// The datagram of 1 comes back as an ICMP error, which the next write tells.
	alive.refuse = errRefused
	s.offerNumbered(2, 2)
	s.drain(ctx)
	if s.stats().Up || s.stats().Queued != 2 || s.stats().Sent != 1 {
		t.Fatalf("after the refusal: %+v", s.stats())
	}
	s.tick(ctx) // dials
	s.drain(ctx)
	s.drain(ctx)
	if got := ports(t, dead.messages()); got != "1" {
		t.Fatalf("the probe sent %q, want the record of the refused datagram alone", got)
	}
	s.fail(errRefused)
	for range 2 {
		s.drain(ctx)
		s.tick(ctx)
	}
	s.offerNumbered(3, 82) // 70 have room
	s.drain(ctx)
	deadToo.refuse = errRefused
	s.fail(errRefused)
	for range 4 {
		s.tick(ctx)
	}
	s.drain(ctx)
	if got := ports(t, back.messages()); got != "1" {
		t.Fatalf("the probe sent %q, want 1", got)
	}
	s.tick(ctx)
	s.tick(ctx)
	s.drain(ctx)
	got := strings.Fields(ports(t, back.messages()))
	if len(got) != 73 || got[0] != "1" || got[1] != "2" || got[71] != "72" || got[72] != "GAP10" {
		t.Errorf("once it is back it gets %v, want 1 to 72 and a gap of 10", got)
	}
	if got := numbers(t, dead.messages()); got != "2" {
		t.Errorf("the record that was sent again had the number %s, want 2 as before", got)
	}
	if got := numbers(t, back.messages()[:3]); got != "2 3 4" {
		t.Errorf("once it is back the numbers are %s: a number that is missing is a line that is lost", got)
	}
	if st := s.stats(); !st.Up || st.Queued != 0 || st.Lost != 10 || st.Failures != 3 {
		t.Errorf("at last: %+v", st)
	}
}

func TestAttemptsAreMadeLessAndLessOften(t *testing.T) {
	s, network, _ := newTestSender(t, compactUDP)
	s.offerNumbered(0, 0)
	var at []int
	s.drain(t.Context())
	for n, seen := 0, 1; n < 130; n++ {
		s.tick(t.Context())
		s.drain(t.Context())
		if network.dials > seen {
			seen = network.dials
			at = append(at, n+1)
		}
	}
	want := []int{1, 3, 7, 15, 31, 61, 91, 121}
	if len(at) != len(want) {
		t.Fatalf("attempts at ticks %v, want %v", at, want)
	}
	for i := range want {
		if at[i] != want[i] {
			t.Fatalf("attempts at ticks %v, want %v", at, want)
		}
	}
}

func TestARestartedTCPCollectorGetsTheRest(t *testing.T) {
	first, second := newFakeConn(), newFakeConn()
	target := compactUDP
	target.Network = "tcp"
	s, _, _ := newTestSender(t, target, first, second)
	s.offerNumbered(0, 2)
	s.drain(t.Context())
	first.hangUp(io.EOF) // it closes while nothing is being sent
	s.fail(<-s.broken)
	s.offerNumbered(3, 4)
	s.drain(t.Context())
	if got := ports(t, first.messages()); got != "0 1 2" {
		t.Errorf("before: %s", got)
	}
	s.tick(t.Context())
	s.drain(t.Context())
	if got := ports(t, second.messages()); got != "3 4" {
		t.Errorf("after: %s", got)
	}
}

func TestAFailedTCPWriteIsWrittenAgain(t *testing.T) {
	first, second := newFakeConn(), newFakeConn()
	target := compactUDP
	target.Network = "tcp"
	s, _, _ := newTestSender(t, target, first, second)
	first.refuse = io.ErrClosedPipe
	s.offerNumbered(0, 2)
	s.drain(t.Context())
	s.tick(t.Context())
	s.drain(t.Context())
	if got := ports(t, second.messages()); got != "0 1 2" || s.stats().Sent != 3 {
		t.Errorf("%s, %+v", got, s.stats())
	}
	if got := numbers(t, second.messages()); got != "1 2 3" {
		t.Errorf("numbers %s: a write that failed uses up none", got)
	}
}

func TestIPFIXStartsAnewOnANewConnection(t *testing.T) {
	first, second := newFakeConn(), newFakeConn()
	s, _, c := newTestSender(t, Target{Protocol: IPFIX}, first, second)
	s.offerNumbered(0, 0)
	s.drain(t.Context())
	s.fail(errRefused)
	s.offerNumbered(1, 1)
	s.tick(t.Context())
	s.drain(t.Context())
	for range probeTicks {
		s.tick(t.Context())
	}
	s.drain(t.Context())
	var d decoder
	var seen []uint32
	var records int
	for _, b := range second.messages() {
		m, err := d.decode([]byte(b))
		if err != nil {
			t.Fatal(err)
		}
		seen, records = append(seen, m.sequence), records+len(m.records)
	}
	if !slices.Equal(seen, []uint32{0, 0, 1}) || records != 2 {
		t.Errorf("sequence numbers %v, %d records: want templates and then both records, from 0", seen, records)
	}
	c.pass(DefaultTemplateInterval)
	s.tick(t.Context())
	if got := len(second.messages()); got != 4 {
		t.Errorf("%d messages after the template interval, want 4", got)
	}
}

// start runs a log with one target over conns; the test makes its ticks.
func start(t *testing.T, target Target, conns ...*fakeConn) (l *Log, ticks chan time.Time, stop func() error) {
	t.Helper()
	target.Name, target.Address = "test", "192.0.2.1:514"
	c, n := newClock(), &network{conns: conns}
	l, err := New(Config{Targets: []Target{target}, Now: c.now, Dial: n.dial})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks = make(chan time.Time)
	done := make(chan error)
	go func() { done <- l.Run(ctx, ticks) }()
	return l, ticks, func() error {
		cancel()
		return <-done
	}
}

func TestAtTheEndWhatIsQueuedIsSent(t *testing.T) {
	target, conn := compactUDP, newFakeConn()
	target.Detail = SessionDetail
	l, _, stop := start(t, target, conn)
	for n := range 1000 {
		l.Emit(*numbered(n))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := len(conn.messages()); got != 1000 {
		t.Errorf("%d of 1000 records were sent", got)
	}
}

func TestAtTheEndACollectorThatWasDownIsTriedOnceMore(t *testing.T) {
	dead, back := newFakeConn(), newFakeConn()
	dead.refuse = errRefused
	target := compactUDP
	target.Detail = SessionDetail
	l, _, stop := start(t, target, dead, back)
	for n := range 3 {
		l.Emit(*numbered(n))
	}
	for l.Stats()[0].Failures == 0 {
		runtime.Gosched()
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := ports(t, back.messages()); got != "0 1 2" {
		t.Errorf("it was sent %q, want all three records", got)
	}
}

// stuckConn takes the first write and never ends it.
type stuckConn struct {
	*fakeConn
	writing chan struct{}
	closed  chan struct{}
}

func (c *stuckConn) Write([]byte) (int, error) {
	close(c.writing)
	<-c.closed
	return 0, errors.New("closed")
}

func (c *stuckConn) Close() error {
	c.once.Do(func() {
		c.ended <- errors.New("closed")
		close(c.closed)
	})
	return nil
}
