package logs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// say logs numbered records from first on.
func say(s *Syslog, first, n int) {
	for i := range n {
		r := slog.NewRecord(time.Unix(1000, 0), slog.LevelInfo, fmt.Sprint("message ", first+i), 0)
		s.offer(&r, nil)
	}
}

func textOf(message []byte) string {
	_, text, _ := strings.Cut(string(message), " - - ")
	return text
}

func TestAFullQueueLosesTheOldestAndSaysHowMany(t *testing.T) {
	s := NewSyslog(SyslogConfig{Network: "udp", App: "spigate", Host: "h"})
	say(s, 0, queueLength+5)
	m, gap := s.next(time.Unix(1000, 0))
	if gap != 5 || !strings.Contains(string(m), `lost="5"`) {
		t.Fatalf("first comes %q, gap %d", m, gap)
	}
	say(s, queueLength+5, 1) // one more is lost while that is being sent
	s.sent(m, gap)
	m, gap = s.next(time.Unix(1000, 0))
	if gap != 1 {
		t.Fatalf("then %q", m)
	}
	s.sent(m, gap)
	for want := 6; want < queueLength+6; want++ {
		m, gap := s.next(time.Unix(1000, 0))
		if gap != 0 || textOf(m) != fmt.Sprint("message ", want) {
			t.Fatalf("%q in place of message %d", m, want)
		}
		s.sent(m, gap)
	}
	if m, _ := s.next(time.Unix(1000, 0)); m != nil || s.Stats() != (Stats{Sent: queueLength + 2, Lost: 6}) {
		t.Errorf("at the end %q, %+v", m, s.Stats())
	}
}

// started runs s until the end of the test.
func started(t *testing.T, s *Syslog) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

func TestDatagramsAreAMessageEach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, at := range []struct{ network, address string }{{"udp", "127.0.0.1:0"}, {"unixgram", path}} {
		collector, err := net.ListenPacket(at.network, at.address)
		if err != nil {
			t.Fatal(err)
		}
		defer collector.Close()
		s := NewSyslog(SyslogConfig{Network: at.network, Address: collector.LocalAddr().String(), App: "spigate", Host: "h"})
		say(s, 0, 3)
		started(t, s)
		b := make([]byte, 4096)
		for want := range 3 {
			n, _, err := collector.ReadFrom(b)
			if err != nil || textOf(b[:n]) != fmt.Sprint("message ", want) || !rfc5424.Match(b[:n]) {
				t.Fatalf("%s: %q, %v", at.network, b[:n], err)
			}
		}
	}
}

// octets reads one message of a stream as RFC 6587 section 3.4.1 has it.
func octets(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var n int
	if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOverTCPOctetsAreCountedAndALostConnectionLosesNothing(t *testing.T) {
	collector, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	var mu sync.Mutex
	var waits []time.Duration
	refuse := 2 // so many connections
	s := NewSyslog(SyslogConfig{
		Network: "tcp", Address: collector.Addr().String(), App: "spigate", Host: "h",
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if refuse--; refuse >= 0 {
				return nil, errors.New("refused")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		Wait: func(_ context.Context, d time.Duration) { mu.Lock(); waits = append(waits, d); mu.Unlock() },
	})
	say(s, 0, 2)
	stop := started(t, s)
	conn, err := collector.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for want := range 2 {
		if got := octets(t, r); textOf([]byte(got)) != fmt.Sprint("message ", want) {
			t.Errorf("%q", got)
		}
	}
	say(s, 2, 1)
	stop() // what was queued is still sent
	if got := octets(t, r); textOf([]byte(got)) != "message 2" {
		t.Errorf("%q", got)
	}
	conn.Close()
	mu.Lock()
	defer mu.Unlock()
	if len(waits) != 2 || waits[0] != firstWait || waits[1] != 2*firstWait {
		t.Errorf("it waited %v", waits)
	}
}

// stuck is a connection to a collector that has stopped reading.
type stuck struct {
	net.Conn
	closed chan struct{}
}

func (c *stuck) Write([]byte) (int, error) { <-c.closed; return 0, os.ErrDeadlineExceeded }

func TestWhoeverLogsNeverWaitsForACollectorThatHangs(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := &stuck{Conn: near, closed: make(chan struct{})}
	s := NewSyslog(SyslogConfig{Network: "tcp", App: "spigate", Wait: func(ctx context.Context, _ time.Duration) { <-ctx.Done() },
		Dial: func(context.Context, string, string) (net.Conn, error) { return c, nil }})
	stop := started(t, s)
	say(s, 0, 20*queueLength) // it returns: that is the test
	if st := s.Stats(); st.Lost == 0 || st.Sent != 0 {
		t.Errorf("%+v", st)
	}
	close(c.closed)
	stop()
}

func TestWhatWasSaidBeforeAConnectionCameAboutIsSentAtTheEnd(t *testing.T) {
	near, far := net.Pipe()
	s := NewSyslog(SyslogConfig{Network: "tcp", App: "spigate", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return near, ctx.Err() }})
	say(s, 0, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := make(chan string)
	go func() { got <- octets(t, bufio.NewReader(far)) }()
	s.Run(ctx)
	if text := textOf([]byte(<-got)); text != "message 0" {
		t.Errorf("%q", text)
	}
}

// A collector that is started anew ends its connections: the next write would
// still succeed, into nothing.
func TestARecordAfterTheCollectorHasGoneIsKeptForTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fars := make(chan net.Conn, 2)
		var told []string
		s := NewSyslog(SyslogConfig{Network: "tcp", App: "spigate", Told: func(err error) { told = append(told, fmt.Sprint(err)) },
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				fars <- far
				return &deaf{near}, nil
			}})
		stop := started(t, s)
		say(s, 0, 1)
		first := <-fars
		if got := octets(t, bufio.NewReader(first)); textOf([]byte(got)) != "message 0" {
			t.Errorf("%q", got)
		}
		fmt.Fprint(first, "what a collector says is thrown away")
		first.Close()
		synctest.Wait()
		say(s, 1, 1)
		if got := octets(t, bufio.NewReader(<-fars)); textOf([]byte(got)) != "message 1" {
			t.Errorf("%q", got)
		}
		stop()
		if st := s.Stats(); st != (Stats{Sent: 2}) || len(told) != 3 || !strings.Contains(told[1], "closed the connection") {
			t.Errorf("%+v, told %q", st, told)
		}
	})
}

// deaf is a connection as TCP is: a write after the other end has gone succeeds.
type deaf struct{ net.Conn }

func (d *deaf) Write(b []byte) (int, error) {
	n, err := d.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		return len(b), nil
	}
	return n, err
}

// A stop takes a moment, not one for each message, and not one that a write under
// way has left.
func TestASlowCollectorGetsOneMomentForAllLastWords(t *testing.T) {
	for what, takes := range map[string]time.Duration{"it takes a message every 0.4 s": 400 * time.Millisecond, "it has stopped reading": time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var fars []net.Conn
			s := NewSyslog(SyslogConfig{Network: "tcp", App: "spigate", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				near, far := net.Pipe()
				fars = append(fars, far)
				go func() {
					for b := make([]byte, 4096); ; {
						wait(t.Context(), takes)
						if _, err := far.Read(b); err != nil { // of a pipe: one message
							return
						}
					}
				}()
				return near, ctx.Err()
			}})
			say(s, 0, queueLength)
			stop := started(t, s)
			synctest.Wait() // the first write is under way
			began := time.Now()
			stop()
			if took := time.Since(began); took > lastWords {
				t.Errorf("%s: the end took %s, %d sent", what, took, s.Stats().Sent)
			}
			for _, far := range fars {
				far.Close()
			}
		})
	}
}
