package fastpath

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

// soak is the daemon as it is shipped, between two cables, with a crowd on both
// sides and an operator who does it no good.
type soak struct {
	*attempt
	*crowd
	ctx    context.Context
	ns     [3]*netns.Namespace
	dir    string
	driver string
	binary string
	d      *netns.Daemon

	since  [2]ledger // as of when the router and the hosts last agreed
	fast   [3]uint64 // of the daemons that were killed, and of this one: see ways
	lost   uint64    // frames that the machine's kernel had lost by then
	agreed int       // how often they did
	event  string    // the last one
}

// soakTime is how long it takes: SPIGATE_SOAK_TIME, or as long as a test may. A
// round that has begun is ended.
func soakTime(t *testing.T) time.Duration {
	if s := os.Getenv("SPIGATE_SOAK_TIME"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if testing.Short() {
		return 0
	}
	return 20 * time.Second
}

// Flows come and go, keys change, the operator reloads and flushes, ports flap,
// the gateway moves, the daemon is killed: nobody gets a packet that is somebody
// else's, and whenever it is quiet every counter is exact.
func TestUnderStressNobodyGetsWhatIsSomebodyElses(t *testing.T) {
	first, long := seed(t), soakTime(t)
	binary, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	for i, driver := range []string{"raw", "xdp"} {
		if testing.Short() && i != int(first%2) {
			continue // one of them, another one in each run
		}
		t.Run(driver, func(t *testing.T) {
			for _, f := range try(t, func(a *attempt) { newSoak(a, driver, binary, first+uint64(i), long).run(long) }) {
				t.Error(f)
			}
		})
	}
}

func newSoak(a *attempt, driver, binary string, seed uint64, long time.Duration) *soak {
	ctx, cancel := context.WithTimeout(context.Background(), long+2*time.Minute)
	a.Cleanup(cancel)
	s := &soak{attempt: a, ctx: ctx, driver: driver, binary: binary, dir: a.t.TempDir()}
	s.crowd = &crowd{
		rand: rand.New(rand.NewPCG(seed, 1)), paused: true, gateway: [2]frame.MAC{macOf(gatewayAddr), macOf(gatewayAddr)},
		byFar: map[frame.Endpoint]*person{}, bySPI: map[uint32]*person{}, byID: map[uint32]*person{},
	}
	s.ns, s.side = cables(s, shape{mtu: [2]int{1500, 1500}}, func(side int, h *host) {
		h.each = func(b []byte) { s.arrives(side, b) }
		if side == wan {
			h.machines = s.machines
		}
	})
	if driver == "xdp" {
		for _, host := range s.ns[1:] {
			takesRedirected(s, host)
		}
	}
	s.start()
	return s
}

// template is the daemon's configuration; profile is a timeout that reloads
// change.
func (s *soak) template(profile string) string {
	text := strings.NewReplacer("DRIVER", s.driver, "TIMEOUT", profile).Replace(`version = 1
[offload]
after = 2
[port.lan]
driver = "DRIVER"
device = "lan"
[port.wan]
driver = "DRIVER"
device = "wan"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24"]
[vlan.outside]
port = "wan"
addresses = ["203.0.113.1/24"]
[route."0.0.0.0/0"]
via = "203.0.113.254"
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.pool.N]
addresses = ["203.0.113.3"]
[lsn.static.own]
protocol = "ALL"
subscriber = "192.0.2.20"
nat = "203.0.113.20"
[lsn.static.too]
protocol = "ALL"
subscriber = "192.0.2.21"
nat = "203.0.113.21"
[lsn.appsprofile.A]
protocol = "UDP"
ip_pooling = "PAIRED"
ports = ["500", "4500"]
[ipsecalg.profile.P]
esp_session_timeout = "TIMEOUT"
[lsn.group.G]
client = "C"
pools = ["N"]
apps_profiles = ["A"]
ipsecalg_profile = "P"
`)
	path := filepath.Join(s.dir, "template.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatalf("%v", err)
	}
	return path
}

// start starts the daemon and lets the crowd go.
func (s *soak) start() {
	d, err := s.ns[0].StartSpigate(s.ctx, netns.DaemonConfig{Binary: s.binary, Template: s.template("40m"), Dir: s.dir})
	if err != nil {
		s.Fatalf("%v", err)
	}
	s.d = d
	s.agree(false)
	s.pause(false)
}

// run is the soak itself: an event after another, in any order, each kind once
// in a round, with traffic all the time.
func (s *soak) run(long time.Duration) {
	var all sync.WaitGroup
	ctx, end := context.WithCancel(s.ctx)
	all.Go(func() { s.traffic(ctx) })
	defer func() {
		end()
		all.Wait()
	}()
	until := time.Now().Add(long)
	for more := true; more; more = time.Now().Before(until) && !s.broken() {
		s.round(long == 0)
	}
	s.finish()
}

// round is one event of each kind, or of a few.
func (s *soak) round(short bool) {
	events := s.events()
	s.crowd.mu.Lock()
	s.rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	s.crowd.mu.Unlock()
	if short {
		events = events[:3]
	}
	for _, e := range events {
		s.event = e.name
		s.let(300 * time.Millisecond)
		e.do()
		s.let(300 * time.Millisecond)
		s.agree(e.exact)
		if s.broken() {
			return
		}
	}
}

// broken hands the crowd's faults on, and reports whether there was any.
func (s *soak) broken() bool {
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	for _, f := range s.crowd.faults {
		s.Errorf("%s", f)
	}
	s.crowd.faults = nil
	return len(s.attempt.faults) > 0
}

// traffic has the crowd speak, a few thousand packets a second.
func (s *soak) traffic(ctx context.Context) {
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.turn(10)
		}
	}
}

// let lets the crowd go on for a while.
func (s *soak) let(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
		s.Fatalf("it takes too long: something hangs")
	}
}

// finish ends the daemon, which must go cleanly, and asks whether it was a test.
func (s *soak) finish() {
	s.agree(true)
	s.broken()
	w := s.ways()
	if err := s.d.Stop(); err != nil || s.d.Err() != nil {
		s.Errorf("the end: %v, %v", err, s.d.Err())
	}
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	s.Logf("agreed %d times; arrived outside %d, inside %d; fast path %d, slow path %d, the kernel %d; opened: UDP %d, TCP %d, ESP %d, through the ALG %d; the machine lost %d frames",
		s.agreed, s.got[wan], s.got[lan], w[0], w[1], w[2], s.opened[speaksUDP], s.opened[speaksTCP], s.opened[speaksOwnESP], s.opened[speaksESP], framesLost(s.t)-s.lost)
	if s.got[lan] < 500 || s.got[wan] < 500 || s.agreed == 0 {
		s.Errorf("that was no test")
	}
	if w[0] == 0 || s.driver == "xdp" && w[2] == 0 {
		s.Errorf("the fast path had %d packets, the kernel %d", w[0], w[2])
	}
}

// event is something that happens to the router. After one that is exact no
// frame may be missing.
type event struct {
	name  string
	exact bool
	do    func()
}

func (s *soak) events() []event {
	return []event{
		{"nothing", true, func() {}},
		{"reload of the same", true, func() { s.reload("40m") }},
		{"reload of something else", true, func() { s.reload(fmt.Sprintf("%dm", 20+s.agreed%10)) }},
		{"the inside port is down", false, func() { s.flap(0, "lan") }},
		{"the outside port is down", false, func() { s.flap(0, "wan") }},
		{"the cable inside is pulled", false, func() { s.flap(1, "eth0") }},
		{"the cable outside is pulled", false, func() { s.flap(2, "eth0") }},
		{"the gateway moves", true, s.gatewayMoves},
		{"NAT sessions are flushed", true, func() { s.flush("lsn") }},
		{"ESP sessions are flushed", true, func() { s.flush("ipsecalg") }},
		{"the daemon is killed", false, s.kill},
	}
}

func (s *soak) reload(profile string) {
	said := func() int { return strings.Count(strings.Join(s.d.Output(), "\n"), "msg=reloaded") }
	before := said()
	if err := s.d.Reconfigure(s.template(profile)); err != nil {
		s.Fatalf("reload: %v", err)
	}
	if err := netns.Poll(s.ctx, 10*time.Millisecond, func() bool { return said() > before }); err != nil {
		s.Fatalf("reload: %v\n%s", err, strings.Join(s.d.Output(), "\n"))
	}
}

func (s *soak) flap(in int, device string) {
	if err := s.ns[in].SetLink(device, false); err != nil {
		s.Fatalf("%v", err)
	}
	s.let(100 * time.Millisecond)
	if err := s.ns[in].SetLink(device, true); err != nil {
		s.Fatalf("%v", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	var last error
	err := netns.Poll(ctx, 50*time.Millisecond, func() bool {
		_, last = s.status() // fails as long as a port is down
		return last == nil
	})
	if err != nil {
		s.Fatalf("after %s: %v", s.event, last)
	}
}

// gatewayMoves ends when the new address is the only one: the router was told,
// and must know.
func (s *soak) gatewayMoves() {
	s.moves()
	s.let(200 * time.Millisecond)
	s.quiet()
	s.settled()
	s.pause(false)
}

func (s *soak) flush(noun string) {
	s.forgetting(true)
	s.let(100 * time.Millisecond)
	if _, err := s.d.Command(s.ctx, "flush", noun, "session"); err != nil {
		s.Fatalf("%v", err)
	}
	s.forgetting(false)
}

func (s *soak) kill() {
	s.forgetting(true)
	s.let(100 * time.Millisecond)
	w := s.ways()
	if err := s.d.Signal(syscall.SIGKILL); err != nil {
		s.Fatalf("%v", err)
	}
	<-s.d.Done()
	s.fast = w
	s.pause(true)
	s.forgetting(false)
	s.start()
}
