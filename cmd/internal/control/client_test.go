package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// answer serves one raw text for every connection, as a server that is not
// ours might.
func answer(t *testing.T, text string) *Client {
	t.Helper()
	socket := newSocket(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, text)
			conn.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return NewClient(socket)
}

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestABrokenAnswerIsAnErrorThatSaysWhatIsWrong(t *testing.T) {
	const head = `{"version":1,"items":[`
	for name, c := range map[string]struct{ answer, want string }{
		"nothing":               {"", "EOF"},
		"not HTTP":              {"SSH-2.0-dropbear\r\n\r\n", "malformed HTTP"},
		"a web page":            {ok("<html>"), "not what was expected"},
		"empty body":            {ok(""), "cut short"},
		"another version":       {ok(`{"version":2,"items":[]}`), "format version 2, this program reads 1"},
		"another shape":         {ok(`{"items":[],"version":1}`), "items in place of version"},
		"a list":                {ok(`[]`), "[ in place of {"},
		"cut in the list":       {ok(head), "cut short"},
		"cut in an item":        {ok(head + `{"source_ip":"192`), "cut short"},
		"cut behind the list":   {ok(head + `]`), "cut short"},
		"less than promised":    {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + head + `{"idle_seconds":1}`, "cut short"},
		"a cut chunk":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n" + head + "\r\n", "cut short"},
		"no address":            {ok(head + `{"source_ip":"192.0.2.300"}]}`), "192.0.2.300"},
		"an SPI of 9 digits":    {ok(head + `{"spi_in":"123456789"}]}`), "want 8 digits"},
		"an SPI of no digits":   {ok(head + `{"spi_in":"zzzzzzzz"}]}`), "zzzzzzzz"},
		"an SPI that is number": {ok(head + `{"spi_in":7}]}`), "hex number"},
		"an item without end":   {ok(head + `{"state":"` + strings.Repeat("x", 3*maxItem) + `"}]}`), "an item of more than"},
		"failure without JSON":  {"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops", "is this spigate?"},
		"failure without text":  {"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", "is this spigate?"},
	} {
		client := answer(t, c.answer)
		err := failure(t, client.IPsecSessions(t.Context(), Filter{}))
		if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "control socket "+client.socket+": ") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if errors.Is(err, ErrNoDaemon) {
			t.Errorf("%s: passes for a daemon that is not running", name)
		}
	}
}

func TestRowsBeforeTheCutAreStillSeen(t *testing.T) {
	client := answer(t, ok(`{"version":1,"items":[{"state":"half"},{"state":`))
	var rows, errs int
	for row, err := range client.IPsecSessions(t.Context(), Filter{}) {
		if err != nil {
			errs++
		} else if row.State == StateHalf {
			rows++
		}
	}
	if rows != 1 || errs != 1 {
		t.Errorf("%d rows and %d errors", rows, errs)
	}
}

func TestAnAnswerWithoutItemsHasNoStatus(t *testing.T) {
	if _, err := answer(t, ok(`{"version":1,"items":[]}`)).Status(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestWithoutADaemonTheErrorSaysHowToStartIt(t *testing.T) {
	gone := newSocket(t)
	s := New(&fake{}, nil)
	if err := s.Listen(gone); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	stale := newSocket(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	const advice = "is the daemon running? start it with: spigate run --config FILE"
	for socket, why := range map[string]string{gone: "no such file or directory", stale: "connection refused"} {
		err := failure(t, NewClient(socket).Drops(t.Context()))
		want := fmt.Sprintf("control socket %s: %s: %s", socket, why, advice)
		if !errors.Is(err, ErrNoDaemon) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestErrorsOfTheWayThereAreExplained(t *testing.T) {
	c := NewClient("/s")
	for want, err := range map[string]error{
		"control socket /s: permission denied: try as root": &net.OpError{Op: "dial", Err: os.ErrPermission},
		"control socket /s: the daemon does not answer":     os.ErrDeadlineExceeded,
		"context canceled":       context.Canceled,
		"control socket /s: odd": fmt.Errorf("a: %w", errors.New("odd")),
	} {
		if got := c.explain(err); got.Error() != want || errors.Is(got, ErrNoDaemon) {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestTheServerGoneInTheMiddleIsNotAWholeAnswer(t *testing.T) {
	s := New(&fake{lsn: func(yield func(LSNSession) bool) {
		yield(LSNSession{SubscriberIP: sample.SourceIP, NATIP: sample.NATIP, DestIP: sample.DestIP})
		for range 1000 {
			yield(LSNSession{SubscriberIP: sample.SourceIP, NATIP: sample.NATIP, DestIP: sample.DestIP})
		}
		panic(http.ErrAbortHandler)
	}}, nil)
	socket := newSocket(t)
	runServer(t, s, socket)
	err := failure(t, NewClient(socket).LSNSessions(t.Context(), Filter{}))
	if !strings.Contains(err.Error(), "cut short") {
		t.Errorf("got %v", err)
	}
}
