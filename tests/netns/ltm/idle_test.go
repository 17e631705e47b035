package ltm

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"spigate/tests/netns"
)

// servers are three virtual servers for ports of the far host, one for each way
// in which the client's source may leave.
func servers(profile string) string {
	text := carrier
	for i, translation := range []string{"none", "automap", "lsn\"\nlsn_group = \"G"} {
		text += fmt.Sprintf("[ltm.virtual.vs%d]\ndestination = \"10.1.1.0/24:%d\"\nip_protocol = \"tcp\"\nip_forward = true\n"+
			"profiles = [%q]\nsource_address_translation = \"%s\"\n", i, 81+i, profile, translation)
	}
	return text
}

// A connection that says nothing for its idle time ends, and both ends are told
// so by RSTs that their kernels believe, whether its packets had taken the fast
// path or not; one that speaks goes on (VR16, VR17, Q14).
func TestAnIdleConnectionIsResetOnBothSides(t *testing.T) {
	p := settle(t, "[ltm.profile.fastl4.short]\nidle_timeout = \"2s\"\n"+servers("short"))
	var at [3]*server
	var quiet [3][]net.Conn
	var busy []net.Conn
	for i := range at {
		to := netip.AddrPortFrom(far, uint16(81+i))
		at[i] = p.serve(p.far, to)
		for _, bytes := range []int{0, 1, 200_000} {
			c := p.talk(to, bytes)
			quiet[i] = append(quiet[i], c)
		}
		busy = append(busy, p.talk(to, 1))
	}
	start := netns.Monotonic()
	var all sync.WaitGroup
	for i := range quiet {
		for _, c := range quiet[i] {
			all.Go(func() {
				_, err := c.Read(make([]byte, 1))
				isReset(t, fmt.Sprintf("client of server %d", i), err)
			})
		}
	}
	for i, s := range at {
		all.Go(func() { p.eventually("the far ends", func() error { return s.allReset(len(quiet[i])) }) })
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	speak(t, busy, done)
	for _, c := range busy {
		if err := exchange(c, 1000); err != nil {
			t.Errorf("one that spoke: %v", err)
		}
	}
	if took := time.Duration(netns.Monotonic() - start); took < 1500*time.Millisecond {
		t.Errorf("idle connections ended after %v", took)
	}
	for i := range at {
		var rows []struct{ Expired int }
		p.must(p.daemon.Show(p.ctx, &rows, "ltm", "virtual", fmt.Sprint("vs", i)))
		if len(rows) != 1 || rows[0].Expired != len(quiet[i]) {
			t.Errorf("vs%d: %+v", i, rows)
		}
	}
}

// talk opens a connection, has some bytes echoed and leaves it open.
func (p *place) talk(to netip.AddrPort, bytes int) net.Conn {
	p.t.Helper()
	c, err := p.dial(p.local, to, soon)
	p.must(err)
	p.t.Cleanup(func() { c.Close() })
	p.must(c.SetDeadline(time.Now().Add(2 * soon)))
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, bytes))
		wrote <- err
	}()
	_, err = io.ReadFull(c, make([]byte, bytes))
	p.must(<-wrote)
	p.must(err)
	return c
}

// speak has connections say something often until the channel is closed.
func speak(t *testing.T, conns []net.Conn, done <-chan struct{}) {
	t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	word := []byte("word")
	for {
		for _, c := range conns {
			if _, err := c.Write(word); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, word); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// allReset reports whether so many connections have ended, all by a reset.
func (s *server) allReset(count int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for port, err := range s.ends {
		if !reset(err) {
			return fmt.Errorf("the connection from port %d ended: %v", port, err)
		}
	}
	if len(s.ends) != count {
		return fmt.Errorf("%d connections have ended, not %d", len(s.ends), count)
	}
	return nil
}
