package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestASessionWritesItselfAsTheLibraryWould(t *testing.T) {
	for _, s := range []LSNSession{
		{},
		{SubscriberIP: ip("192.0.2.10"), SubscriberPort: 65535, SubscriberTD: 7, DestIP: ip("198.51.100.9"), DestPort: 53, DestTD: 8,
			NATIP: ip("203.0.113.3"), NATPort: 1024, Protocol: "UDP", Direction: In2Out, Client: "C"},
		{SubscriberIP: netip.IPv6LinkLocalAllNodes(), Protocol: "a \"b\" \\ \n é \x7f", Direction: "\xff"},
	} {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.appendJSON(nil); !bytes.Equal(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestARowOfAMillionLeavesNoGarbage(t *testing.T) {
	s := &LSNSession{SubscriberIP: ip("192.0.2.10"), DestIP: ip("198.51.100.9"), NATIP: ip("203.0.113.3"), Protocol: "UDP", Direction: In2Out}
	out := NewItemWriter(io.Discard)
	e := encoder{ctx: t.Context(), filter: &Filter{SourceIP: s.SubscriberIP}, out: out}
	if n := testing.AllocsPerRun(1000, func() { e.add(s) }); n > 0 || e.err != nil {
		t.Errorf("%v pieces of garbage for a row, %v", n, e.err)
	}
}

func TestReadersThatHaveStoppedKeepShortAnswersFromNobody(t *testing.T) {
	b := &fake{lsn: func(yield func(LSNSession) bool) {
		for yield(LSNSession{SubscriberIP: sample.SourceIP, NATIP: sample.NATIP, DestIP: sample.DestIP}) {
			continue
		}
	}}
	c, socket := serve(t, b)
	stuck := func() net.Conn {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pathLSNSessions)
		if _, err := io.ReadFull(conn, make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	var all []net.Conn
	for range maxLong {
		all = append(all, stuck())
	}
	if status, _, body := raw(t, socket, "GET", pathLSNSessions, nil); status != 503 || !strings.Contains(body, "long lists") {
		t.Errorf("one more: %d %s", status, body)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("a short answer: %v", err)
	}
	for _, conn := range all {
		conn.Close()
	}
}

func TestConnectionsAreBoundedAndSomeAreKeptForTheOwner(t *testing.T) {
	l, err := net.Listen("unix", newSocket(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, owner := bound(l), false
	b.owns = func(net.Conn) bool { return owner }
	var all []net.Conn
	dial := func() net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		return c
	}
	accept := func(n int) (last net.Conn) {
		for range n {
			dial()
			if last, err = b.Accept(); err != nil {
				t.Fatal(err)
			}
			all = append(all, last)
		}
		return last
	}
	accept(maxConnections - keptForOwner)
	refused := dial()
	accepted := make(chan error)
	go func() {
		_, err := b.Accept()
		accepted <- err
	}()
	if text, err := io.ReadAll(refused); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 503 ") || !strings.HasSuffix(string(text), `"code":"busy"}`+"\n") {
		t.Errorf("one too many is told %q, %v", text, err)
	}
	l.Close()
	if <-accepted == nil {
		t.Error("it was accepted")
	}
	for _, c := range all {
		c.Close()
		c.Close()
	}
	if b.open != 0 {
		t.Errorf("%d connections are counted when all are closed", b.open)
	}
	for range maxConnections {
		if !b.enter(true) {
			t.Fatal("the owner is refused too early")
		}
	}
	if b.enter(true) {
		t.Error("the owner has no bound")
	}
}

// Who asks again and again and reads nothing fills the socket with short answers.
func TestAnswersThatNobodyFetchesAreCutOff(t *testing.T) {
	s := New(&fake{drops: slices.Repeat([]Drop{{Means: strings.Repeat("x", 100)}}, 100)}, nil)
	s.stall = 20 * time.Millisecond
	socket := newSocket(t)
	runServer(t, s, socket)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for err == nil { // until the server has closed it: its own write waits for us
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pathDrops)
	}
	if n := len(s.slots); n > 1 {
		t.Errorf("%d places are taken", n)
	}
}

func TestABodyOfUnknownLengthIsRefusedBeforeItIsRead(t *testing.T) {
	_, socket := serve(t, &fake{})
	body, end := io.Pipe()
	defer end.Close()
	status, _, text := raw(t, socket, "POST", pathConfigApply+"?file=x", body)
	if status != 411 || !strings.Contains(text, "Content-Length") {
		t.Errorf("%d %s", status, text)
	}
}
