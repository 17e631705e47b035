package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/tests/netns"
)

// host is a machine behind a tunnel.
type host struct {
	*netns.Namespace
	addr netip.Addr
}

// echo is a TCP server that sends everything back, until it is closed.
type echo struct {
	l    net.Listener
	busy sync.WaitGroup
	mu   sync.Mutex
	open map[net.Conn]bool
}

const echoPort = 7 // RFC 862

func (h host) serve() (*echo, error) {
	e := &echo{open: map[net.Conn]bool{}}
	err := h.Do(func() (err error) {
		e.l, err = net.Listen("tcp4", netip.AddrPortFrom(h.addr, echoPort).String())
		return err
	})
	if err != nil {
		return nil, err
	}
	e.busy.Go(func() {
		for {
			c, err := e.l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.open[c] = true
			e.mu.Unlock()
			e.busy.Go(func() { e.answer(c) })
		}
	})
	return e, nil
}

func (e *echo) answer(c net.Conn) {
	_, _ = io.Copy(struct{ io.Writer }{c}, c) // who began sees what is missing
	c.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, c)
}

func (e *echo) close() {
	e.l.Close()
	e.mu.Lock()
	for c := range e.open {
		c.Close()
	}
	e.mu.Unlock()
	e.busy.Wait()
}

// pings are echo requests and their answers.
type pings struct {
	asked, answered int
	first           time.Duration // until the first answer came
}

const pingEvery = 200 * time.Millisecond

// ping asks until so many answers have come.
func (h host) ping(ctx context.Context, to host, answers int) (p pings, err error) {
	var c net.PacketConn
	err = h.Do(func() (err error) {
		c, err = net.ListenPacket("ip4:icmp", h.addr.String())
		return err
	})
	if err != nil {
		return p, err
	}
	defer c.Close()
	begin, last := netns.Monotonic(), int64(0)
	for ctx.Err() == nil {
		if now := netns.Monotonic(); now-last >= int64(pingEvery) {
			if _, err := c.WriteTo(request(p.asked), &net.IPAddr{IP: to.addr.AsSlice()}); err != nil {
				return p, err
			}
			last, p.asked = now, p.asked+1
		}
		if !answer(c, to.addr) {
			continue
		}
		if p.answered++; p.answered == 1 {
			p.first = time.Duration(netns.Monotonic() - begin)
		}
		if p.answered == answers {
			return p, nil
		}
	}
	return p, fmt.Errorf("%s: %d pings to %s, %d answers: %w", h.Name, p.asked, to.Name, p.answered, ctx.Err())
}

func request(number int) header.ICMPv4 {
	b := header.ICMPv4(make([]byte, 64))
	b.SetType(header.ICMPv4Echo)
	b.SetIdent(1)
	b.SetSequence(uint16(number))
	b.SetChecksum(^checksum.Checksum(b, 0))
	return b
}

// answer waits some milliseconds for an echo reply.
func answer(c net.PacketConn, from netip.Addr) bool {
	buf := make([]byte, 256)
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
		return false
	}
	n, who, err := c.ReadFrom(buf)
	return err == nil && n >= header.ICMPv4MinimumSize && header.ICMPv4(buf).Type() == header.ICMPv4EchoReply && who.String() == from.String()
}

// call is a TCP connection to an echo server.
type call struct {
	c    *net.TCPConn
	sent int           // bytes that came back as they were
	slow time.Duration // the longest that a word took there and back
}

func (h host) call(ctx context.Context, to host) (*call, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: h.addr.AsSlice()}}
	var c net.Conn
	err := h.Do(func() (err error) {
		c, err = d.DialContext(ctx, "tcp4", netip.AddrPortFrom(to.addr, echoPort).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s to %s: %w", h.Name, to.Name, err)
	}
	if end, ok := ctx.Deadline(); ok {
		err = c.SetDeadline(end)
	}
	return &call{c: c.(*net.TCPConn)}, err
}

// say sends something and waits until it has come back.
func (x *call) say(count int) error {
	begin := netns.Monotonic()
	word := make([]byte, count)
	for i := range word {
		word[i] = byte((x.sent + i) >> 8 * (i + 1))
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := x.c.Write(word)
		wrote <- err
	}()
	got := make([]byte, count)
	_, err := io.ReadFull(x.c, got)
	if err = errors.Join(err, <-wrote); err != nil {
		return fmt.Errorf("behind byte %d: %w", x.sent, err)
	}
	if !bytes.Equal(got, word) {
		return fmt.Errorf("other bytes came back behind byte %d", x.sent)
	}
	x.sent += count
	x.slow = max(x.slow, time.Duration(netns.Monotonic()-begin))
	return nil
}

// The pace of a conversation: 64 KB/s.
const (
	wordSize  = 3200
	wordEvery = 50 * time.Millisecond
)

// talk says a word 20 times a second until enough is said.
func (x *call) talk(ctx context.Context, enough func() bool) error {
	tick := time.NewTicker(wordEvery)
	defer tick.Stop()
	for !enough() {
		if err := x.say(wordSize); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// end closes the connection, and both ends agree that nothing is missing.
func (x *call) end() error {
	defer x.c.Close()
	if err := x.c.CloseWrite(); err != nil {
		return err
	}
	rest, err := io.ReadAll(x.c)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes came that nobody sent", len(rest))
	}
	return err
}
