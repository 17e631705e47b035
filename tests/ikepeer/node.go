package ikepeer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"spigate/netstack/ipsec/ike"
	"spigate/tests/netns"
)

// Node runs an engine on UDP ports 500 and 4500 of an address.
type Node struct {
	addr   netip.Addr
	socks  map[uint16]*net.UDPConn
	engine *ike.Engine
	calls  chan func(now int64) []ike.Action
	stop   chan struct{}
	wg     sync.WaitGroup

	mu       sync.Mutex
	events   []ike.Event
	children map[uint32]*espPair
	echoed   int
}

// Start opens the sockets inside of a namespace and runs the engine.
func Start(ns *netns.Namespace, addr netip.Addr, c ike.Config) (*Node, error) {
	e, err := ike.New(c)
	if err != nil {
		return nil, err
	}
	n := &Node{addr: addr, engine: e, socks: map[uint16]*net.UDPConn{}, calls: make(chan func(int64) []ike.Action), stop: make(chan struct{}),
		children: map[uint32]*espPair{}}
	err = ns.Do(func() error {
		for _, port := range []uint16{ike.Port, ike.NATPort} {
			s, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
			if err != nil {
				return err
			}
			n.socks[port] = s
		}
		return nil
	})
	if err != nil {
		n.closeSockets()
		return nil, fmt.Errorf("sockets: %w", err)
	}
	for port, s := range n.socks {
		n.wg.Go(func() { n.read(port, s) })
	}
	n.wg.Go(n.loop)
	return n, nil
}

func (n *Node) closeSockets() {
	for _, s := range n.socks {
		s.Close()
	}
}

// Stop tells the peers, closes the sockets and waits for all goroutines.
func (n *Node) Stop() {
	n.Do(n.engine.CloseAll)
	close(n.stop)
	n.closeSockets()
	n.wg.Wait()
}

// Do calls the engine and carries out what it wants.
func (n *Node) Do(fn func(now int64) []ike.Action) {
	done := make(chan struct{})
	n.calls <- func(now int64) []ike.Action {
		defer close(done)
		return fn(now)
	}
	<-done
}

func (n *Node) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-timer.C:
			n.act(n.engine.Tick(netns.Monotonic()))
		case fn := <-n.calls:
			n.act(fn(netns.Monotonic()))
		}
		wait := min(n.engine.NextDeadline()-netns.Monotonic(), int64(time.Second))
		timer.Reset(time.Duration(max(wait, 0)))
	}
}

// read takes datagrams off a socket: ESP, keepalives, and IKE.
func (n *Node) read(port uint16, s *net.UDPConn) {
	buf := make([]byte, 65536)
	for {
		size, from, err := s.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || size < 4 {
			continue
		}
		b := slices.Clone(buf[:size])
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		marker := port == ike.NATPort && slices.Equal(b[:4], []byte{0, 0, 0, 0})
		if port == ike.NATPort && !marker {
			n.esp(b, from)
			continue
		}
		if marker {
			b = b[4:]
		}
		call := func(now int64) []ike.Action {
			return n.engine.HandleMessage(netip.AddrPortFrom(n.addr, port), from, b, marker, now)
		}
		select {
		case n.calls <- call:
		case <-n.stop:
			return
		}
	}
}

func (n *Node) act(list []ike.Action) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range list {
		switch a.Kind {
		case ike.Send:
			b := a.Datagram.Bytes
			if a.Datagram.Marker {
				b = append(make([]byte, 4), b...)
			}
			n.socks[a.Datagram.Local.Port()].WriteToUDPAddrPort(b, a.Datagram.Remote)
		case ike.Install:
			n.children[a.Child.In] = newPair(a.Child)
		case ike.Remove:
			delete(n.children, a.Child.In)
		case ike.Log:
			n.events = append(n.events, *a.Event)
		}
	}
}

// esp decrypts a packet in UDP and sends it back to where it came from.
func (n *Node) esp(b []byte, from netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.children {
		if out := p.echo(b); out != nil {
			n.echoed++
			n.socks[ike.NATPort].WriteToUDPAddrPort(out, from)
		}
	}
}

// Children lists the inbound SPIs of the pairs that are there.
func (n *Node) Children() []uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []uint32
	for in := range n.children {
		out = append(out, in)
	}
	return out
}

// Child returns the pair of an inbound SPI.
func (n *Node) Child(in uint32) *ike.ChildSA {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.children[in]; p != nil {
		return p.sa
	}
	return nil
}

// Events returns what was logged.
func (n *Node) Events() []ike.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.events)
}

// Wait waits for an event.
func (n *Node) Wait(ctx context.Context, match func(ike.Event) bool) error {
	return netns.Poll(ctx, 20*time.Millisecond, func() bool { return slices.ContainsFunc(n.Events(), match) })
}
