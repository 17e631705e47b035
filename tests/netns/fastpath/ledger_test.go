package fastpath

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"spigate/tests/netns"
)

// ledger is what has passed one cable, as the router or as its host has it.
type ledger struct {
	in, inBytes   uint64 // into the router
	out, outBytes uint64
}

// statusRow is an item of `show status --json`, as far as the soak reads it.
type statusRow struct {
	FastHits uint64 `json:"fast_hits"`
	SlowHits uint64 `json:"slow_hits"`
	Offload  struct {
		Packets uint64 `json:"packets"`
	} `json:"offload"`
	Ports []struct {
		Port     string `json:"port"`
		RxFrames uint64 `json:"rx_frames"`
		RxBytes  uint64 `json:"rx_bytes"`
		TxFrames uint64 `json:"tx_frames"`
		TxBytes  uint64 `json:"tx_bytes"`
		Lost     uint64 `json:"lost"`
	} `json:"ports"`
}

func (s *soak) status() (statusRow, error) {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	var rows []statusRow
	if err := s.d.Show(ctx, &rows, "status"); err != nil {
		return statusRow{}, err
	}
	if len(rows) != 1 || len(rows[0].Ports) != 2 {
		return statusRow{}, fmt.Errorf("status: %+v", rows)
	}
	return rows[0], nil
}

// ways is how many packets took the fast path, the slow one and the kernel's, of
// all daemons so far.
func (s *soak) ways() [3]uint64 {
	st, err := s.status()
	if err != nil {
		s.Fatalf("%v", err)
	}
	return [3]uint64{s.fast[0] + st.FastHits, s.fast[1] + st.SlowHits, s.fast[2] + st.Offload.Packets}
}

// router and hosts are both ends' views of the cables.
func (s *soak) router() (l [2]ledger, err error) {
	st, err := s.status()
	if err != nil {
		return l, err
	}
	for i, p := range st.Ports {
		l[i] = ledger{p.RxFrames, p.RxBytes, p.TxFrames, p.TxBytes}
	}
	return l, nil
}

func (s *soak) hosts() (l [2]ledger) {
	for i, h := range s.side {
		c := h.counted()
		l[i] = ledger{h.sent.Load(), h.sentBytes.Load(), c.received, c.receivedBytes}
	}
	return l
}

// quiet stops the crowd and returns when nothing has passed for a while.
func (s *soak) quiet() {
	s.pause(true)
	last, still := s.hosts(), 0
	err := netns.Poll(s.ctx, 20*time.Millisecond, func() bool {
		now := s.hosts()
		still++
		if now != last {
			last, still = now, 0
		}
		return still >= 10
	})
	if err != nil {
		s.Fatalf("it does not become quiet: %v", err)
	}
}

// agree compares all counters with what the hosts saw since they were compared
// last, while nothing passes. Without exact something may have been lost on the
// way, as it may where the machine's kernel has lost frames: then it is only
// noted what they differ by from here on.
func (s *soak) agree(exact bool) {
	s.quiet()
	lost := framesLost(s.t)
	exact = exact && lost == s.lost
	s.lost = lost
	var now [2]ledger
	same := func() bool {
		router, err := s.router()
		if err != nil {
			s.Fatalf("%v", err)
		}
		now = difference(router, s.hosts())
		return exact && now == s.since
	}
	ctx, cancel := context.WithTimeout(s.ctx, map[bool]time.Duration{true: 8 * time.Second, false: 2200 * time.Millisecond}[exact])
	defer cancel()
	if err := netns.Poll(ctx, 100*time.Millisecond, same); err != nil && exact {
		s.Errorf("after %s: the router counts more than the hosts by %+v; it was %+v", s.event, now, s.since)
	}
	s.since = now
	if exact {
		s.sessions()
		s.agreed++
	} else {
		s.spoil()
	}
	s.pause(false)
}

// difference is by how much the router counts more than the hosts.
func difference(router, hosts [2]ledger) (d [2]ledger) {
	for i := range d {
		d[i] = ledger{
			router[i].in - hosts[i].in, router[i].inBytes - hosts[i].inBytes,
			router[i].out - hosts[i].out, router[i].outBytes - hosts[i].outBytes,
		}
	}
	return d
}

// sessionCount is an item of `show ipsecalg session --json`.
type sessionCount struct {
	SourceIP netip.Addr `json:"source_ip"`
	SPIIn    *string    `json:"spi_in"`
	SPIOut   *string    `json:"spi_out"`
	Rx       uint64     `json:"rx_packets"`
	Tx       uint64     `json:"tx_packets"`
}

// sessions compares the ALG's sessions with what arrived with their SPIs: the
// last keys of everybody who is there. What the fast path carried is told with
// the next sweep.
func (s *soak) sessions() {
	var faults []string
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	err := netns.Poll(ctx, 100*time.Millisecond, func() bool {
		var rows []sessionCount
		if err := s.d.Show(s.ctx, &rows, "ipsecalg", "session"); err != nil {
			s.Fatalf("%v", err)
		}
		faults = s.compare(rows)
		return len(faults) == 0
	})
	if err != nil {
		s.Errorf("after %s: %s", s.event, strings.Join(faults, "\n"))
	}
}

func (c *crowd) compare(rows []sessionCount) (faults []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bySPI := map[string]sessionCount{}
	for _, r := range rows {
		if r.SPIIn != nil && r.SPIOut != nil {
			bySPI[*r.SPIOut+" "+*r.SPIIn] = r
		}
	}
	for _, p := range c.live {
		if p.kind != speaksESP || !p.open || p.spoiled || p.passed[lan] == 0 || p.passed[wan] == 0 {
			continue
		}
		name := fmt.Sprintf("%08x %08x", p.spi[lan], p.spi[wan])
		r, ok := bySPI[name]
		if !ok || r.SourceIP.As4() != p.in.Addr || r.Tx != p.passed[lan] || r.Rx != p.passed[wan] {
			faults = append(faults, fmt.Sprintf("session %s: %v, %d out, %d in, there: %v; arrived outside %d, inside %d, of %v",
				name, r.SourceIP, r.Tx, r.Rx, ok, p.passed[lan], p.passed[wan], p.in.Addr))
		}
	}
	return faults
}

// spoil takes the counters of all sessions out of what is compared: some of
// their packets may have been lost behind the router.
func (c *crowd) spoil() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.live {
		p.spoiled = true
	}
}
