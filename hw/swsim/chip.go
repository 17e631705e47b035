package swsim

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"time"

	"spigate/hw"
)

// The least and the greatest MTU, in bytes, that an Ethernet device of the
// kernel has (ETH_MIN_MTU, ETH_MAX_MTU).
const (
	minMTU = 68
	maxMTU = 65535
)

// Limits returns what a switch with these ports can do, the router's own named
// cpu. mtu is the most that its ports can pass, in bytes of IP.
func Limits(cpu string, ports []string, mtu int) hw.Capabilities {
	c := hw.Capabilities{Driver: "soft", Chip: "software switch", Untagged: 1, MaxMTU: mtu}
	for _, name := range ports {
		c.Ports = append(c.Ports, hw.Port{Name: name, CPU: name == cpu})
	}
	return c
}

// Capabilities implements hw.Chip.
func (s *Switch) Capabilities() hw.Capabilities {
	c := s.caps
	c.Ports = slices.Clone(c.Ports)
	return c
}

// open takes mu, unless the switch is closed.
func (s *Switch) open() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("switch %s is closed: %w", s.name, hw.ErrSilent)
	}
	return nil
}

// port returns a port by name, with mu taken.
func (s *Switch) port(name string) (*port, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	p, ok := s.byName[name]
	if !ok {
		s.mu.Unlock()
		return nil, fmt.Errorf("switch %s has no port %s", s.name, name)
	}
	return p, nil
}

// Prepare implements hw.Chip: VLANs are obeyed from the beginning.
func (s *Switch) Prepare() error {
	if err := s.open(); err != nil {
		return err
	}
	s.mu.Unlock()
	return nil
}

// Table implements hw.Chip.
func (s *Switch) Table() (hw.Table, error) {
	if err := s.open(); err != nil {
		return hw.Table{}, err
	}
	defer s.mu.Unlock()
	t := s.tables.Load()
	out := hw.Table{PVID: map[string]uint16{}, On: map[string]bool{}, MTU: t.mtu}
	for i := range t.rows {
		if r := &t.rows[i]; r.members() != 0 {
			out.VLANs = append(out.VLANs, hw.VLAN{ID: r.id, Tagged: s.names(r.tagged), Untagged: s.names(r.untagged)})
		}
	}
	sort.Slice(out.VLANs, func(i, j int) bool { return out.VLANs[i].ID < out.VLANs[j].ID })
	for _, p := range s.ports {
		if id := t.pvid[p.number]; id != 0 {
			out.PVID[p.Name] = id
		}
		if t.on.has(p.number) {
			out.On[p.Name] = true
		}
	}
	return out, nil
}

// names are those of the ports in a set, sorted.
func (s *Switch) names(of set) (out []string) {
	for _, p := range s.ports {
		if of.has(p.number) {
			out = append(out, p.Name)
		}
	}
	slices.Sort(out)
	return out
}

// SetVLAN implements hw.Chip.
func (s *Switch) SetVLAN(v hw.VLAN) error {
	if err := s.open(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if v.ID == 0 || v.ID > hw.MaxVLAN {
		return fmt.Errorf("VLAN %d is not between 1 and %d", v.ID, hw.MaxVLAN)
	}
	r := row{id: v.ID}
	var err error
	if r.tagged, err = s.members(v.Tagged); err != nil {
		return err
	}
	if r.untagged, err = s.members(v.Untagged); err != nil {
		return err
	}
	if both := r.tagged & r.untagged; both != 0 {
		return fmt.Errorf("VLAN %d: %v cannot be tagged and untagged", v.ID, s.names(both))
	}
	s.exchange(func(t *tables) { t.set(r) })
	s.addresses.forget(func(vlan uint16, port int) bool { return vlan == r.id && !r.members().has(port) })
	return nil
}

func (s *Switch) members(names []string) (out set, err error) {
	for _, name := range names {
		p, ok := s.byName[name]
		if !ok {
			return 0, fmt.Errorf("switch %s has no port %s", s.name, name)
		}
		out |= one(p.number)
	}
	return out, nil
}

// RemoveVLAN implements hw.Chip.
func (s *Switch) RemoveVLAN(id uint16) error {
	if err := s.open(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if id == 0 || id > hw.MaxVLAN {
		return fmt.Errorf("VLAN %d is not between 1 and %d", id, hw.MaxVLAN)
	}
	s.exchange(func(t *tables) { t.remove(id) })
	s.addresses.forget(func(vlan uint16, _ int) bool { return vlan == id })
	return nil
}

// SetPVID implements hw.Chip.
func (s *Switch) SetPVID(name string, vlan uint16) error {
	p, err := s.port(name)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if vlan > hw.MaxVLAN {
		return fmt.Errorf("VLAN %d is greater than %d", vlan, hw.MaxVLAN)
	}
	s.exchange(func(t *tables) { t.pvid[p.number] = vlan })
	return nil
}

// SetPort implements hw.Chip.
func (s *Switch) SetPort(name string, on bool) error {
	p, err := s.port(name)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.exchange(func(t *tables) { t.on = t.on.with(p.number, on) })
	return nil
}

// SetMTU implements hw.Chip.
func (s *Switch) SetMTU(mtu int) error {
	if err := s.open(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if mtu < minMTU || mtu > s.caps.MaxMTU {
		return fmt.Errorf("mtu %d is not between %d and %d", mtu, minMTU, s.caps.MaxMTU)
	}
	s.exchange(func(t *tables) { t.mtu = mtu })
	return nil
}

// Flush implements hw.Chip.
func (s *Switch) Flush(name string) error {
	p, err := s.port(name)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.addresses.forget(func(_ uint16, port int) bool { return port == p.number })
	return nil
}

// Links implements hw.Chip. A port in software has no speed.
func (s *Switch) Links() ([]hw.Link, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	s.look()
	t := s.tables.Load()
	out := make([]hw.Link, 0, len(s.ports))
	for _, p := range s.ports {
		up := t.up.has(p.number)
		out = append(out, hw.Link{Port: p.Name, Up: up, Duplex: up})
	}
	return out, nil
}

// Counters implements hw.Chip.
func (s *Switch) Counters() ([]hw.Counters, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]hw.Counters, 0, len(s.ports))
	for _, p := range s.ports {
		c := hw.Counters{
			Port: p.Name, RxFrames: p.count.rxFrames.Load(), RxBytes: p.count.rxBytes.Load(),
			TxFrames: p.count.txFrames.Load(), TxBytes: p.count.txBytes.Load(), TxDropped: p.count.txDropped.Load(),
		}
		c.RxErrors, c.RxDropped = p.Lost()
		for why := Taken + 1; why < reasons; why++ {
			if n := p.refused[why].Load(); why.malformed() {
				c.RxErrors += n
			} else {
				c.RxDropped += n
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// Changes implements hw.Notifier.
func (s *Switch) Changes() <-chan struct{} { return s.changes }

// Close ends the switch: it closes all ports. A second call does nothing.
func (s *Switch) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.changes)
	var errs []error
	for _, p := range s.ports {
		if err := p.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("port %s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Refused returns how many frames were not taken at a port, for one reason.
func (s *Switch) Refused(name string, why Why) uint64 {
	if p, ok := s.byName[name]; ok && why < reasons {
		return p.refused[why].Load()
	}
	return 0
}

// Station is a station that the switch knows of.
type Station struct {
	VLAN uint16
	MAC  [6]byte
	Port string
	Age  time.Duration // since a frame of it was noted
}

// Stations returns the stations that are not forgotten, by VLAN and address.
func (s *Switch) Stations() (out []Station) {
	s.addresses.each(s.now(), func(vlan uint16, a address, port int, age int64) {
		out = append(out, Station{VLAN: vlan, MAC: a.bytes(), Port: s.ports[port].Name, Age: time.Duration(max(0, age))})
	})
	slices.SortFunc(out, func(a, b Station) int {
		return cmp.Or(cmp.Compare(a.VLAN, b.VLAN), slices.Compare(a.MAC[:], b.MAC[:]))
	})
	return out
}

// Learning is what the address table has counted since the beginning.
type Learning struct {
	Moves   uint64 // stations that came up at another port before they were forgotten
	Evicted uint64 // stations that made way for others
}

// Learning returns the counters of the address table.
func (s *Switch) Learning() Learning {
	return Learning{Moves: s.addresses.moves.Load(), Evicted: s.addresses.evicted.Load()}
}
