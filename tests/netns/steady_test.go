package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// steady is traffic of a subscriber with a server: so many datagrams a second,
// each numbered, which the server sends back.
type steady struct {
	conn, server *net.UDPConn
	done         sync.WaitGroup

	mu   sync.Mutex
	sent []int64 // when, by number
	took []int64 // nanoseconds until it was back; 0: it is not
}

const (
	steadyRate  = 2000 // a second
	steadyBatch = 2 * time.Millisecond
	steadyMost  = 60 * steadyRate
)

// startSteady starts the traffic from client 1 to the gateway. It ends with the test.
func startSteady(t *testing.T, s *Site) *steady {
	t.Helper()
	out := &steady{}
	at := netip.AddrPortFrom(Remote.Addr(), 7)
	err := errors.Join(
		s.Gateway.Do(func() (err error) {
			out.server, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
			return err
		}),
		s.Client1.Do(func() (err error) {
			out.conn, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(at))
			return err
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	// What waits here because this machine is busy is late and not lost.
	if err := errors.Join(out.conn.SetReadBuffer(4<<20), out.server.SetReadBuffer(4<<20)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	out.done.Go(out.reflect)
	out.done.Go(out.receive)
	out.done.Go(func() { out.send(stop) })
	t.Cleanup(func() {
		close(stop)
		out.conn.Close()
		out.server.Close()
		out.done.Wait()
	})
	return out
}

func (s *steady) reflect() {
	buf := make([]byte, 100)
	for {
		n, from, err := s.server.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if _, err := s.server.WriteToUDPAddrPort(buf[:n], from); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

func (s *steady) receive() {
	buf := make([]byte, 100)
	for {
		n, err := s.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if n < 8 {
			continue
		}
		i := binary.BigEndian.Uint64(buf)
		s.mu.Lock()
		if i < uint64(len(s.sent)) && s.took[i] == 0 {
			s.took[i] = max(1, Monotonic()-s.sent[i])
		}
		s.mu.Unlock()
	}
}

// send keeps the rate over the whole time: what a busy machine was late with goes
// out with the next.
func (s *steady) send(stop <-chan struct{}) {
	tick := time.NewTicker(steadyBatch)
	defer tick.Stop()
	buf := make([]byte, 64)
	for began, n := Monotonic(), 0; n < steadyMost; {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		due := int(float64(Monotonic()-began) / 1e9 * steadyRate)
		if due-n > steadyRate/10 { // not in one go: that would be another kind of traffic
			began += int64(float64(due-n-steadyRate/10) / steadyRate * 1e9)
			due = n + steadyRate/10
		}
		for ; n < due; n++ {
			s.mu.Lock()
			s.sent, s.took = append(s.sent, Monotonic()), append(s.took, 0)
			s.mu.Unlock()
			binary.BigEndian.PutUint64(buf, uint64(n))
			Insist(func() bool {
				_, err := s.conn.Write(buf)
				return err == nil || errors.Is(err, net.ErrClosed)
			})
		}
	}
}

// window is what became of the traffic of a while.
type window struct {
	sent, back  int
	median, p99 time.Duration
	squeezed    bool // the kernel dropped frames for want of room meanwhile, of whomever
}

func (w window) share() float64 { return float64(w.back) / math.Max(1, float64(w.sent)) }

func (w window) String() string {
	return fmt.Sprintf("%5d sent, %.2f %% back, median %7.3f ms, 99 %% within %7.3f ms", w.sent, 100*w.share(),
		float64(w.median)/1e6, float64(w.p99)/1e6)
}

// watch measures what is sent while something runs, and waits for what is under way.
func (s *steady) watch(t *testing.T, while func()) (w window) {
	t.Helper()
	dropped := softnetDrops(t)
	from := s.number()
	while()
	to := s.number()
	rest(500 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	var took []int64
	for _, ns := range s.took[from:to] {
		if ns > 0 {
			took = append(took, ns)
		}
	}
	slices.Sort(took)
	w = window{sent: to - from, back: len(took), squeezed: softnetDrops(t) > dropped}
	if n := len(took); n > 0 {
		w.median, w.p99 = time.Duration(took[n/2]), time.Duration(took[n*99/100])
	}
	return w
}

func (s *steady) number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent)
}

// softnetDrops is how many frames the kernel had no room for, of all namespaces.
func softnetDrops(t *testing.T) (n int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 {
			dropped, err := strconv.ParseInt(f[1], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			n += dropped
		}
	}
	return n
}
