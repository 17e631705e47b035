package ltm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"spigate/tests/netns"
)

// crowd is the connections of one server, with an echo server at their far end.
type crowd struct {
	p       *place
	at      *server
	members []*member
	done    sync.WaitGroup
}

// member is one connection, seen from its local end. A talker says the next
// word when the last one has come back; the others say one only when asked.
type member struct {
	c      net.Conn
	id     uint64
	talker bool
	said   uint64
	heard  atomic.Uint64 // words that came back as they were
	end    atomic.Pointer[error]
}

const wordLen = 200

// word is what a member says the n-th time: nobody else says it.
func (m *member) word(n uint64) []byte {
	b := make([]byte, wordLen)
	for i := 0; i < len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], m.id<<32|n<<8|uint64(i/8))
	}
	return b
}

func (m *member) run() {
	err := m.listen()
	m.end.Store(&err)
}

func (m *member) listen() error {
	got := make([]byte, wordLen)
	for n := uint64(0); ; n++ {
		if _, err := io.ReadFull(m.c, got); err != nil {
			return err
		}
		if !bytes.Equal(got, m.word(n)) {
			return fmt.Errorf("word %d came back as % x", n, got)
		}
		m.heard.Add(1)
		if !m.talker {
			continue
		}
		if _, err := m.c.Write(m.word(n + 1)); err != nil {
			return err
		}
	}
}

// say has a member speak from outside.
func (m *member) say() error {
	_, err := m.c.Write(m.word(m.said))
	m.said++
	return err
}

// gather connects a crowd to a server. One in five talks all the time.
func (p *place) gather(to netip.AddrPort, size int) *crowd {
	p.t.Helper()
	w := &crowd{p: p, at: p.serve(p.far, to)}
	p.t.Cleanup(func() {
		for _, m := range w.members {
			m.c.Close()
		}
		w.done.Wait()
	})
	for i := range size {
		c, err := p.dial(p.local, to, soon)
		p.must(err)
		m := &member{c: c, id: uint64(to.Port())<<16 | uint64(i), talker: i%5 == 0}
		w.members = append(w.members, m)
		w.done.Go(m.run)
		p.must(m.say())
	}
	return w
}

// all waits until something is true of every member.
func (w *crowd) all(what string, ok func(i int, m *member) error) {
	w.p.t.Helper()
	w.p.eventually(what, func() error {
		for i, m := range w.members {
			if err := ok(i, m); err != nil {
				return fmt.Errorf("connection %d to %v: %w", i, w.at.l.Addr(), err)
			}
		}
		return nil
	})
}

// everybodySpeaks waits for so many more words of each member.
func (w *crowd) everybodySpeaks(words int) {
	w.p.t.Helper()
	until := make([]uint64, len(w.members))
	for i, m := range w.members {
		until[i] = m.heard.Load() + uint64(words)
		for range words {
			if m.talker {
				break
			}
			until[i] = m.said + 1
			if err := m.say(); err != nil {
				w.p.t.Errorf("connection %d to %v: %v", i, w.at.l.Addr(), err)
			}
		}
	}
	w.all("everybody speaks", func(i int, m *member) error {
		if err := m.end.Load(); err != nil {
			return fmt.Errorf("it has ended: %w", *err)
		}
		if n := m.heard.Load(); n < until[i] {
			return fmt.Errorf("%d words of %d came back", n, until[i])
		}
		return nil
	})
}

// isGone waits until both ends of every connection know that it was reset.
func (w *crowd) isGone() {
	w.p.t.Helper()
	w.all("everybody is reset", func(_ int, m *member) error {
		if err := m.end.Load(); err == nil || !reset(*err) {
			return fmt.Errorf("it goes on, or ended otherwise: %v", err)
		}
		return nil
	})
	w.p.eventually("the far ends", func() error { return w.at.allReset(len(w.members)) })
}

// isWell fails if a connection has ended at either end.
func (w *crowd) isWell() {
	w.p.t.Helper()
	w.all("nobody has ended", func(_ int, m *member) error {
		if err := m.end.Load(); err != nil {
			return *err
		}
		return nil
	})
	if err := w.at.allReset(0); err != nil {
		w.p.t.Errorf("far ends of %v: %v", w.at.l.Addr(), err)
	}
}

// bulk is a transfer through an echo server that goes on until it is stopped.
// Its bytes are random, and known at both ends of it.
type bulk struct {
	p    *place
	c    *net.TCPConn
	quit atomic.Bool
	sent uint64
	came atomic.Uint64 // bytes that came back as they were
	ends chan error    // of its writer and its reader
}

func random() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{5}) }

func (p *place) startBulk(to netip.AddrPort) *bulk {
	p.t.Helper()
	c, err := p.dial(p.local, to, soon)
	p.must(err)
	p.t.Cleanup(func() { c.Close() })
	x := &bulk{p: p, c: c.(*net.TCPConn), ends: make(chan error, 2)}
	go func() { x.ends <- x.write() }()
	go func() { x.ends <- x.read() }()
	return x
}

func (x *bulk) write() error {
	b, r := make([]byte, 32<<10), random()
	for !x.quit.Load() {
		_, _ = r.Read(b)
		n, err := x.c.Write(b)
		x.sent += uint64(n)
		if err != nil {
			return err
		}
	}
	return x.c.CloseWrite()
}

func (x *bulk) read() error {
	want, got, r := make([]byte, 32<<10), make([]byte, 32<<10), random()
	for {
		n, err := io.ReadFull(x.c, got)
		_, _ = r.Read(want[:n])
		if !bytes.Equal(got[:n], want[:n]) {
			return fmt.Errorf("other bytes came back behind byte %d", x.came.Load())
		}
		x.came.Add(uint64(n))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// passes waits until so many more bytes have come back.
func (x *bulk) passes(bytes uint64) {
	x.p.t.Helper()
	until := x.came.Load() + bytes
	x.p.eventually("the transfer", func() error {
		if n := x.came.Load(); n < until {
			return fmt.Errorf("%d bytes of %d came back", n, until)
		}
		return nil
	})
}

// stop ends the transfer, of which nothing may be missing.
func (x *bulk) stop() {
	x.p.t.Helper()
	x.quit.Store(true)
	x.p.must(x.c.SetDeadline(time.Now().Add(soon)))
	if err := errors.Join(<-x.ends, <-x.ends); err != nil || x.came.Load() != x.sent {
		x.p.t.Errorf("the transfer: %d bytes of %d came back: %v", x.came.Load(), x.sent, err)
	}
}

// packets is how many packets its flow has carried outwards in the flow table,
// as one entry that was never taken out.
func (x *bulk) packets() uint64 {
	x.p.t.Helper()
	var rows []struct {
		netns.FlowRow
		SourcePort uint16 `json:"source_port"`
		DestPort   uint16 `json:"dest_port"`
	}
	x.p.must(x.p.daemon.Show(x.p.ctx, &rows, "flow"))
	// Connections to other ports may have the same port here.
	from, to := x.c.LocalAddr().(*net.TCPAddr).AddrPort(), peer(x.c)
	for _, r := range rows {
		if r.SourceIP == from.Addr() && r.SourcePort == from.Port() && r.DestIP == to.Addr() && r.DestPort == to.Port() {
			return r.Packets
		}
	}
	x.p.t.Errorf("the transfer has no flow among %d", len(rows))
	return 0
}
