package peers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Pings is what a ping came to. Lost counts the requests without an answer that
// were sent before one with an answer: those at the end may be on their way.
type Pings struct{ Sent, Received, Lost int }

// Ping sends echo requests through the tunnel, from the inner address of one
// host to that of another, and waits so long for each answer. That none comes
// back is no error.
func (s *Site) Ping(ctx context.Context, from, to *Host, n int, wait time.Duration) (Pings, error) {
	out, err := s.VM.Exec(ctx, from.Name, pingCommand(from, to, n, wait))
	if err != nil {
		return Pings{}, err
	}
	return parsePings(out)
}

// pingCommand starts a program for each request: one for all of them goes away
// as soon as the last answer takes twice as long as the slowest before it.
func pingCommand(from, to *Host, n int, wait time.Duration) string {
	return fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); ping -n -q -c 1 -W %d -I %v %v & sleep 0.25; done; wait; true",
		n, seconds(wait), from.Inner, to.Inner)
}

// parsePings reads "N packets transmitted, M received, ...", of one program or
// of several, and, where one printed each answer, their numbers, "icmp_seq=N".
func parsePings(out string) (Pings, error) {
	var p Pings
	seen, last := map[int]bool{}, 0
	for _, line := range strings.Split(out, "\n") {
		w := strings.Fields(line)
		for _, word := range w {
			if text, ok := strings.CutPrefix(word, "icmp_seq="); ok && strings.Contains(line, "bytes from") {
				if n, err := strconv.Atoi(text); err == nil {
					seen[n], last = true, max(last, n)
				}
			}
		}
		if len(w) < 5 || w[1] != "packets" || !strings.HasPrefix(w[4], "received") {
			continue
		}
		sent, err := strconv.Atoi(w[0])
		got, err2 := strconv.Atoi(w[3])
		if err := errors.Join(err, err2); err != nil {
			return Pings{}, err
		}
		p.Sent, p.Received = p.Sent+sent, p.Received+got
	}
	if p.Sent > 0 {
		p.Lost = last - len(seen)
		return p, nil
	}
	return Pings{}, fmt.Errorf("ping said nothing about packets: %s", tail(out, 400))
}

// StartPings lets a host ping until StopPings.
func (s *Site) StartPings(ctx context.Context, from, to *Host) error {
	_, err := s.VM.Exec(ctx, from.Name, fmt.Sprintf(
		"setsid /usr/bin/ping -n -i 0.25 -I %v %v >/run/pings 2>&1 </dev/null & echo $! >/run/pings.pid", from.Inner, to.Inner))
	return err
}

// StopPings ends what StartPings began and counts.
func (s *Site) StopPings(ctx context.Context, from *Host) (Pings, error) {
	out, err := s.VM.Exec(ctx, from.Name, "p=$(cat /run/pings.pid); rm /run/pings.pid; kill -INT $p; "+
		waitFor("grep -q transmitted /run/pings")+"; cat /run/pings")
	if err != nil {
		return Pings{}, err
	}
	return parsePings(out)
}
