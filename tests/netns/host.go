package netns

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"spigate/tests/golden"
)

// HostConfig says which end of which conversations a host plays.
type HostConfig struct {
	In            *Namespace
	Side          golden.Side
	Conversations []golden.Conversation
	Foreign       []golden.Conversation // of others, to name what arrives at the wrong host
	Patience      Patience
	PauseAtESP    bool        // stop before the first own ESP step until Resume
	Event         func(Event) // called on the host's goroutine, may be nil
}

// What says what happened at a host.
type What uint8

// The events of a host.
const (
	Sent What = iota
	Resent
	Received
	Repeated // received once more
	Strayed  // received, but it belongs elsewhere
)

// String returns the event's name.
func (w What) String() string {
	return [...]string{"sent", "sent again", "received", "received again", "NOT ITS OWN:"}[w]
}

// Event is something that happened at a host.
type Event struct {
	Host         string
	Conversation string
	What         What
	Step         golden.Step
	Peer         netip.AddrPort // as this host sees the other end; port 0 for ESP
}

// Host replays one end of conversations over raw sockets: it sends complete
// IPv4 packets, and a UDP socket on port 500 and a raw socket for protocol 50
// keep the kernel from answering with port or protocol unreachable.
type Host struct {
	c     HostConfig
	parts []*part

	ike *net.UDPConn
	esp *net.IPConn
	raw int // socket for sending

	in       chan arrival
	resume   chan struct{}
	stop     chan struct{}
	done     chan struct{} // the loop has ended
	readers  chan struct{} // a reader has ended
	paused   chan struct{} // closed when the pause is reached
	finished chan struct{} // closed when all conversations are played
	heard    atomic.Int64  // when the last packet arrived
	stopped  atomic.Bool

	strays  []Stray
	strayed int
	sendErr error
}

// part is one conversation at a host.
type part struct {
	*script
	peer netip.AddrPort // the other end; a gateway learns it from IKE
}

type arrival struct {
	kind    golden.Kind
	from    netip.AddrPort
	payload []byte
}

// StartHost opens the host's sockets and begins to play. It ends with Stop, at
// the latest when the lab closes.
func StartHost(c HostConfig) (*Host, error) {
	h := &Host{
		c: c, raw: -1,
		in:       make(chan arrival, 1024),
		resume:   make(chan struct{}, 1),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
		readers:  make(chan struct{}, 2),
		paused:   make(chan struct{}),
		finished: make(chan struct{}),
	}
	for _, conv := range c.Conversations {
		p := &part{script: newScript(c.Side, conv, c.Patience)}
		if c.Side == golden.Client {
			p.peer = netip.AddrPortFrom(conv.Gateway, golden.Port)
		}
		if c.PauseAtESP {
			p.pauseAt = conv.First(func(s *golden.Step) bool { return s.Kind == golden.ESP && s.From == c.Side })
		}
		h.parts = append(h.parts, p)
	}
	if err := c.In.Do(h.open); err != nil {
		h.closeSockets()
		return nil, fmt.Errorf("host %s: %w", c.In.Name, err)
	}
	go h.read(golden.IKE)
	go h.read(golden.ESP)
	go h.loop()
	c.In.lab.later(func() error { h.Stop(); return nil })
	return h, nil
}

func (h *Host) open() (err error) {
	if h.ike, err = net.ListenUDP("udp4", &net.UDPAddr{Port: golden.Port}); err != nil {
		return err
	}
	if h.esp, err = net.ListenIP("ip4:50", nil); err != nil {
		return err
	}
	h.raw, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	return err
}

func (h *Host) closeSockets() {
	if h.ike != nil {
		h.ike.Close()
	}
	if h.esp != nil {
		h.esp.Close()
	}
	if h.raw >= 0 {
		unix.Close(h.raw)
	}
}

// read passes packets of one kind to the loop until its socket is closed.
func (h *Host) read(kind golden.Kind) {
	defer func() { h.readers <- struct{}{} }()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := h.receive(kind, buf)
		if h.stopped.Load() {
			return
		}
		if err != nil {
			continue // an ICMP error that came back; the next read waits again
		}
		select {
		case h.in <- arrival{kind, from, append([]byte(nil), buf[:n]...)}:
		case <-h.stop:
			return
		}
	}
}

func (h *Host) receive(kind golden.Kind, buf []byte) (int, netip.AddrPort, error) {
	if kind == golden.IKE {
		n, from, err := h.ike.ReadFromUDPAddrPort(buf)
		return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
	}
	n, from, err := h.esp.ReadFromIP(buf)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	a, _ := netip.AddrFromSlice(from.IP)
	return n, netip.AddrPortFrom(a.Unmap(), 0), nil
}

// loop owns all state: packets, time and Resume come in through it.
func (h *Host) loop() {
	defer close(h.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := Monotonic()
		wake := h.play(now)
		if wake > 0 {
			timer.Reset(time.Duration(max(0, wake-now)))
		} else {
			timer.Stop()
		}
		select {
		case a := <-h.in:
			h.take(a)
		case <-timer.C:
		case <-h.resume:
			for _, p := range h.parts {
				p.resume()
			}
		case <-h.stop:
			return
		}
	}
}

// play sends what is due and returns when to look again, 0 for never.
func (h *Host) play(now int64) (wake int64) {
	finished, paused := true, false
	for _, p := range h.parts {
		before := p.next
		for _, i := range p.due(now) {
			h.send(p, i, i < before)
		}
		if d := p.deadline(); d > 0 && (wake == 0 || d < wake) {
			wake = d
		}
		finished = finished && p.finished()
		paused = paused || p.paused()
	}
	if finished {
		closeOnce(h.finished)
	}
	if paused {
		closeOnce(h.paused)
	}
	return wake
}

// closeOnce closes a channel that only one goroutine closes.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func (h *Host) send(p *part, i int, again bool) {
	st := &p.conv.Steps[i]
	local := p.conv.Client
	if h.c.Side == golden.Gateway {
		local = p.conv.Gateway
	}
	to := p.peer
	if !to.IsValid() {
		return // a gateway cannot speak before its client did
	}
	b := st.Packet(netip.AddrPortFrom(local, golden.Port), to)
	if err := unix.Sendto(h.raw, b, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil && h.sendErr == nil {
		h.sendErr = fmt.Errorf("send %v to %v: %w", st, to, err)
	}
	what := Sent
	if again {
		what = Resent
	}
	h.event(Event{Conversation: p.conv.Name, What: what, Step: *st, Peer: to})
}

func (h *Host) event(e Event) {
	if h.c.Event != nil {
		e.Host = h.c.In.Name
		h.c.Event(e)
	}
}

// take hands a packet to the conversation that it belongs to.
func (h *Host) take(a arrival) {
	h.heard.Store(Monotonic())
	for _, p := range h.parts {
		if !p.knows(a.payload) {
			continue
		}
		h.checkSource(p, a)
		i, fresh, again := p.arrived(a.payload)
		what := Received
		if !fresh {
			what = Repeated
		}
		h.event(Event{Conversation: p.conv.Name, What: what, Step: p.conv.Steps[i], Peer: a.from})
		for _, j := range again {
			h.send(p, j, true)
		}
		return
	}
	h.stray(a)
}

// checkSource writes down a packet of the right conversation that does not
// come from where the conversation's other end was seen before. A gateway
// learns that place from the first IKE packet.
func (h *Host) checkSource(p *part, a arrival) {
	switch {
	case a.kind == golden.IKE && a.from != p.peer:
		moved := p.peer.IsValid()
		old := p.peer
		if h.c.Side == golden.Gateway {
			p.peer = a.from
		}
		if moved {
			h.keep(Stray{Owner: p.conv.Name, From: a.from, Why: fmt.Sprintf("IKE came from %v before", old)}, a)
		}
	case a.kind == golden.ESP && a.from.Addr() != p.peer.Addr():
		h.keep(Stray{Owner: p.conv.Name, From: a.from, Why: fmt.Sprintf("its IKE came from %v", p.peer)}, a)
	}
}

// stray writes down a packet that belongs to no conversation of this host.
func (h *Host) stray(a arrival) {
	s := Stray{From: a.from, Why: "in no conversation"}
	for _, c := range h.c.Foreign {
		for _, st := range c.Steps {
			if st.Kind == a.kind && string(st.Payload) == string(a.payload) {
				s.Owner, s.Why = c.Name, "belongs to "+c.Name
			}
		}
	}
	h.keep(s, a)
}

func (h *Host) keep(s Stray, a arrival) {
	s.Host, s.Kind, s.Payload = h.c.In.Name, a.kind, a.payload
	h.strayed++
	if len(h.strays) < maxStrays {
		h.strays = append(h.strays, s)
	}
	st := golden.Step{From: h.c.Side.Other(), Kind: a.kind, Payload: a.payload}
	if len(a.payload) >= 28 || a.kind == golden.ESP && len(a.payload) >= 8 {
		h.event(Event{Conversation: s.Owner, What: Strayed, Step: st, Peer: a.from})
	}
}

// maxStrays bounds what a host keeps of wrong packets; all are counted.
const maxStrays = 1000

// Paused is closed when the host stands before its first ESP step.
func (h *Host) Paused() <-chan struct{} { return h.paused }

// Resume lets a paused host go on.
func (h *Host) Resume() {
	select {
	case h.resume <- struct{}{}:
	default:
	}
}

// Finished is closed when every conversation of the host is played to its end.
// The host goes on to listen and to answer.
func (h *Host) Finished() <-chan struct{} { return h.finished }

// Stop ends the host. A second call waits for the first.
func (h *Host) Stop() {
	if !h.stopped.Swap(true) {
		close(h.stop)
		<-h.done
		h.ike.Close()
		h.esp.Close()
		<-h.readers
		<-h.readers
		unix.Close(h.raw)
	}
	<-h.done
}
