package swsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"spigate/hw"
)

// What a Config leaves out.
const (
	DefaultAgeing  = 5 * time.Minute // IEEE 802.1Q table 8-6
	DefaultEntries = 4096
	DefaultMTU     = 1500
	maxEntries     = 1 << 20 // 16 MB
)

// Config says what a switch has.
type Config struct {
	Name    string        // in messages: "sw0"
	CPU     string        // which of the ports is the router's own
	Ports   []NamedPort   // in the order in which they are listed
	Ageing  time.Duration // a station is forgotten after this silence; 0: DefaultAgeing
	Entries int           // room for so many stations; 0: DefaultEntries
	MTU     int           // bytes of IP that every port can pass; 0: DefaultMTU
	Now     func() int64  // monotonic ns; asked once for each batch
	Log     *slog.Logger  // nil: silent
}

// Switch moves frames between its ports. As any chip it begins with all ports
// off and no VLANs.
type Switch struct {
	name      string
	caps      hw.Capabilities
	ports     []*port
	byName    map[string]*port
	addresses *table
	now       func() int64
	log       *slog.Logger

	tables  atomic.Pointer[tables] // exchanged under mu
	changes chan struct{}

	mu     sync.Mutex
	closed bool
}

var (
	_ hw.Chip     = (*Switch)(nil)
	_ hw.Notifier = (*Switch)(nil)
)

// New makes a switch of ports, which belong to it from now on. Nothing moves
// before Run. All faults of the Config are returned, joined.
func New(c Config) (*Switch, error) {
	if c.Ageing == 0 {
		c.Ageing = DefaultAgeing
	}
	if c.Entries == 0 {
		c.Entries = DefaultEntries
	}
	if c.MTU == 0 {
		c.MTU = DefaultMTU
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := check(&c); err != nil {
		return nil, fmt.Errorf("switch %s: %w", c.Name, err)
	}
	s := &Switch{
		name: c.Name, byName: map[string]*port{}, now: c.Now, log: c.Log,
		addresses: newTable(c.Entries, c.Ageing), changes: make(chan struct{}, 1),
	}
	var names []string
	for n, p := range c.Ports {
		one := &port{NamedPort: p, number: n}
		s.ports = append(s.ports, one)
		s.byName[p.Name] = one
		names = append(names, p.Name)
	}
	s.caps = Limits(c.CPU, names, c.MTU)
	t := newTables(c.MTU)
	t.up = s.links()
	s.tables.Store(t)
	return s, nil
}

func check(c *Config) error {
	var out []error
	fault := func(format string, args ...any) { out = append(out, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	for _, p := range c.Ports {
		switch {
		case p.Name == "" || p.Port == nil:
			fault("a port without a name or a device")
		case seen[p.Name]:
			fault("port %s is there twice", p.Name)
		}
		seen[p.Name] = true
	}
	if !seen[c.CPU] || c.CPU == "" {
		fault("the router's own port %q is none of its ports", c.CPU)
	}
	if len(c.Ports) > MaxPorts {
		fault("%d ports, and %d is the most", len(c.Ports), MaxPorts)
	}
	if c.Ageing < time.Second || c.Ageing > 24*time.Hour {
		fault("ageing time %v is not between 1s and 24h", c.Ageing)
	}
	if c.Entries < 1 || c.Entries > maxEntries {
		fault("%d addresses are not between 1 and %d", c.Entries, maxEntries)
	}
	if c.MTU < minMTU || c.MTU > maxMTU {
		fault("mtu %d is not between %d and %d", c.MTU, minMTU, maxMTU)
	}
	if c.Now == nil {
		fault("no clock")
	}
	return errors.Join(out...)
}

// Run moves frames until ctx ends or the switch is closed, and then returns
// nil. It closes the switch in every case. A port that cannot be read any more
// is logged and counts as one without link; the others go on. It is called
// once.
func (s *Switch) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	for _, p := range s.ports {
		loops.Go(func() { s.loop(p) })
	}
	done := make(chan struct{})
	go func() {
		loops.Wait()
		close(done)
	}()
	select {
	case <-ctx.Done():
	case <-done: // closed, or nothing is left to be read
	}
	err := s.Close()
	<-done
	return err
}

// loop forwards what comes in at a port until it is closed.
func (s *Switch) loop(p *port) {
	defer p.letGo()
	for {
		n, err := p.Read(p.batch[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.failed.Store(true)
			s.log.Error("a port of the switch cannot be read any more", "switch", s.name, "port", p.Name, "error", err)
			s.Look()
			return
		}
		s.input(p, p.batch[:n], s.now())
	}
}

// input does with frames that came in at a port all that is to be done.
func (s *Switch) input(p *port, batch []Frame, now int64) {
	if !s.tables.Load().up.has(p.number) {
		s.Look() // it has come up: the answers must find the way back
	}
	p.busy.Lock()
	defer p.busy.Unlock()
	t := s.tables.Load()
	var rx sum
	var tagged, untagged set
	for k := range batch {
		f, v := &batch[k], &p.what[k]
		rx.add(f)
		*v = decide(t, s.addresses, p.number, f, now)
		if v.why != Taken {
			p.refused[v.why].Add(1)
			continue
		}
		if v.hidden != 0 {
			s.hide(v.hidden)
		}
		tagged, untagged = tagged|v.tagged, untagged|v.untagged
	}
	p.received(rx)
	// A frame that leaves both ways has its tag put in for all of the one kind
	// and taken out for all of the other: twice at most, however many ports.
	if tagged != 0 {
		s.leave(p, batch, tagged, true)
	}
	if untagged != 0 {
		s.leave(p, batch, untagged, false)
	}
}

// leave sends frames by the ports out, with or without a tag.
func (s *Switch) leave(p *port, batch []Frame, out set, tagged bool) {
	for k := range batch {
		switch v := &p.what[k]; {
		case tagged && v.tagged != 0:
			if !batch[k].setTag(v.vlan) { // no headroom: the port breaks its promise
				s.hide(v.tagged)
				v.tagged = 0
			}
		case !tagged && v.untagged != 0:
			batch[k].dropTag()
		}
	}
	for _, to := range s.ports {
		if !out.has(to.number) {
			continue
		}
		n := 0
		for k := range batch {
			v := &p.what[k]
			if tagged && v.tagged.has(to.number) || !tagged && v.untagged.has(to.number) {
				p.out[n] = batch[k]
				n++
			}
		}
		if n > 0 {
			to.send(p.out[:n])
		}
	}
}

// hide counts a frame that does not leave by these ports although it should.
func (s *Switch) hide(from set) {
	for _, p := range s.ports {
		if from.has(p.number) {
			p.count.txDropped.Add(1)
		}
	}
}

// links asks all ports whether they are up.
func (s *Switch) links() (up set) {
	for _, p := range s.ports {
		up = up.with(p.number, p.up())
	}
	return up
}

// Look asks all ports for their links and takes over what has changed: a port
// whose link is gone is sent nothing, and the stations behind it are forgotten.
// It is to be called from time to time; a frame from a port that came up is
// noticed at once.
func (s *Switch) Look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.look()
	}
}

// look is Look with mu held.
func (s *Switch) look() {
	was, up := s.tables.Load().up, s.links()
	if was == up {
		return
	}
	s.exchange(func(t *tables) { t.up = up })
	s.addresses.forget(func(_ uint16, port int) bool { return (was &^ up).has(port) })
	select {
	case s.changes <- struct{}{}:
	default: // it has not been heard yet
	}
}

// exchange puts changed tables in place and waits until nothing is under way by
// the former ones. mu is held.
func (s *Switch) exchange(change func(t *tables)) {
	t := s.tables.Load().copy()
	change(t)
	s.tables.Store(t)
	for _, p := range s.ports {
		p.settle()
	}
}
