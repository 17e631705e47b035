package natlog

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sender moves a target's records from its queue to its collector. One
// goroutine runs it; only offer and stats are for others.
//
//	       dial             UDP: one message, two ticks without an error
//	down ───────► probing ──────────────────────────────────────────────► up
//	 ▲ after 1, 2, 4 … 30 ticks                                            │
//	 └───────────── a write fails, or the connection's reader ◄────────────┘
//
// The first connection of all, and each over TCP, is up as soon as it stands.
// UDP tells only by an ICMP error, and only after the fact, that nobody
// listens; so the last datagram is kept, and sent again on the next connection.
type sender struct {
	target Target
	now    func() time.Time
	log    *slog.Logger
	dial   func(ctx context.Context, network, address string) (net.Conn, error)

	queue *queue
	wake  chan struct{}
	ticks chan struct{}

	// Of the goroutine that runs it.
	encoder encoder
	hard    context.Context // closes connections when it ends
	conn    net.Conn
	broken  chan error // from conn's reader
	readers sync.WaitGroup
	batch   []Record // taken from the queue
	next    int      // batch[next] is the first that is not sent
	last    []Record // over UDP those of the last datagram
	probing int      // ticks that a new UDP connection must still stand
	probed  bool     // and its one message is out
	wait    int      // ticks until the next attempt to connect
	backoff int
	told    bool // that the collector is down
	ending  bool // nothing is to be gained by waiting

	up                              atomic.Bool
	held                            atomic.Int64 // records of batch that are not sent
	sent, messages, bytes, failures atomic.Uint64
}

// encoder writes messages in a protocol. What it returns is valid until its
// next call.
type encoder interface {
	// reset is told of each new connection and its own address.
	reset(local string)
	// encode writes a message for the first records of batch and says for how
	// many: none if something else has to be sent before them. number is that
	// of the first record at this target, from 1; it is the same again for one
	// that is sent again.
	encode(batch []Record, number uint64, now time.Time) (message []byte, used int)
	// due returns what has to be sent without records, or nil.
	due(now time.Time) []byte
}

const (
	batchSize  = 64
	maxBackoff = 30 // ticks
	probeTicks = 2
)

func newSender(t Target, c *Config) *sender {
	s := &sender{
		target: t, now: c.Now, dial: c.Dial,
		log:   c.Log.With("target", t.Name, "address", t.Address),
		queue: newQueue(t.Queue), wake: make(chan struct{}, 1), ticks: make(chan struct{}, 1),
	}
	if t.Protocol == IPFIX {
		s.encoder = newIPFIX(&s.target)
	} else {
		s.encoder = newSyslog(&s.target)
	}
	return s
}

// offer queues a record, or counts it as lost.
func (s *sender) offer(r *Record) {
	if !s.queue.push(r) {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run sends until ctx ends and then once more what is queued. hard ends what
// that takes.
func (s *sender) run(ctx, hard context.Context) {
	s.hard = hard
	defer s.readers.Wait()
	defer s.disconnect()
	s.connect(ctx)
	s.drain(ctx)
	for {
		select {
		case <-s.wake:
		case <-s.ticks:
			s.tick(ctx)
		case err := <-s.broken:
			s.fail(err)
		case <-ctx.Done():
			s.wait, s.probing, s.ending = 0, 0, true
			if hard.Err() == nil {
				s.drain(hard)
			}
			return
		}
		s.drain(ctx)
	}
}

// tick is about a second.
func (s *sender) tick(ctx context.Context) {
	select {
	case err := <-s.broken: // bad news goes first
		s.fail(err)
		return
	default:
	}
	if s.probing > 0 && s.probed {
		if s.probing--; s.probing == 0 {
			s.isUp()
		}
	}
	if s.wait > 0 {
		s.wait--
	}
	if s.conn == nil && s.wait == 0 {
		s.connect(ctx)
	}
	for s.conn != nil && s.probing == 0 {
		message := s.encoder.due(s.now())
		if message == nil || !s.write(message) {
			return
		}
	}
}

// drain sends what is queued, as far as the collector takes it.
func (s *sender) drain(ctx context.Context) {
	for {
		if s.next == len(s.batch) {
			s.batch, s.next = s.queue.pop(s.batch[:0], batchSize), 0
			s.held.Store(int64(len(s.batch)))
		}
		if len(s.batch) == 0 || s.probing > 0 && s.probed {
			return
		}
		if s.conn == nil && (s.wait > 0 || !s.connect(ctx)) {
			return
		}
		if !s.send() {
			return
		}
	}
}

// send sends one message.
func (s *sender) send() bool {
	part := s.batch[s.next:]
	part = part[:min(len(part), batchSize)]
	message, used := s.encoder.encode(part, s.sent.Load()+1, s.now())
	if !s.write(message) {
		return false
	}
	s.next += used
	s.held.Add(-int64(used))
	s.sent.Add(uint64(used))
	s.probed = true
	if used > 0 && s.target.Network == "udp" {
		s.last = append(s.last[:0], part[:used]...)
	}
	return true
}

func (s *sender) write(message []byte) bool {
	if _, err := s.conn.Write(message); err != nil {
		s.fail(err)
		return false
	}
	s.messages.Add(1)
	s.bytes.Add(uint64(len(message)))
	return true
}

// connect makes a connection and starts its reader: collectors say nothing, so
// that what ends a read is bad news.
func (s *sender) connect(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	conn, err := s.dial(ctx, s.target.Network, s.target.Address)
	if err != nil {
		if ctx.Err() == nil {
			s.fail(err)
		}
		return false
	}
	s.conn, s.broken = conn, make(chan error, 1)
	broken := s.broken
	stop := context.AfterFunc(s.hard, func() { conn.Close() })
	s.readers.Go(func() {
		defer stop()
		_, err := io.Copy(io.Discard, conn)
		if err == nil {
			err = io.EOF
		}
		broken <- err
	})
	s.encoder.reset(localHost(conn))
	if s.told && !s.ending && s.target.Network == "udp" {
		s.probing, s.probed = probeTicks, false
	} else {
		s.isUp()
	}
	return true
}

// localHost is the address that conn sends from.
func localHost(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return "-"
	}
	return host
}

func (s *sender) isUp() {
	s.up.Store(true)
	s.backoff = 0
	if s.told {
		s.log.Info("nat log collector is back")
		s.told = false
	}
}

// fail gives the connection up, and waits longer with each time.
func (s *sender) fail(err error) {
	s.disconnect()
	s.failures.Add(1)
	s.backoff = min(max(1, 2*s.backoff), maxBackoff)
	s.wait = s.backoff
	if !s.told {
		s.log.Warn("nat log collector cannot be reached", "error", err)
		s.told = true
	}
	if len(s.last) > 0 {
		s.sent.Add(-uint64(len(s.last)))
		s.batch = append(slices.Clone(s.last), s.batch[s.next:]...)
		s.next, s.last = 0, s.last[:0]
		s.held.Store(int64(len(s.batch)))
	}
}

func (s *sender) disconnect() {
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn, s.broken, s.probing = nil, nil, 0
	s.up.Store(false)
}

func (s *sender) stats() TargetStats {
	waiting, lost := s.queue.depth()
	return TargetStats{
		Name: s.target.Name, Protocol: s.target.Protocol, Address: s.target.Address, Up: s.up.Load(),
		Queued: waiting + int(s.held.Load()), Sent: s.sent.Load(), Lost: lost,
		Messages: s.messages.Load(), Bytes: s.bytes.Load(), Failures: s.failures.Load(),
	}
}
