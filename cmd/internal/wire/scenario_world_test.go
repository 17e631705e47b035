package wire

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
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
	next    string  // the configuration for "restart next", "reload" and "apply"
	daemon  *Daemon // of "apply" and its like; nil before the first
	chassis *netstack.Chassis
	clock   *clock
	drops   *drop.Counters
	log     *logLines
	cables  []*cable
	ports   []*port
	hosts   map[string]*host
	numbers map[string]uint16       // ports and IP identifications that a script has named
	named   map[string]conversation // packets that a script has named

	stated map[string]uint64 // drops that the script has accounted for
	last   *line             // the last action
	begun  bool              // there was an action since the last "counters"
	mark   int               // log lines before this one were asked for
	hits   uint64            // of the flow table before the last packet
	wrap   func(near *link.Memory) link.Driver
}

// clock is hand-moved; its wall time may jump, its monotonic time does not.
type clock struct {
	*faketime.ManualClock
	jump time.Duration
}

// Now implements tcpip.Clock.
func (c *clock) Now() time.Time { return c.ManualClock.Now().Add(c.jump) }

// cable is at a port of the configuration; the far end is ours.
type cable struct{ near, far *link.Memory }

// port is an interface of the router, seen from outside: an untagged one has
// the name of its port, a tagged one that of its VLAN.
type port struct {
	name   string
	cable  int // which
	tag    uint16
	domain uint16
	router frame.Addr // the router's address there
	came   []arrival  // not yet expected
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

func newWorld(c *configs.Config) (*world, error) { return newWrappedWorld(c, nil) }

// newWrappedWorld is newWorld with drivers around the router's ends of the links.
func newWrappedWorld(c *configs.Config, wrap func(near *link.Memory) link.Driver) (*world, error) {
	w := &world{
		wrap:   wrap,
		config: c, clock: &clock{ManualClock: faketime.NewManualClock()}, drops: &drop.Counters{}, log: &logLines{},
		hosts: map[string]*host{}, numbers: map[string]uint16{}, named: map[string]conversation{}, stated: map[string]uint64{},
	}
	for _, v := range c.VLANs {
		p := &port{name: v.Name, cable: slices.Index(c.Ports, v.Port), tag: v.ID, domain: v.Domain}
		if v.ID == 0 {
			p.name = v.Port.Name
		}
		if len(v.Addresses) > 0 {
			p.router = addr(v.Addresses[0].Addr())
		}
		w.ports = append(w.ports, p)
	}
	return w, w.boot()
}

// boot builds the router, as the daemon does, over new links.
func (w *world) boot() error {
	var drivers []link.Driver
	w.cables = nil
	for i := range w.config.Ports {
		c := &cable{}
		c.near, c.far = link.NewPair(frame.MAC{2, 0, 0, 0, 0, byte(i + 1)}, frame.MAC{2, 0, 0, 0, 1, byte(i + 1)}, 1500)
		w.cables = append(w.cables, c)
		if w.wrap != nil {
			drivers = append(drivers, w.wrap(c.near))
		} else {
			drivers = append(drivers, c.near)
		}
	}
	shared, routers := chassisConfig(w.config, drivers)
	shared.Clock, shared.Drops, shared.Log = w.clock, w.drops, slog.New(w.log)
	for i := range routers {
		draw := uint32(0)
		routers[i].LSN.Rand = func(n uint32) uint32 { draw += 7919; return draw % n } // the same in every run
	}
	ch, err := netstack.NewChassis(shared, routers)
	if err != nil {
		return err
	}
	w.chassis = ch
	for _, h := range w.hosts {
		h.known = false
	}
	return nil
}

func (w *world) close() error {
	w.chassis.Close()
	for _, c := range w.cables {
		if err := c.near.Close(); err != nil {
			return err
		}
	}
	return nil
}

// port returns a port by its name, see there.
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
	mac, to := h.mac(), w.cables[h.port.cable].near.MAC()
	b := append(append(append([]byte{}, to[:]...), mac[:]...), 8, 0)
	w.input(h.port, append(b, packet...))
	w.collect()
}

func (w *world) input(p *port, ethernet []byte) {
	w.chassis.Port(p.cable).Input([]frame.Frame{frame.Copy(ethernet, p.tag)})
}

// collect takes what the router has sent, and answers its ARP requests, until
// it is silent.
func (w *world) collect() {
	for again := true; again; {
		again = false
		for i, c := range w.cables {
			for _, b := range c.far.Drain() {
				again = true
				w.arrive(i, b)
			}
		}
	}
}

func (w *world) arrive(cable int, b []byte) {
	if len(b) < frame.HeaderLen {
		return
	}
	f := frame.Copy(b, 0)
	f.StripTag()
	at := slices.IndexFunc(w.ports, func(p *port) bool { return p.cable == cable && p.tag == f.VLAN })
	if at < 0 {
		panic(fmt.Sprintf("a frame left cable %d with the tag %d", cable, f.VLAN))
	}
	p, ethernet := w.ports[at], f.Bytes()
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
