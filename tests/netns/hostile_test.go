package netns

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	attackTime    = 1500 * time.Millisecond
	hostileGrowth = 24 << 20        // bytes of memory, by all attacks together
	keptShare     = 0.97            // of the traffic that passes when nobody attacks
	mostDelay     = time.Second / 2 // there and back, in the middle: attackers and router share the processors
)

// Whoever attacks the control socket and the pages gets an answer or is cut off,
// takes a bounded part of the memory, and nothing of the packets.
func TestHostileInputLeavesTheTrafficAlone(t *testing.T) {
	s := site(t)
	ctx := deadline(t)
	d, err := s.StartSpigate(ctx, DaemonConfig{Binary: spigate(t), Dir: t.TempDir(), Template: webTemplate(t), HTTP: webAddress, OneAddress: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if said := d.Output(); t.Failed() {
			t.Log(strings.Join(said[max(0, len(said)-50):], "\n"))
		}
	})
	a := newArena(t, s, d)
	cookie, err := a.logIn(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	traffic := startSteady(t, s)
	traffic.watch(t, func() { rest(500 * time.Millisecond) }) // ARP, the first packet's way
	quiet := traffic.watch(t, func() { rest(attackTime) })
	t.Logf("%-24s %v", "nobody attacks", quiet)
	before, goroutines := vitalsOf(t, d), measured(t, d, "spigate_process_goroutines")
	lingering := a.linger(t, ctx)
	for i, x := range attacks(cookie) {
		if testing.Short() && i%3 > 0 {
			continue
		}
		w := a.suffer(t, ctx, traffic, x, quiet)
		t.Logf("%-24s %v; memory %s at most", x.name, w, mega(vitalsOf(t, d).peak))
	}
	if _, err := lingering.ReadByte(); err == nil {
		t.Error("a head that never ends is waited for")
	}
	a.recovers(t, ctx, before, goroutines)
}

// webTemplate is the example with pages and a user.
func webTemplate(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	in := strings.NewReader(webPassword + "\n")
	hash, err := runWith(in, spigate(t), "web", "password", "--cost", "10")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "template.toml")
	user := fmt.Sprintf("\n[web]\ntls = true\n[web.user.honest]\npassword = %q\nrole = \"admin\"\n", strings.TrimSpace(hash))
	if err := os.WriteFile(name, append(text, user...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// linger begins a request that it never ends.
func (a *arena) linger(t *testing.T, ctx context.Context) *bufio.Reader {
	t.Helper()
	conn, err := a.dialTLS(ctx, "127.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn)
}

// suffer runs an attack beside the traffic. When the kernel itself had no room for
// frames meanwhile, of whatever else this machine does, it is run once more.
func (a *arena) suffer(t *testing.T, ctx context.Context, traffic *steady, x attack, quiet window) (w window) {
	t.Helper()
	for range 2 {
		w = traffic.watch(t, func() {
			ctx, cancel := context.WithTimeout(ctx, x.time)
			defer cancel()
			x.run(a, ctx)
		})
		got := a.counts()
		t.Logf("%-24s %s", x.name, counted(got))
		x.judge(t, got)
		if w.share() >= keptShare*quiet.share() || !w.squeezed {
			break
		}
	}
	if w.median > mostDelay || w.share() < keptShare*quiet.share() || w.sent < int(steadyRate*attackTime/time.Second)/4 {
		t.Errorf("%s: %v; when nobody attacks: %v", x.name, w, quiet)
	}
	return w
}

// judge compares what became of an attack with what has to.
func (x *attack) judge(t *testing.T, got map[string]int) {
	t.Helper()
	for what, n := range got {
		if what != "ours" && !strings.Contains(x.may, what) {
			t.Errorf("%s: %s %d times; want some of %s", x.name, what, n, x.may)
		}
	}
	for what, n := range x.must {
		if got[what] < n {
			t.Errorf("%s: %s %d times, want at least %d", x.name, what, got[what], n)
		}
	}
	for what, n := range x.most {
		if got[what] > n {
			t.Errorf("%s: %s %d times, want at most %d", x.name, what, got[what], n)
		}
	}
}

// recovers checks that after the attacks all is as it was.
func (a *arena) recovers(t *testing.T, ctx context.Context, before vitals, goroutines int64) {
	t.Helper()
	began := Monotonic()
	var cookie string
	var last error
	err := Poll(ctx, 100*time.Millisecond, func() bool {
		cookie, last = a.logIn(ctx, "127.0.0.2")
		return last == nil
	})
	if took := time.Duration(Monotonic() - began); err != nil || took > 8*time.Second {
		t.Fatalf("an honest user waits %v for the log-in: %v, %v", took, err, last)
	}
	if status := a.overview(ctx, cookie); status != http.StatusOK {
		t.Errorf("his page: %d", status)
	}
	if _, err := a.d.Text(ctx, "status"); err != nil {
		t.Errorf("an operator at the socket: %v", err)
	}
	var now vitals
	var left int64
	err = Poll(ctx, 200*time.Millisecond, func() bool {
		now, left = vitalsOf(t, a.d), measured(t, a.d, "spigate_process_goroutines")
		return now.files <= before.files+4 && left <= goroutines+8
	})
	if err != nil {
		t.Errorf("%d files and %d goroutines, before the attacks %d and %d", now.files, left, before.files, goroutines)
	}
	t.Logf("memory %s, then %s, at most %s; %d files, then %d; %d goroutines, then %d", mega(before.resident), mega(now.resident), mega(now.peak),
		before.files, now.files, goroutines, left)
	if grown := now.peak - before.resident; grown > hostileGrowth {
		t.Errorf("the daemon has grown by %s, at most %s", mega(grown), mega(hostileGrowth))
	}
}

// overview asks for a page with a cookie.
func (a *arena) overview(ctx context.Context, cookie string) int {
	conn, err := a.dialTLS(ctx, "127.0.0.2")
	if err != nil {
		return 0
	}
	defer conn.Close()
	io.WriteString(conn, head("GET", "/", "Cookie: "+cookie+"\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	return r.StatusCode
}
