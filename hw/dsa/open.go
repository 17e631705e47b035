package dsa

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"spigate/hw"
)

// Port is a port of the switch.
type Port struct {
	Name   string // as the configuration calls it
	Device string // as the kernel does: "lan1"
}

// Config says which devices are a switch. Opening needs CAP_NET_ADMIN.
type Config struct {
	Bridge string           // the bridge to make: the router's own port
	MAC    net.HardwareAddr // of the bridge; nil: that of the first port
	Ports  []Port           // in order
	Ageing time.Duration    // after which an address is forgotten; 0: as it is
	MTU    int              // of IP on all ports, in bytes, from the beginning; 0: as it is
}

// maxDevice is the kernel's IFNAMSIZ without the zero at the end.
const maxDevice = 15

// check returns all that is wrong with the words of a configuration.
func (c Config) check() error {
	var faults []error
	seen := map[string]string{}
	device := func(whose, name string) {
		switch {
		case name == "" || len(name) > maxDevice || strings.ContainsAny(name, "/ :\t\n") || name == "." || name == "..":
			faults = append(faults, fmt.Errorf("%s: %q is no name of a device", whose, name))
		case seen[name] != "":
			faults = append(faults, fmt.Errorf("%s: device %s is %s already", whose, name, seen[name]))
		default:
			seen[name] = whose
		}
	}
	device("the router's port", c.Bridge)
	names := map[string]bool{c.Bridge: true}
	for _, p := range c.Ports {
		device("port "+p.Name, p.Device)
		if p.Name == "" || names[p.Name] {
			faults = append(faults, fmt.Errorf("port %q is there twice, or has no name", p.Name))
		}
		names[p.Name] = true
	}
	switch {
	case len(c.Ports) == 0:
		faults = append(faults, errors.New("a switch needs a port"))
	case c.MAC != nil && (len(c.MAC) != 6 || c.MAC[0]&1 != 0):
		faults = append(faults, fmt.Errorf("%v is no address of one device", c.MAC))
	case c.Ageing < 0 || c.MTU < 0:
		faults = append(faults, fmt.Errorf("ageing %v, mtu %d: neither can be negative", c.Ageing, c.MTU))
	}
	return errors.Join(faults...)
}

// Capabilities is what is known of the switch without asking the kernel. The
// router's port has the name of the bridge.
func Capabilities(c Config) hw.Capabilities {
	out := hw.Capabilities{Driver: "dsa", Chip: "a switch of the kernel", Ports: []hw.Port{{Name: c.Bridge, CPU: true}}}
	for _, p := range c.Ports {
		out.Ports = append(out.Ports, hw.Port{Name: p.Name})
	}
	return out
}

// chip implements hw.Chip. That it is a Remover too is held here: who opens it
// asks for that, and without it the bridge would stay after the router's end.
type chip struct {
	conf    Config
	caps    hw.Capabilities
	kernel  *kernel // nil: closed
	made    bool    // the bridge, by this opening
	watch   *watch
	changes chan struct{}
}

var (
	_ hw.Notifier = (*chip)(nil)
	_ hw.Remover  = (*chip)(nil)
)

// Open makes the bridge, or takes over one that an earlier run of the router has
// left, and puts the ports into it; what passes there goes on passing. A device
// that is not there is an error that wraps hw.ErrSilent: its driver may come
// later.
//
// The chip is an hw.Remover: Remove takes the bridge away and gives the ports
// back as they were. Close leaves all as it is.
func Open(c Config) (hw.Chip, error) {
	s, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("switch %s: %w", c.Bridge, err)
	}
	return s, nil
}

func open(c Config) (*chip, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	k, err := openKernel()
	if err != nil {
		return nil, err
	}
	s := &chip{conf: c, caps: Capabilities(c), kernel: k, changes: make(chan struct{}, 1)}
	if err := s.start(); err != nil {
		// What this start has made is taken back, or the ports would be off and in
		// nobody's hands. What another run has left goes on as it is.
		if s.made {
			err = errors.Join(err, s.Remove())
		}
		k.close()
		return nil, err
	}
	return s, nil
}

func (s *chip) start() error {
	if err := s.takeBridge(); err != nil {
		return err
	}
	if err := s.Prepare(); err != nil {
		return err
	}
	ports, err := s.ports()
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := s.limit(p); err != nil {
			return err
		}
	}
	s.caps.Chip = chipName(os.DirFS("/sys/bus"), ports)
	if s.conf.MTU != 0 {
		if err := s.SetMTU(s.conf.MTU); err != nil {
			return err
		}
	}
	s.watch, err = startWatch(s.changes)
	return err
}

// limit takes the limits of a port and of its conduit over.
func (s *chip) limit(p *link) error {
	conduit, err := s.conduit(p)
	if err != nil {
		return err
	}
	for _, l := range []*link{p, conduit} {
		if l != nil && l.maxMTU != 0 && (s.caps.MaxMTU == 0 || l.maxMTU < s.caps.MaxMTU) {
			s.caps.MaxMTU = l.maxMTU
		}
	}
	return nil
}

// Capabilities implements hw.Chip.
func (s *chip) Capabilities() hw.Capabilities { return s.caps }

// Changes implements hw.Notifier.
func (s *chip) Changes() <-chan struct{} { return s.changes }

// Close implements hw.Chip. The kernel goes on switching.
func (s *chip) Close() error {
	if s.kernel == nil {
		return nil
	}
	s.watch.close()
	s.kernel.close()
	s.kernel = nil
	return nil
}

// device returns the kernel's name of a port.
func (s *chip) device(port string) (string, error) {
	if port == s.conf.Bridge {
		return port, nil
	}
	i := slices.IndexFunc(s.conf.Ports, func(p Port) bool { return p.Name == port })
	if i < 0 {
		return "", fmt.Errorf("switch %s has no port %q", s.conf.Bridge, port)
	}
	return s.conf.Ports[i].Device, nil
}

// isCPU reports whether a port is the router's own.
func (s *chip) isCPU(port string) bool { return port == s.conf.Bridge }

// get returns the device of a port.
func (s *chip) get(port string) (*link, error) {
	name, err := s.device(port)
	if err != nil {
		return nil, err
	}
	return s.kernel.link(name)
}

// ports returns the devices of all ports but the router's, in order.
func (s *chip) ports() ([]*link, error) {
	out := make([]*link, len(s.conf.Ports))
	var faults []error
	for i, p := range s.conf.Ports {
		var err error
		if out[i], err = s.kernel.link(p.Device); err != nil {
			faults = append(faults, err)
		}
	}
	return out, errors.Join(faults...)
}
