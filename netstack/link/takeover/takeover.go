package takeover

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
)

// Config says where Take keeps what it needs to undo its changes.
type Config struct {
	// Dir holds a state file and a lock for each taken port. It should be on
	// a file system that does not outlive a boot, such as /run/spigate/ports.
	// It is made if it does not exist.
	Dir string
	Log *slog.Logger // nil: silent
}

// A Port is a device that was taken from the kernel.
type Port struct {
	device string
	link   netlink.Link
	log    *slog.Logger
	file   stateFile
	lock   *os.File
	state  state
}

// A step is one thing that is taken from the kernel. apply first notes in the
// state what is there, calls save, and then changes it; what the state already
// has from an earlier run is kept. undo puts back what the state has; it must
// bear being called after a half-done apply, or after none.
type step struct {
	name  string
	apply func(p *Port) error
	undo  func(p *Port) error
}

// steps returns the steps in the order of taking.
func steps() []step {
	return []step{
		{"drop", (*Port).addDrop, (*Port).removeDrop},
		{"addresses", (*Port).removeAddresses, (*Port).restoreAddresses},
		{"arp", (*Port).arpOff, (*Port).restoreARP},
		{"sysctl", (*Port).setSysctls, (*Port).restoreSysctls},
		{"offload", (*Port).offloadsOff, (*Port).restoreOffloads},
		{"up", (*Port).setUp, (*Port).restoreUp},
	}
}

// Take takes a device from the kernel. If a step fails, those before it are
// undone. It needs CAP_NET_ADMIN.
func Take(device string, c Config) (*Port, error) {
	p, err := take(device, c)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", device, err)
	}
	return p, nil
}

func take(device string, c Config) (*Port, error) {
	if device == "" || filepath.Base(device) != device {
		return nil, fmt.Errorf("not a device name")
	}
	p := &Port{device: device, log: c.Log, file: stateFile{dir: c.Dir, device: device}}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if p.link, err = findDevice(device); err != nil {
		return nil, err
	}
	if p.lock, err = p.file.acquire(); err != nil {
		return nil, err
	}
	if err := p.start(); err != nil {
		p.file.release(p.lock)
		return nil, err
	}
	return p, nil
}

// findDevice returns the device, or why it cannot be a port.
func findDevice(device string) (netlink.Link, error) {
	l, err := netlink.LinkByName(device)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, fmt.Errorf("no such device")
	}
	if err != nil {
		return nil, err
	}
	a := l.Attrs()
	if a.EncapType != "ether" {
		return nil, fmt.Errorf("not an Ethernet device but %q", a.EncapType)
	}
	if a.MasterIndex == 0 {
		return l, nil
	}
	master := fmt.Sprintf("number %d", a.MasterIndex)
	if m, err := netlink.LinkByIndex(a.MasterIndex); err == nil {
		master = m.Attrs().Name
	}
	return nil, fmt.Errorf("it is a member of %s; take it out first", master)
}

// start reads what an earlier run left and goes over the steps.
func (p *Port) start() error {
	here, err := identify(p.link)
	if err != nil {
		return err
	}
	old, err := p.file.read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		p.state = here
	case err != nil:
		// A file that cannot be read must not keep the router down: the port
		// is taken as it is.
		p.log.Warn("port state unreadable, ignored", "device", p.device, "err", err)
		p.state = here
	case !old.sameDevice(here):
		p.log.Warn("port state is of an earlier device of this name, ignored", "device", p.device)
		p.state = here
	default:
		p.log.Info("port was not given back, repairing", "device", p.device)
		p.state = old
	}
	for _, s := range steps() {
		if err := s.apply(p); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s.name, err), p.undo())
		}
	}
	return nil
}

// Restore gives the port back to the kernel as it was. It goes on after an
// error; the state file then stays for the next Take. A device that is gone
// needs nothing. Further calls do nothing.
func (p *Port) Restore() error {
	if p.lock == nil {
		return nil
	}
	err := p.undo()
	p.file.release(p.lock)
	p.lock = nil
	if err != nil {
		return fmt.Errorf("restore %s: %w", p.device, err)
	}
	return nil
}

// undo undoes all steps that the state knows of, backwards, and removes the
// state file if all went well.
func (p *Port) undo() error {
	if !p.present() {
		p.log.Info("port is gone, nothing to give back", "device", p.device)
		return p.file.remove()
	}
	var errs []error
	for _, s := range slices.Backward(steps()) {
		if err := s.undo(p); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return p.file.remove()
}

// present reports whether the device is still the one that was taken. Its
// name may have changed.
func (p *Port) present() bool {
	l, err := netlink.LinkByIndex(p.state.Index)
	if err != nil {
		return !errors.As(err, &netlink.LinkNotFoundError{})
	}
	p.link = l
	return true
}

// save writes the state file; steps call it before they change anything.
func (p *Port) save() error { return p.file.write(p.state) }

// name returns the device's present name, by which /proc and ethtool know it.
func (p *Port) name() string { return p.link.Attrs().Name }

// Device returns the name under which the port was taken.
func (p *Port) Device() string { return p.device }

// Index returns the kernel's number of the device.
func (p *Port) Index() int { return p.state.Index }

// HardwareAddr returns the device's MAC address.
func (p *Port) HardwareAddr() net.HardwareAddr { return p.link.Attrs().HardwareAddr }
