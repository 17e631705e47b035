package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spigate/cmd/internal/control"
	"spigate/netstack/capture"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// unasked is a frame from outside to the NAT address that nobody asked for, and
// asking one from a subscriber: without ARP it goes no further than the port.
func (o *operated) unasked(n int) {
	for range n {
		o.frameTo(1, ipPacket("203.0.113.254", "203.0.113.3", 53, 40000))
	}
}

// frameTo lets a packet in by a port.
func (o *operated) frameTo(port int, packet []byte) {
	mac := frame.MAC{2, 0, 0, 0, 0, byte(port)}
	b := append(append(append([]byte{}, mac[:]...), 6, 0, 0, 0, 0, 9, 8, 0), packet...)
	o.views.chassis.Port(port).Input([]frame.Frame{frame.Copy(b, 0)})
}

// ipPacket is UDP without a payload.
func ipPacket(src, dst string, from, to uint16) []byte {
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	b := []byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0}
	b = append(append(b, s[:]...), d[:]...)
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	sum = ^(sum&0xffff + sum>>16)
	b[10], b[11] = byte(sum>>8), byte(sum)
	return append(b, byte(from>>8), byte(from), byte(to>>8), byte(to), 0, 8, 0, 0)
}

func TestATraceIsShownWithTheLineThatDecided(t *testing.T) {
	o := newOperated(t)
	added, err := o.client.AddTrace(t.Context(), control.Filter{Looking: control.Looking{Match: "udp src port 53 or host 192.0.2.10", Count: 5}})
	if err != nil || added.Name != defaultTrace || added.Count != 5 {
		t.Fatalf("%+v, %v", added, err)
	}
	o.unasked(3)
	o.frameTo(0, ipPacket("192.0.2.10", "198.51.100.9", 500, 500))
	var walks []control.TraceWalk
	for w, err := range o.client.TraceWalks(t.Context(), control.Filter{}, false) {
		if err != nil {
			t.Fatal(err)
		}
		walks = append(walks, w)
	}
	if len(walks) != 2 || walks[0].Packets != 3 || walks[0].Fate.End != control.EndDropped || *walks[0].Fate.Reason != "no_mapping" || walks[0].Fate.Do == "" {
		t.Fatalf("%+v", walks)
	}
	steps := walks[1].Steps
	by := slices.IndexFunc(steps, func(s control.TraceStep) bool {
		return s.Decided != nil && strings.HasPrefix(s.Decided.Table, "[lsn.group")
	})
	if by < 0 || steps[by].Decided.Line == 0 || !walks[1].Waits || walks[1].Fate.NextHopKnown || walks[1].Fate.SourceIP.String() != "203.0.113.3" {
		t.Errorf("%+v", walks[1])
	}
	for _, f := range []control.Filter{{}, {Looking: control.Looking{Match: "udp esp"}}, {Name: "more", Looking: control.Looking{Count: 100_000}}} {
		var refused *control.Error
		if _, err := o.client.AddTrace(t.Context(), f); !errors.As(err, &refused) || refused.Code != control.CodeBadRequest {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if _, err := o.client.RemoveTraces(t.Context(), control.Filter{Name: "tracer"}); !control.IsNotFound(err) || !strings.Contains(err.Error(), `did you mean "trace"`) {
		t.Error(err)
	}
	if gone, err := o.client.RemoveTraces(t.Context(), control.Filter{}); err != nil || gone != (control.TraceChanged{Traces: 1, Packets: 4}) {
		t.Errorf("%+v, %v", gone, err)
	}
}

// gather runs a capture in rows until it ends, and tells when it has begun.
func (o *operated) gather(t *testing.T, l control.Looking) (rows func() []control.CapturedPacket, end func() control.CaptureEnd) {
	t.Helper()
	var got []control.CapturedPacket
	var last control.CaptureEnd
	var all sync.WaitGroup
	before := o.under()
	all.Go(func() {
		var err error
		last, err = o.client.CapturePackets(t.Context(), control.Filter{Looking: l}, func(p control.CapturedPacket) error {
			got = append(got, p)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	for o.under() == before { // it is the server that begins it
		select {
		case <-t.Context().Done():
			t.Fatal("it has not begun")
		default:
		}
	}
	return func() []control.CapturedPacket { all.Wait(); return got }, func() control.CaptureEnd { all.Wait(); return last }
}

// under is how many captures are under way.
func (o *operated) under() int {
	o.views.capturing.mu.Lock()
	defer o.views.capturing.mu.Unlock()
	return len(o.views.capturing.under)
}

func TestTwoReadersEachGetWhatTheyAskedFor(t *testing.T) {
	o := newOperated(t)
	drops, _ := o.gather(t, control.Looking{ID: "a", Points: "dropped", Count: 2})
	all, _ := o.gather(t, control.Looking{ID: "b", Match: "src port 53", Count: 6})
	o.unasked(2)
	for _, p := range drops() {
		if p.Point != "dropped" || p.Reason == nil || *p.Reason != "no_mapping" || p.In == "" {
			t.Errorf("%+v", p)
		}
	}
	var points []string
	for _, p := range all() {
		points = append(points, p.Point)
	}
	if got := strings.Join(points, " "); got != "received before dropped received before dropped" {
		t.Error(got)
	}
}

func TestACaptureIsEndedByItsID(t *testing.T) {
	o := newOperated(t)
	rows, end := o.gather(t, control.Looking{ID: "a", Points: "received"})
	o.unasked(5)
	if err := o.client.EndCapture(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if n := len(rows()); n != 5 || end().Taken != 5 || end().Lost != 0 {
		t.Errorf("%d rows, %+v", n, end())
	}
	if o.under() != 0 || o.client.EndCapture(t.Context(), "a") == nil {
		t.Error("it is still under way")
	}
}

func TestThereAreOnlySoManyCapturesAtATime(t *testing.T) {
	o := newOperated(t)
	var ends [capture.Max]func() control.CaptureEnd
	for i := range ends {
		_, ends[i] = o.gather(t, control.Looking{ID: string(rune('a' + i))})
	}
	var refused *control.Error
	_, err := o.client.Capture(t.Context(), control.Filter{}, io.Discard)
	if !errors.As(err, &refused) || refused.Code != control.CodeBusy {
		t.Error(err)
	}
	for i, end := range ends {
		if err := o.client.EndCapture(t.Context(), string(rune('a'+i))); err != nil {
			t.Error(err)
		}
		end() // its reader has gone before the test's context ends
	}
	if _, err := o.client.Capture(t.Context(), control.Filter{Looking: control.Looking{VLAN: "nowhere"}}, io.Discard); !control.IsNotFound(err) {
		t.Error(err)
	}
}

func TestAReaderThatDoesNotReadLosesPacketsAndIsToldHowMany(t *testing.T) {
	o := newOperated(t)
	r, w := io.Pipe()
	var end control.CaptureEnd
	var all sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	all.Go(func() {
		var err error
		if end, err = o.views.Capture(ctx, control.Filter{Looking: control.Looking{ID: "slow"}}, w); err != nil {
			t.Error(err)
		}
		w.Close()
	})
	one := make([]byte, 1)
	if _, err := io.ReadFull(r, one); err != nil { // the file has begun, and its reader stops
		t.Fatal(err)
	}
	const many = 40_000 // more than there is room for
	o.unasked(many)
	if err := o.client.EndCapture(t.Context(), "slow"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if end.Lost == 0 || end.Taken+end.Lost != 3*many {
		t.Errorf("%+v of %d", end, 3*many)
	}
	if n := bytes.Count(rest, []byte("no_mapping: ")); n == 0 || uint64(n) > end.Taken {
		t.Errorf("%d reasons", n)
	}
}

// reached ends a context when something is written, be it nothing.
type reached context.CancelFunc

func (r reached) Write(b []byte) (int, error) { r(); return len(b), nil }

// Whoever asks waits for the head of the answer, and not for long: it must not
// wait for a packet.
func TestACaptureSaysThatItHasBegunBeforeAPacketComes(t *testing.T) {
	o := newOperated(t)
	for _, format := range []string{control.FormatRows, control.FormatPcap, ""} {
		ctx, begun := context.WithTimeout(t.Context(), time.Minute)
		_, err := o.views.Capture(ctx, control.Filter{Looking: control.Looking{Format: format}}, reached(begun))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestAClassicFileHasFramesOnly(t *testing.T) {
	o := newOperated(t)
	var file bytes.Buffer
	var all sync.WaitGroup
	before := o.under()
	all.Go(func() {
		f := control.Filter{Looking: control.Looking{ID: "p", Format: control.FormatPcap, Count: 3, Snaplen: 34}}
		if _, err := o.client.Capture(t.Context(), f, &file); err != nil {
			t.Error(err)
		}
	})
	for o.under() == before {
	}
	o.unasked(1)
	all.Wait()
	r, err := link.NewPcapReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{34, 42, 42} { // the packet gets its frame's header behind the cut
		rec, err := r.Next()
		if err != nil || rec.Full != 42 || len(rec.Data) != cut {
			t.Errorf("%d of %d bytes, %v, want %d", len(rec.Data), rec.Full, err, cut)
		}
	}
}
