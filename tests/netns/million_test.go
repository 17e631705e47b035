package netns

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A million sessions: so many of each subscriber, to as many ports of a remote.
const (
	millionSubscribers = 16
	millionEach        = 62_500
	firstRemotePort    = 1024
)

const millionTemplate = `version = 1
[limits]
lsn_sessions = 2097152
[port.lan]
driver = "raw"
device = "lan"
[port.wan]
driver = "raw"
device = "wan"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.2/24"]
[route."0.0.0.0/0"]
via = "203.0.113.254"
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.16-203.0.113.47"]
[lsn.transportprofile.T]
protocol = "UDP"
session_timeout = "3600s"
[lsn.group.G]
client = "C"
pools = ["P"]
transport_profiles = ["T"]
`

// million is how many sessions there are: in a short run a tenth.
func million() int {
	if testing.Short() {
		return millionSubscribers * millionEach / 10
	}
	return millionSubscribers * millionEach
}

// subscriber is the address of one of the million's subscribers.
func subscriber(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}) }

// millionAllowed is how much a list of a million sessions, and top beside it, may
// add to a daemon's memory.
const millionAllowed = 16 << 20

const heapBytes = "spigate_process_heap_bytes"

// The list of a million sessions goes out as it is made, also while its reader
// waits, and whoever watches top beside it is answered every second.
func TestAMillionSessionsAreListedWithoutGrowingTheDaemon(t *testing.T) {
	s := site(t)
	for i := range millionSubscribers {
		if err := s.Client1.Address("eth0", netip.PrefixFrom(subscriber(i), Inside.Bits())); err != nil {
			t.Fatal(err)
		}
	}
	template := filepath.Join(t.TempDir(), "template.toml")
	if err := os.WriteFile(template, []byte(millionTemplate), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := s.StartSpigate(deadline(t), DaemonConfig{Binary: spigate(t), Dir: t.TempDir(), Template: template})
	if err != nil {
		t.Fatal(err)
	}
	empty := vitalsOf(t, d)
	began := Monotonic()
	openMillion(t, s, d)
	forgetPeak(t, d)
	before, live := vitalsOf(t, d), measured(t, d, heapBytes)
	t.Logf("%d sessions after %.1f s; the daemon has %s, %s when it was empty", million(), float64(Monotonic()-began)/1e9, mega(before.resident), mega(empty.resident))

	began = Monotonic()
	top := watchTop(t, s.Router, d)
	rows, heap := listMillion(t, d)
	pictures, worst := top()
	after := vitalsOf(t, d)
	t.Logf("%d rows in %.1f s; peak %s, at the end %s; heap %s before and %s at most; %d pictures of top, the longest wait for one %v",
		rows, float64(Monotonic()-began)/1e9, mega(after.peak), mega(after.resident), mega(live), mega(heap), pictures, worst)
	if rows != million() {
		t.Errorf("%d rows, want %d", rows, million())
	}
	if grown := after.peak - before.resident; grown > millionAllowed {
		t.Errorf("the daemon has grown by %s, from %s; at most %s", mega(grown), mega(before.resident), mega(millionAllowed))
	}
	if grown := heap - live; grown > millionAllowed {
		t.Errorf("its heap has grown by %s, at most %s", mega(grown), mega(millionAllowed))
	}
	if pictures < 3 || worst > 5*time.Second {
		t.Errorf("top drew %d pictures, one after %v", pictures, worst)
	}
}

// openMillion has the subscribers send a packet for each session. What the kernel
// has no room for is sent again: a session that is there already stays one.
func openMillion(t *testing.T, s *Site, d *Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*bound)
	defer cancel()
	const burst = 6250 // fits into the port's ring
	each := million() / millionSubscribers
	for i := range millionSubscribers {
		var conn *net.UDPConn
		err := s.Client1.Do(func() (err error) {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: subscriber(i).AsSlice(), Port: 4000})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for from := 0; from < each; from += burst {
			want := i*each + from + burst
			err := Poll(ctx, time.Millisecond, func() bool {
				for p := from; p < from+burst; p++ {
					to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 7}), uint16(firstRemotePort+p))
					Insist(func() bool { _, err := conn.WriteToUDPAddrPort(nil, to); return err == nil })
				}
				return reaches(ctx, d, want)
			})
			if err != nil {
				t.Fatalf("subscriber %d, after %d sessions: %v\n%s", i, want-burst, err, strings.Join(d.Output(), "\n"))
			}
		}
		conn.Close()
	}
}

// reaches waits a while until the daemon has so many sessions.
func reaches(ctx context.Context, d *Daemon, sessions int) bool {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	return Poll(ctx, 2*time.Millisecond, func() bool {
		text, err := askControl(ctx, d, "/v1/lsn/stat")
		return err == nil && sessionsIn(text) >= sessions
	}) == nil
}

func sessionsIn(text string) (n int) {
	var answer struct {
		Items []struct {
			Group     *string `json:"group"`
			Protocols []struct {
				Sessions int `json:"sessions"`
			} `json:"protocols"`
		} `json:"items"`
	}
	if json.Unmarshal([]byte(text), &answer) != nil || len(answer.Items) == 0 {
		return 0
	}
	for _, p := range answer.Items[0].Protocols {
		n += p.Sessions
	}
	return n
}

// listMillion reads what the command line prints of all sessions, and in the
// middle nothing for a while. heap is the most that the daemon had meanwhile.
func listMillion(t *testing.T, d *Daemon) (rows int, heap int64) {
	t.Helper()
	ctx := deadline(t)
	cmd := exec.CommandContext(ctx, d.Made.Binary, "show", "lsn", "session", "--json", "--socket", d.Socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !strings.Contains(lines.Text(), `"nat_port":`) {
			continue
		}
		if rows++; rows%(million()/20) == 0 {
			heap = max(heap, measured(t, d, heapBytes))
		}
		if rows == million()/2 {
			pause, done := context.WithTimeout(ctx, 2500*time.Millisecond)
			<-pause.Done()
			done()
		}
	}
	if err := errors.Join(cmd.Wait(), ctx.Err()); err != nil {
		t.Fatal(err)
	}
	return rows, heap
}

// watchTop draws top every second until the function that it returns is called,
// which says how many pictures there were and how long the longest took to come.
func watchTop(t *testing.T, in *Namespace, d *Daemon) func() (pictures int, worst time.Duration) {
	t.Helper()
	var mu sync.Mutex
	pictures, worst, last := 0, time.Duration(0), Monotonic()
	p, err := in.Start(Command{Path: d.Made.Binary, Args: []string{"top", "subscribers", "--json", "--socket", d.Socket}, Line: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		now := Monotonic()
		pictures, worst, last = pictures+1, max(worst, time.Duration(now-last)), now
	}})
	if err != nil {
		t.Fatal(err)
	}
	return func() (int, time.Duration) {
		if err := p.Stop(); err != nil || p.Err() != nil {
			t.Errorf("top: %v, %v: %s", err, p.Err(), fmt.Sprint(p.Output()))
		}
		mu.Lock()
		defer mu.Unlock()
		return pictures, worst
	}
}
