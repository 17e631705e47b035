package wire

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"

	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// world is a router with the networks around it: the far end of each port is
// in our hands, and time moves only by hand. What goes in has come out when
// send returns.
type world struct {
	config  *configs.Config
	next    string // the configuration for "restart next"
	router  *netstack.Router
	clock   *clock
	drops   *drop.Counters
	log     *logLines
	ports   []*port
	hosts   map[string]*host
	numbers map[string]uint16       // ports and IP identifications that a script has named
	named   map[string]conversation // packets that a script has named

	stated map[string]uint64 // drops that the script has accounted for
	last   *line             // the last action
	begun  bool              // there was an action since the last "counters"
	mark   int               // log lines before this one were asked for
	hits   uint64            // of the flow table before the last packet
}

// clock is hand-moved; its wall time may jump, its monotonic time does not.
type clock struct {
	*faketime.ManualClock
	jump time.Duration
}

// Now implements tcpip.Clock.
func (c *clock) Now() time.Time { return c.ManualClock.Now().Add(c.jump) }

// port is a port of the router, seen from outside.
type port struct {
	name      string
	near, far *link.Memory
	router    frame.Addr // the router's address there
	came      []arrival  // not yet expected
}

// arrival is a packet that the router has sent.
type arrival struct {
	to     frame.MAC
	packet []byte
}

// host is a station, or an address behind one.
type host struct {
	name  string
	addr  frame.Addr
	port  *port
	via   *host // nil: on the port's own network
	known bool  // the router has heard of it by ARP
}

func (h *host) mac() frame.MAC {
	if h.via != nil {
		return h.via.mac()
	}
	return frame.MAC{6, 0, h.addr[0], h.addr[1], h.addr[2], h.addr[3]}
}

func newWorld(c *configs.Config) (*world, error) {
	w := &world{
		config: c, clock: &clock{ManualClock: faketime.NewManualClock()}, drops: &drop.Counters{}, log: &logLines{},
		hosts: map[string]*host{}, numbers: map[string]uint16{}, named: map[string]conversation{}, stated: map[string]uint64{},
	}
	for _, p := range c.Ports {
		w.ports = append(w.ports, &port{name: p.Name, router: routerAddr(c, p)})
	}
	return w, w.boot()
}

func routerAddr(c *configs.Config, p *configs.Port) frame.Addr {
	for _, v := range c.VLANs {
		if v.Port == p && len(v.Addresses) > 0 {
			return addr(v.Addresses[0].Addr())
		}
	}
	return frame.Addr{}
}

// boot builds the router, as the daemon does, over new links.
func (w *world) boot() error {
	var drivers []link.Driver
	for i, p := range w.ports {
		p.near, p.far = link.NewPair(frame.MAC{2, 0, 0, 0, 0, byte(i + 1)}, frame.MAC{2, 0, 0, 0, 1, byte(i + 1)}, 1500)
		drivers = append(drivers, p.near)
	}
	rc := routerConfig(w.config, drivers)
	rc.Clock, rc.Drops, rc.Log = w.clock, w.drops, slog.New(w.log)
	draw := uint32(0)
	rc.LSN.Rand = func(n uint32) uint32 { draw += 7919; return draw % n } // the same in every run
	r, err := netstack.New(rc)
	if err != nil {
		return err
	}
	w.router = r
	for _, h := range w.hosts {
		h.known = false
	}
	return nil
}

func (w *world) close() error {
	w.router.Close()
	for _, p := range w.ports {
		if err := p.near.Close(); err != nil {
			return err
		}
	}
	return nil
}

// port returns a port by its name in the configuration.
func (w *world) port(name string) (*port, error) {
	for _, p := range w.ports {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no port is called %q", name)
}

// meet lets the router learn a host's MAC address, as its first ARP request
// would.
func (w *world) meet(h *host) {
	if h.via != nil {
		w.meet(h.via)
		return
	}
	if h.known {
		return
	}
	h.known = true
	w.input(h.port, arp(1, h, h.port.router, frame.MAC{255, 255, 255, 255, 255, 255}, frame.MAC{}))
	w.collect()
}

// send gives the router a packet that h puts on the wire.
func (w *world) send(h *host, packet []byte) {
	mac, to := h.mac(), h.port.near.MAC()
	b := append(append(append([]byte{}, to[:]...), mac[:]...), 8, 0)
	w.input(h.port, append(b, packet...))
	w.collect()
}

func (w *world) input(p *port, ethernet []byte) {
	for i := range w.ports {
		if w.ports[i] == p {
			w.router.Port(i).Input([]frame.Frame{frame.Copy(ethernet, 0)})
		}
	}
}

// collect takes what the router has sent, and answers its ARP requests, until
// it is silent.
func (w *world) collect() {
	for again := true; again; {
		again = false
		for _, p := range w.ports {
			for _, f := range p.far.Drain() {
				again = true
				w.arrive(p, f)
			}
		}
	}
}

func (w *world) arrive(p *port, ethernet []byte) {
	if len(ethernet) < frame.HeaderLen {
		return
	}
	body := ethernet[frame.HeaderLen:]
	switch binary.BigEndian.Uint16(ethernet[12:]) {
	case frame.TypeIPv4:
		p.came = append(p.came, arrival{frame.MAC(ethernet[:6]), body})
	case frame.TypeARP:
		w.answerARP(p, body)
	}
}

// answerARP answers a request for a host of the script. Others have no such
// luck.
func (w *world) answerARP(p *port, b []byte) {
	if len(b) < 28 || binary.BigEndian.Uint16(b[6:]) != 1 {
		return
	}
	for _, h := range w.hosts {
		if h.port == p && h.via == nil && h.addr == frame.Addr(b[24:28]) {
			asker := frame.MAC(b[8:14])
			w.input(p, arp(2, h, frame.Addr(b[14:18]), asker, asker))
		}
	}
}

// arp makes a frame with h's request for (op 1) or answer to (op 2) an address.
func arp(op byte, h *host, about frame.Addr, to, target frame.MAC) []byte {
	mac := h.mac()
	b := append(append(append([]byte{}, to[:]...), mac[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, op)
	b = append(append(b, mac[:]...), h.addr[:]...)
	return append(append(b, target[:]...), about[:]...)
}

// step is how far time moves at most before ARP is answered: a neighbour that
// is silent for three seconds is taken for dead.
const step = time.Second

// advance moves the clock.
func (w *world) advance(d time.Duration) {
	for d > 0 {
		w.clock.Advance(min(d, step))
		w.collect()
		d -= step
	}
}
