package logs

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Bounds of a Syslog.
const (
	queueLength  = 1024
	dialTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second
	firstWait    = time.Second // after a failure; it doubles
	longestWait  = 30 * time.Second
	lastWords    = time.Second // at the end, to send what is queued
)

// SyslogConfig says where a collector is.
type SyslogConfig struct {
	Network  string // udp, tcp or unixgram
	Address  string // ADDRESS:PORT, or a path
	Facility uint8  // RFC 5424 table 1
	App      string
	Host     string // "": the system's name

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: the host's own network
	// Wait waits so long, or until ctx ends; nil: by the clock. Tests have one.
	Wait func(ctx context.Context, d time.Duration)
	// Told is told when the collector is lost and when it is back; it must not log
	// to this Syslog. nil: nobody.
	Told func(err error)
}

// Stats is what a Syslog has done.
type Stats struct {
	Sent uint64 // messages
	Lost uint64 // messages that found the queue full, the oldest of it
}

// Syslog sends records to a collector. It is made by NewSyslog; Run sends.
type Syslog struct {
	config SyslogConfig
	header header
	wake   chan struct{} // holds one when there is something to send

	mu    sync.Mutex
	ring  [queueLength][]byte
	first int // of what is queued
	n     int
	gap   uint64 // messages lost since the last that was sent
	stats Stats
}

// NewSyslog returns a Syslog that queues what it is given.
func NewSyslog(c SyslogConfig) *Syslog {
	if c.Dial == nil {
		d := &net.Dialer{Timeout: dialTimeout}
		c.Dial = d.DialContext
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	if c.Told == nil {
		c.Told = func(error) {}
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname() // without one it is "-"
	}
	return &Syslog{
		config: c, wake: make(chan struct{}, 1),
		header: header{facility: c.Facility, host: c.Host, app: c.App, pid: strconv.Itoa(os.Getpid())},
	}
}

// wait is SyslogConfig.Wait by the clock.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// offer queues a record. It never waits: when the queue is full the oldest goes.
func (s *Syslog) offer(r *slog.Record, before []given) {
	s.put(s.header.append(make([]byte, 0, 256), r, before))
}

func (s *Syslog) put(message []byte) {
	s.mu.Lock()
	if s.n == queueLength {
		s.drop()
	}
	s.ring[(s.first+s.n)%queueLength] = message
	s.n++
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// drop loses the oldest message. The caller holds mu.
func (s *Syslog) drop() {
	s.ring[s.first] = nil
	s.first = (s.first + 1) % queueLength
	s.n--
	s.gap++
	s.stats.Lost++
}

// next returns the oldest message, after one about those before it that were
// lost. It stays queued until sent is told of it.
func (s *Syslog) next(now time.Time) (message []byte, gap uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gap > 0 {
		r := slog.NewRecord(now, slog.LevelWarn, "messages of this log were lost: the collector did not take them in time", 0)
		r.AddAttrs(slog.Uint64("lost", s.gap))
		return s.header.append(nil, &r, nil), s.gap
	}
	if s.n == 0 {
		return nil, 0
	}
	return s.ring[s.first], 0
}

// sent takes a message off the queue that next had returned, unless it was the
// one about a gap.
func (s *Syslog) sent(message []byte, gap uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Sent++
	switch {
	case gap > 0:
		s.gap -= gap
	case s.n > 0 && len(message) > 0 && len(s.ring[s.first]) > 0 && &s.ring[s.first][0] == &message[0]:
		// It may have been lost from the queue just as it was sent.
		s.ring[s.first] = nil
		s.first = (s.first + 1) % queueLength
		s.n--
	}
}

// Stats returns what was sent and lost so far.
func (s *Syslog) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Run sends until ctx ends, and then for a moment what is still queued.
func (s *Syslog) Run(ctx context.Context) {
	// One moment is for all last words, however many there are.
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWords, cancel) })()
	for delay := firstWait; ; {
		sent, err := s.connected(ctx, last)
		if ctx.Err() != nil {
			s.farewell(last)
			return
		}
		if sent {
			delay = firstWait
		}
		s.config.Told(err)
		s.config.Wait(ctx, delay)
		delay = min(2*delay, longestWait)
	}
}

// farewell tries once more to send what is still queued, after the end.
func (s *Syslog) farewell(last context.Context) {
	if message, _ := s.next(time.Now()); message == nil {
		return
	}
	l, err := s.dial(last, last)
	if err != nil {
		return
	}
	defer l.close()
	if _, err := s.flush(l); err != nil {
		s.config.Told(err)
	}
}

// connected sends over one connection until that fails or ctx ends, and what is
// queued then until last ends.
func (s *Syslog) connected(ctx, last context.Context) (sent bool, err error) {
	l, err := s.dial(ctx, last)
	if err != nil {
		return false, err
	}
	defer l.close()
	for {
		n, err := s.flush(l)
		if n > 0 && !sent {
			sent = true
			s.config.Told(nil)
		}
		if err != nil {
			return sent, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			_, err := s.flush(l)
			return sent, err
		}
	}
}

// flush sends all that is queued.
func (s *Syslog) flush(l *line) (n int, err error) {
	for {
		message, gap := s.next(time.Now())
		if message == nil {
			return n, nil
		}
		if err := l.write(s.framed(message)); err != nil {
			return n, fmt.Errorf("syslog %s %s: %w", s.config.Network, s.config.Address, err)
		}
		s.sent(message, gap)
		n++
	}
}

// framed counts the octets of a message on a stream (RFC 6587 section 3.4.1): a
// datagram is its own frame.
func (s *Syslog) framed(message []byte) []byte {
	if s.config.Network != "tcp" {
		return message
	}
	b := strconv.AppendInt(make([]byte, 0, len(message)+6), int64(len(message)), 10)
	return append(append(b, ' '), message...)
}
