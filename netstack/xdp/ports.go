//go:build linux && !noxdp

package xdp

import (
	"fmt"
	"log/slog"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"spigate/netstack/frame"
)

// ports keeps a program on each port, as far as the kernel lets it.
//
// A program in one port's driver can send frames only to ports whose driver
// takes them. So the ports are of one kind: if one of them takes none, all go
// behind their drivers, from where any port can be sent to (unless the
// operator wants Native: then nothing is sent to that port).
type ports struct {
	mode Mode
	log  *slog.Logger
	list []*port

	// load makes a program for the port with this number and address.
	load func(number int, mac frame.MAC) (*ebpf.Program, error)
	// publish tells the programs which device has a number.
	publish func(number, ifindex int) error
	// pause is called before ports change: nothing may be forwarded until
	// check returns.
	pause func()

	demoted string // why all ports are generic, "" if they need not be
	netdev  uint16 // number of the kernel's netdev family, 0: not asked yet
	turns   int    // checks since the last attempt to attach
}

// retryTurns is how many checks lie at least between two attempts for a port
// that somebody else's program was on and is no more.
const retryTurns = 10

// A port is one port and what is on it.
type port struct {
	Port
	number int // as the programs know it

	dev     device // as of the last check
	missing string // why there is no dev
	prog    *ebpf.Program
	mac     frame.MAC // prog's
	index   int       // where prog is, or is to be
	link    link.Link // nil: off
	mode    Mode      // of link: Native or Generic
	why     string    // why it is not Native
	taken   bool      // because somebody else is there
	told    string    // what the log was told last
}

// check looks at all devices and puts programs where something has changed. It
// reports whether anything did.
func (s *ports) check() (changed bool) {
	s.turns++
	anew := false
	for _, p := range s.list {
		d, missing := s.look(p)
		same := missing == p.missing && d.takesTheSame(p.dev)
		changed = changed || !same || d.up != p.dev.up
		p.dev, p.missing = d, missing
		anew = anew || !same || p.lost()
	}
	if anew || s.turns >= retryTurns && s.someFree() {
		anew = true
		s.pause()
		s.turns = 0
		s.attachAll()
	}
	for _, p := range s.list {
		s.tell(p)
	}
	return changed || anew
}

// look is lookUp with a sentence instead of an error.
func (s *ports) look(p *port) (d device, missing string) {
	d, err := s.lookUp(p.Device)
	switch {
	case err != nil:
		return device{}, err.Error()
	case d.index == 0:
		return device{}, "no such device"
	case p.Index != 0 && d.index != p.Index:
		return device{}, "it is not the device that the router has opened: a restart takes it"
	}
	d.target = s.isTarget(p, d)
	return d, ""
}

// someFree reports whether somebody else's program has gone from a port.
func (s *ports) someFree() bool {
	for _, p := range s.list {
		if p.taken && !p.dev.loaded {
			return true
		}
	}
	return false
}

// lost reports whether the program has gone with the port's device, although
// there is one of the same number again.
func (p *port) lost() bool { return p.link != nil && !p.dev.loaded }

// attachAll puts every port into the best mode that all can be in.
func (s *ports) attachAll() {
	s.demoted = ""
	for _, p := range s.list {
		if p.lost() {
			p.remove()
		}
		p.why = s.attach(p)
	}
	s.askTargets()
	if s.demoted = s.noTarget(); s.demoted != "" {
		for _, p := range s.list {
			p.why = s.attach(p)
		}
		s.askTargets()
	}
}

// askTargets asks again who takes frames: some drivers do only with a program
// on them, and no more when it is gone.
func (s *ports) askTargets() {
	for _, p := range s.list {
		p.dev.target = p.dev.index != 0 && s.isTarget(p, p.dev)
	}
}

// noTarget returns why the ports cannot be native, or "".
func (s *ports) noTarget() string {
	if s.mode != Auto || !s.anyNative() {
		return ""
	}
	for _, p := range s.list {
		switch {
		case p.dev.index == 0 || p.dev.target:
		case p.dev.kind == "veth":
			return fmt.Sprintf("the other end of %s, a veth, has neither GRO nor XDP, and would lose frames", p.Device)
		default:
			return fmt.Sprintf("the driver of %s takes no frames from other ports' drivers", p.Device)
		}
	}
	return ""
}

func (s *ports) anyNative() bool {
	for _, p := range s.list {
		if p.link != nil && p.mode == Native {
			return true
		}
	}
	return false
}

// attach brings a port into its best mode and returns why that is not native.
func (s *ports) attach(p *port) (why string) {
	if p.missing != "" {
		p.remove()
		return p.missing
	}
	if err := s.prepare(p); err != nil {
		p.remove()
		return oneLine(err).Error()
	}
	native := s.mode == Native || s.mode == Auto && s.demoted == ""
	if p.link != nil && p.mode == Native && native {
		return ""
	}
	p.detach()
	why = s.demoted
	if native {
		err := p.put(Native)
		if err == nil {
			return ""
		}
		why = reason(err, p.dev)
		if s.mode == Native || p.taken {
			return why
		}
	}
	if err := p.put(Generic); err != nil {
		return reason(err, p.dev)
	}
	return why
}

// prepare gives a port its number's device, and a program with its address.
func (s *ports) prepare(p *port) error {
	mac := p.MAC
	if mac == (frame.MAC{}) {
		mac = p.dev.mac
	}
	if p.index != p.dev.index {
		p.detach()
		if err := s.publish(p.number, p.dev.index); err != nil {
			return fmt.Errorf("device map: %w", err)
		}
		p.index = p.dev.index
	}
	if p.prog != nil && p.mac == mac {
		return nil
	}
	p.remove()
	prog, err := s.load(p.number, mac)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	p.prog, p.mac, p.index = prog, mac, p.dev.index
	return nil
}

// put attaches the program. The link is not pinned: when the process ends,
// however it ends, the kernel takes the program off.
func (p *port) put(m Mode) error {
	flags := link.XDPDriverMode
	if m == Generic {
		flags = link.XDPGenericMode
	}
	l, err := link.AttachRawLink(link.RawLinkOptions{
		Target: p.dev.index, Program: p.prog, Attach: ebpf.AttachXDP, Flags: uint32(flags),
	})
	p.taken = foreign(err)
	if err != nil {
		return err
	}
	p.link, p.mode = l, m
	return nil
}

// detach takes the program off the port.
func (p *port) detach() {
	if p.link != nil {
		_ = p.link.Close()
		p.link = nil
	}
}

// remove takes the program off and gives it back.
func (p *port) remove() {
	p.detach()
	p.taken = false
	if p.prog != nil {
		_ = p.prog.Close()
		p.prog = nil
	}
	p.index = 0
}

func (s *ports) close() {
	for _, p := range s.list {
		p.remove()
	}
}

// reaches reports whether packets can be sent to the port.
func (s *ports) reaches(p *port) bool {
	return p.dev.index != 0 && p.index == p.dev.index && p.dev.up && (p.dev.target || !s.anyNative())
}

// status is what p does, in a word.
func (p *port) status() PortStatus {
	st := PortStatus{Name: p.Name, Mode: "off", Why: p.why}
	if p.link == nil {
		return st
	}
	st.Mode = p.mode.String()
	if p.unfinished() {
		if st.Why != "" {
			st.Why += "; "
		}
		st.Why += "hosts there leave checksums to their hardware, so only ESP is taken"
	}
	return st
}

// unfinished reports whether the port has senders whose checksums the program
// would spoil.
func (p *port) unfinished() bool { return p.Unfinished != nil && p.Unfinished() != 0 }

// tell writes a line when what a port does has changed.
func (s *ports) tell(p *port) {
	st := p.status()
	now := st.Mode + " " + st.Why
	if now == p.told {
		return
	}
	p.told = now
	switch {
	case p.link == nil:
		s.log.Warn("no XDP on port, its packets take the slower path", "port", p.Name, "why", st.Why)
	case st.Why != "":
		s.log.Info("XDP on port", "port", p.Name, "mode", st.Mode, "why", st.Why)
	default:
		s.log.Info("XDP on port", "port", p.Name, "mode", st.Mode)
	}
}
