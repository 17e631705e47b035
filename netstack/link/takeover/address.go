package takeover

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A netState is what the kernel's IP knew of the device.
type netState struct {
	Addresses  []message `json:"addresses"`
	Routes     []message `json:"routes"`
	Neighbours []message `json:"neighbours"`
}

// routePasses bounds how often routes that are still missing are tried again:
// a gateway may be reached by another of them.
const routePasses = 4

// removeAddresses removes the device's addresses. With the last one the kernel
// removes the routes to the device; those that stay are removed too, as they
// would lead into the drop.
func (p *Port) removeAddresses() error {
	now, err := p.readNet()
	if err != nil {
		return err
	}
	if p.state.Addresses == nil {
		p.state.Addresses = &netState{}
	}
	// What is there now was not put there by us, even after a kill: somebody
	// added it meanwhile.
	old := p.state.Addresses
	old.Addresses = union(old.Addresses, now.Addresses)
	old.Routes = union(old.Routes, now.Routes)
	old.Neighbours = union(old.Neighbours, now.Neighbours)
	if err := p.save(); err != nil {
		return err
	}
	for _, a := range now.Addresses {
		if err := send(unix.RTM_DELADDR, 0, a.Data); err != nil && !gone(err) {
			return fmt.Errorf("remove address %s: %w", a.Text, err)
		}
	}
	return p.removeRoutes()
}

// removeRoutes removes the routes that have survived their addresses. Of a
// route with several paths the kernel keeps those through other devices.
func (p *Port) removeRoutes() error {
	left, err := routes(p.state.Index)
	if err != nil {
		return err
	}
	for _, r := range left {
		a, err := attrs(r.Data, unix.SizeofRtMsg)
		if err != nil {
			return err
		}
		if a[unix.RTA_MULTIPATH] != nil {
			continue
		}
		if err := send(unix.RTM_DELROUTE, 0, r.Data); err != nil && !gone(err) {
			return fmt.Errorf("remove route %s: %w", r.Text, err)
		}
	}
	return nil
}

func (p *Port) readNet() (s netState, err error) {
	if s.Addresses, err = addresses(p.state.Index); err != nil {
		return s, err
	}
	if s.Routes, err = routes(p.state.Index); err != nil {
		return s, err
	}
	s.Neighbours, err = neighbours(p.state.Index)
	return s, err
}

// union returns old with what is only in now.
func union(old, now []message) []message {
	seen := make(map[string]bool, len(old))
	for _, m := range old {
		seen[m.Text] = true
	}
	for _, m := range now {
		if !seen[m.Text] {
			old = append(old, m)
		}
	}
	return old
}

// restoreAddresses makes addresses, then routes, then neighbours again.
func (p *Port) restoreAddresses() error {
	old := p.state.Addresses
	if old == nil {
		return nil
	}
	errs := createAll(unix.RTM_NEWADDR, "address", old.Addresses)
	errs = append(errs, p.restoreRoutes(old.Routes)...)
	errs = append(errs, createAll(unix.RTM_NEWNEIGH, "neighbour", old.Neighbours)...)
	return errors.Join(errs...)
}

func createAll(msgType int, what string, list []message) (errs []error) {
	for _, m := range list {
		if err := create(msgType, m.Data); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", what, m.Text, err))
		}
	}
	return errs
}

// restoreRoutes adds the routes that are missing. The kernel keeps none while
// a device is down.
func (p *Port) restoreRoutes(list []message) (errs []error) {
	if p.state.Up != nil && !*p.state.Up {
		return nil
	}
	for range routePasses {
		errs = nil
		var missing []message
		for _, r := range list {
			if err := create(unix.RTM_NEWROUTE, r.Data); err != nil {
				missing = append(missing, r)
				errs = append(errs, fmt.Errorf("route %s: %w", r.Text, err))
			}
		}
		if len(missing) == 0 {
			return nil
		}
		list = missing
	}
	return errs
}

// arpOff makes the kernel neither ask nor answer on the device.
func (p *Port) arpOff() error {
	if p.state.ARP == nil {
		on := p.link.Attrs().RawFlags&unix.IFF_NOARP == 0
		p.state.ARP = &on
		if err := p.save(); err != nil {
			return err
		}
	}
	return netlink.LinkSetARPOff(p.link)
}

func (p *Port) restoreARP() error {
	if p.state.ARP == nil || !*p.state.ARP {
		return nil
	}
	return netlink.LinkSetARPOn(p.link)
}

// setUp sets the device administratively up: last, when nothing of the
// kernel's is left on it.
func (p *Port) setUp() error {
	if p.state.Up == nil {
		up := p.link.Attrs().RawFlags&unix.IFF_UP != 0
		p.state.Up = &up
		if err := p.save(); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(p.link)
}

func (p *Port) restoreUp() error {
	if p.state.Up == nil || *p.state.Up {
		return nil
	}
	return netlink.LinkSetDown(p.link)
}
