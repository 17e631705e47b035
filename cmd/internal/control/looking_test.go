package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (b *fake) AddTrace(f Filter) (Trace, error) {
	if f.Looking.Match == "nonsense" {
		return Trace{}, &Error{"at character 1: nonsense", CodeBadRequest}
	}
	return Trace{Name: f.Name, Match: f.Looking.Match, In: f.Question.In, Count: int(f.Looking.Count)}, nil
}

func (b *fake) Traces(f Filter) ([]Trace, error) {
	if f.Name == "nobody" {
		return nil, NotFound("trace", f.Name)
	}
	return []Trace{{Name: "t", Count: 20, Packets: 3}}, nil
}

func (b *fake) TraceWalks(f Filter, each bool) ([]TraceWalk, error) {
	if each {
		return []TraceWalk{{Trace: f.Name, Number: 1}, {Trace: f.Name, Number: 2}}, nil
	}
	return []TraceWalk{{Trace: f.Name, Packets: 2}}, nil
}

func (b *fake) RemoveTraces(Filter) (TraceChanged, error) { return TraceChanged{1, 3}, nil }
func (b *fake) ClearTraces(Filter) (TraceChanged, error)  { return TraceChanged{2, 3}, nil }

// Capture writes what f.Looking.VLAN says, and then waits for its end.
func (b *fake) Capture(ctx context.Context, f Filter, out io.Writer) (CaptureEnd, error) {
	switch f.Looking.VLAN {
	case "busy":
		return CaptureEnd{}, &Error{"too many", CodeBusy}
	case "endless":
		n := uint64(0)
		for ; ctx.Err() == nil; n++ {
			if _, err := out.Write(bytes.Repeat([]byte("x"), 8192)); err != nil {
				b.gone.end(err)
				return CaptureEnd{Taken: n}, err
			}
		}
		b.gone.end(ctx.Err())
		return CaptureEnd{Taken: n}, ctx.Err()
	case "short":
		fmt.Fprint(out, "all of it")
		return CaptureEnd{Taken: 9, Lost: 4}, nil
	}
	fmt.Fprintf(out, "{\"point\":\"sent\",\"length\":%d}\n", 60)
	select {
	case <-b.gone.made():
	case <-ctx.Done():
	}
	return CaptureEnd{Taken: 1}, nil
}

func (b *fake) EndCapture(f Filter) (CaptureEnd, error) {
	if f.Looking.ID != "mine" {
		return CaptureEnd{}, NotFound("capture", f.Looking.ID)
	}
	b.gone.end(nil)
	return CaptureEnd{}, nil
}

// ending is something that ends once.
type ending struct {
	mu   sync.Mutex
	done chan struct{}
	why  error
}

func (e *ending) made() chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done == nil {
		e.done = make(chan struct{})
	}
	return e.done
}

func (e *ending) end(why error) {
	done := e.made()
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-done:
	default:
		e.why = why
		close(done)
	}
}

func TestTracesGoOverTheSocket(t *testing.T) {
	c, _ := serve(t, &fake{})
	f := Filter{Name: "rekey", Looking: Looking{Match: "esp and not host 192.0.2.1", Count: 7}}
	f.Question.In = "wan"
	row, err := c.AddTrace(t.Context(), f)
	if err != nil || row != (Trace{Name: "rekey", Match: "esp and not host 192.0.2.1", In: "wan", Count: 7}) {
		t.Errorf("%+v, %v", row, err)
	}
	if _, err := c.AddTrace(t.Context(), Filter{Looking: Looking{Match: "nonsense"}}); err == nil || !strings.Contains(err.Error(), "character 1") {
		t.Error(err)
	}
	if rows := collect(t, c.Traces(t.Context(), Filter{})); len(rows) != 1 || rows[0].Packets != 3 {
		t.Errorf("%+v", rows)
	}
	if err := failure(t, c.Traces(t.Context(), Filter{Name: "nobody"})); !IsNotFound(err) {
		t.Error(err)
	}
	if one, all := collect(t, c.TraceWalks(t.Context(), Filter{Name: "t"}, false)), collect(t, c.TraceWalks(t.Context(), Filter{Name: "t"}, true)); len(one) != 1 || len(all) != 2 {
		t.Errorf("%+v, %+v", one, all)
	}
	if gone, err := c.RemoveTraces(t.Context(), Filter{Name: "t"}); err != nil || gone.Packets != 3 {
		t.Errorf("%+v, %v", gone, err)
	}
	if gone, err := c.ClearTraces(t.Context(), Filter{}); err != nil || gone.Traces != 2 {
		t.Errorf("%+v, %v", gone, err)
	}
}

func TestACaptureTellsBehindItsLastByteWhatWasLost(t *testing.T) {
	c, _ := serve(t, &fake{})
	var got bytes.Buffer
	end, err := c.Capture(t.Context(), Filter{Looking: Looking{VLAN: "short"}}, &got)
	if err != nil || got.String() != "all of it" || end != (CaptureEnd{9, 4}) {
		t.Errorf("%q, %+v, %v", &got, end, err)
	}
}

// slowly is an answer whose deadline for writing is over, until a new one is set.
type slowly struct {
	header http.Header
	over   bool
	sent   []string
}

func (s *slowly) Header() http.Header              { return s.header }
func (s *slowly) WriteHeader(int)                  {}
func (s *slowly) SetReadDeadline(time.Time) error  { return nil }
func (s *slowly) SetWriteDeadline(time.Time) error { s.over = false; return nil }
func (s *slowly) Write(b []byte) (int, error)      { s.sent = append(s.sent, string(b)); return len(b), nil }
func (s *slowly) FlushError() error {
	if s.over {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// idling is a backend whose captures last longer after their last packet than a
// reader may take for one.
type idling struct {
	fake
	answer *slowly
}

func (i *idling) Capture(_ context.Context, _ Filter, out io.Writer) (CaptureEnd, error) {
	_, err := io.WriteString(out, "one")
	i.answer.over = true
	return CaptureEnd{Taken: 1}, err
}

func TestTheEndOfACaptureHasTimeOfItsOwnHoweverLongNoPacketCame(t *testing.T) {
	answer := &slowly{header: http.Header{}}
	New(&idling{answer: answer}, nil).capture(answer, httptest.NewRequest(http.MethodGet, pathCapture, nil))
	if answer.over || !slices.Equal(answer.sent, []string{"one", ""}) || answer.header.Get(trailerTaken) != "1" {
		t.Errorf("deadline over: %v, sent %q, %v", answer.over, answer.sent, answer.header)
	}
}

// begun writes nothing, as a capture does whose packets are far.
type begun struct {
	fake
	end chan struct{}
}

func (b *begun) Capture(ctx context.Context, _ Filter, out io.Writer) (CaptureEnd, error) {
	_, err := out.Write(nil)
	select {
	case <-b.end:
	case <-ctx.Done():
	}
	return CaptureEnd{Lost: 3}, err
}

func TestTheHeadOfAnAnswerDoesNotWaitForAPacket(t *testing.T) {
	b := &begun{end: make(chan struct{})}
	c, _ := serve(t, b)
	response, err := c.respond(t.Context(), question{method: http.MethodGet, target: pathCapture, patience: headerTimeout})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	close(b.end) // not before there is a head
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 || response.Trailer.Get(trailerLost) != "3" {
		t.Errorf("%q, %v, %v", rest, err, response.Trailer)
	}
}

func TestACaptureIsRefusedBeforeItsFirstByte(t *testing.T) {
	c, _ := serve(t, &fake{})
	var refused *Error
	if _, err := c.Capture(t.Context(), Filter{Looking: Looking{VLAN: "busy"}}, io.Discard); !errors.As(err, &refused) || refused.Code != CodeBusy {
		t.Error(err)
	}
	if _, err := c.Capture(t.Context(), Filter{Looking: Looking{Points: "everywhere"}}, io.Discard); !errors.As(err, &refused) || refused.Code != CodeBadRequest {
		t.Error(err)
	}
}

func TestACaptureEndsWhenItIsAskedToWithAllThatIsToldAtTheEnd(t *testing.T) {
	c, _ := serve(t, &fake{})
	if err := c.EndCapture(t.Context(), "other"); !IsNotFound(err) {
		t.Error(err)
	}
	rows := 0
	end, err := c.CapturePackets(t.Context(), Filter{Looking: Looking{ID: "mine"}}, func(p CapturedPacket) error {
		if rows++; p.Point != "sent" || p.Length != 60 {
			t.Errorf("%+v", p)
		}
		return c.EndCapture(t.Context(), "mine") // the row was there before the end: it was passed on at once
	})
	if err != nil || rows != 1 || end.Taken != 1 {
		t.Errorf("%d rows, %+v, %v", rows, end, err)
	}
}

func TestACaptureEndsWithWhoeverReadsIt(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	ctx, leave := context.WithCancel(t.Context())
	n := 0
	_, err := c.Capture(ctx, Filter{Looking: Looking{VLAN: "endless"}}, writerFunc(func(p []byte) (int, error) {
		if n += len(p); n > 100_000 {
			leave()
		}
		return len(p), nil
	}))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-b.gone.made()
	if b.gone.why == nil {
		t.Error("the capture ended by itself")
	}
}

func TestAReaderThatStopsIsCutOff(t *testing.T) {
	b := &fake{}
	s, socket := New(b, nil), newSocket(t)
	s.stall = 50 * time.Millisecond
	runServer(t, s, socket)
	read, free := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		_, err := NewClient(socket).Capture(t.Context(), Filter{Looking: Looking{VLAN: "endless"}}, writerFunc(func(p []byte) (int, error) {
			close(read)
			<-free
			return 0, errors.New("enough")
		}))
		ended <- err
	}()
	<-read
	<-b.gone.made() // although the reader is still there
	close(free)
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

func TestWhatChoosesPacketsIsReadAndWrittenBack(t *testing.T) {
	for name, text := range map[string]string{
		ByMatch: "udp or esp", ByCount: "20", ByLink: "wan1", ByVLAN: "wan", ByPoint: "sent,dropped", BySnaplen: "96", BySeconds: "60", ByFormat: "pcap", ByID: "x",
	} {
		var f Filter
		if err := f.Set(name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := f.Values().Get(name); got != text {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
	for name, text := range map[string]string{
		ByMatch: strings.Repeat("x", MaxExpression+1), ByCount: "0", ByLink: "", ByPoint: "here", BySnaplen: "1", BySeconds: "-1", ByFormat: "text", ByID: "",
	} {
		var f Filter
		if err := f.Set(name, text); err == nil {
			t.Errorf("%s: %q is taken", name, text)
		}
	}
}
