package hwtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"spigate/hw"
)

// Fake is a chip in memory that obeys its table at once and has faults on
// request (see faults.go). Safe for use by several goroutines.
type Fake struct {
	caps   hw.Capabilities
	memory *memory
	mu     *sync.Mutex // the memory's; it holds for all below, too
	closed bool
	faults faults
	log    []string
	change chan struct{}
}

// memory is what a chip keeps while no driver has it open.
type memory struct {
	mu       sync.Mutex
	rows     map[uint16]hw.VLAN
	pvid     map[string]uint16
	on       map[string]bool
	mtu      int
	obeys    bool // VLANs: after Prepare
	links    map[string]hw.Link
	counters map[string]hw.Counters
}

// NewFake returns a chip as after power-on: it has no rows, all ports are on,
// and it sends everything everywhere until Prepare. All links are up.
func NewFake(c hw.Capabilities) *Fake {
	m := &memory{links: map[string]hw.Link{}, counters: map[string]hw.Counters{}}
	m.power(c)
	for _, p := range c.Ports {
		m.links[p.Name] = hw.Link{Port: p.Name, Up: true, Speed: 1000, Duplex: true}
		m.counters[p.Name] = hw.Counters{Port: p.Name}
	}
	return &Fake{caps: c, memory: m, mu: &m.mu, change: make(chan struct{}, 1)}
}

// Reopen returns a driver of the same chip that knows nothing: a restart.
func (f *Fake) Reopen() *Fake {
	return &Fake{caps: f.caps, memory: f.memory, mu: f.mu, change: make(chan struct{}, 1)}
}

// Small is a chip with the router's port cpu and lan1 to lan4, 64 rows and an
// MTU of up to 2000 bytes.
func Small() hw.Capabilities {
	return hw.Capabilities{
		Driver: "fake", Chip: "fake revision 1", VLANs: 64, Untagged: 1, MaxMTU: 2000,
		Ports: []hw.Port{{Name: "cpu", CPU: true}, {Name: "lan1"}, {Name: "lan2"}, {Name: "lan3"}, {Name: "lan4"}},
	}
}

func (m *memory) power(c hw.Capabilities) {
	m.rows, m.pvid, m.on = map[uint16]hw.VLAN{}, map[string]uint16{}, map[string]bool{}
	m.mtu, m.obeys = 1500, false
	for _, p := range c.Ports {
		m.on[p.Name] = true
	}
}

// Capabilities implements hw.Chip.
func (f *Fake) Capabilities() hw.Capabilities { return f.caps }

// Prepare implements hw.Chip.
func (f *Fake) Prepare() error {
	return f.write("prepare", func() error { return nil }, func(m *memory) { m.obeys = true })
}

// Table implements hw.Chip.
func (f *Fake) Table() (t hw.Table, err error) {
	err = f.read("table", func(m *memory) { t = m.table() })
	return t, err
}

func (m *memory) table() hw.Table {
	t := hw.Table{PVID: maps.Clone(m.pvid), On: maps.Clone(m.on), MTU: m.mtu}
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		v := m.rows[id]
		t.VLANs = append(t.VLANs, hw.VLAN{ID: id, Tagged: slices.Clone(v.Tagged), Untagged: slices.Clone(v.Untagged)})
	}
	return t
}

// SetVLAN implements hw.Chip.
func (f *Fake) SetVLAN(v hw.VLAN) error {
	v = hw.VLAN{ID: v.ID, Tagged: slices.Sorted(slices.Values(v.Tagged)), Untagged: slices.Sorted(slices.Values(v.Untagged))}
	members := slices.Concat(v.Tagged, v.Untagged)
	check := func() error {
		if err := f.id(v.ID); err != nil {
			return err
		}
		if err := f.known(members...); err != nil {
			return err
		}
		if _, there := f.memory.rows[v.ID]; !there && f.caps.VLANs != 0 && len(f.memory.rows) >= f.caps.VLANs && len(members) != 0 {
			return fmt.Errorf("the table is full: it has %d rows", f.caps.VLANs)
		}
		return f.untagged(v)
	}
	return f.write(fmt.Sprintf("set %d tagged %v untagged %v", v.ID, v.Tagged, v.Untagged), check, func(m *memory) {
		m.rows[v.ID] = v
		if len(members) == 0 {
			delete(m.rows, v.ID)
		}
	})
}

// untagged refuses what the chip's limit of VLANs without tag forbids.
func (f *Fake) untagged(v hw.VLAN) error {
	for _, name := range v.Untagged {
		n := 1
		for id, row := range f.memory.rows {
			if id != v.ID && slices.Contains(row.Untagged, name) {
				n++
			}
		}
		if f.caps.Untagged != 0 && n > f.caps.Untagged {
			return fmt.Errorf("port %s can send %d VLANs without tag, and this is one more", name, f.caps.Untagged)
		}
	}
	return nil
}

// RemoveVLAN implements hw.Chip.
func (f *Fake) RemoveVLAN(id uint16) error {
	return f.write(fmt.Sprintf("remove %d", id), func() error { return nil }, func(m *memory) { delete(m.rows, id) })
}

// SetPVID implements hw.Chip.
func (f *Fake) SetPVID(port string, vlan uint16) error {
	check := func() error {
		if vlan == 0 {
			return f.known(port)
		}
		if err := f.id(vlan); err != nil {
			return err
		}
		return f.known(port)
	}
	return f.write(fmt.Sprintf("pvid %s %d", port, vlan), check, func(m *memory) {
		m.pvid[port] = vlan
		if vlan == 0 {
			delete(m.pvid, port)
		}
	})
}

// SetPort implements hw.Chip.
func (f *Fake) SetPort(port string, on bool) error {
	return f.write(fmt.Sprintf("port %s %v", port, on), func() error { return f.known(port) }, func(m *memory) { m.on[port] = on })
}

// SetMTU implements hw.Chip.
func (f *Fake) SetMTU(mtu int) error {
	check := func() error {
		if mtu < 68 || f.caps.MaxMTU != 0 && mtu > f.caps.MaxMTU {
			return fmt.Errorf("mtu %d: it can be 68 to %d", mtu, f.caps.MaxMTU)
		}
		return nil
	}
	return f.write(fmt.Sprintf("mtu %d", mtu), check, func(m *memory) { m.mtu = mtu })
}

// Flush implements hw.Chip.
func (f *Fake) Flush(port string) error {
	return f.write("flush "+port, func() error { return f.known(port) }, func(*memory) {})
}

// Links implements hw.Chip.
func (f *Fake) Links() (out []hw.Link, err error) {
	err = f.read("links", func(m *memory) {
		for _, p := range f.caps.Ports {
			out = append(out, m.links[p.Name])
		}
	})
	return out, err
}

// Counters implements hw.Chip.
func (f *Fake) Counters() (out []hw.Counters, err error) {
	err = f.read("counters", func(m *memory) {
		for _, p := range f.caps.Ports {
			out = append(out, m.counters[p.Name])
		}
	})
	return out, err
}

// Close implements hw.Chip.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		close(f.change)
	}
	f.closed = true
	return nil
}

func (f *Fake) id(id uint16) error {
	if id < lowest(f.caps) || id > hw.MaxVLAN {
		return fmt.Errorf("VLAN %d: there are %d to %d", id, lowest(f.caps), hw.MaxVLAN)
	}
	return nil
}

func (f *Fake) known(names ...string) error {
	for _, name := range names {
		if !slices.ContainsFunc(f.caps.Ports, func(p hw.Port) bool { return p.Name == name }) {
			return fmt.Errorf("there is no port %q", name)
		}
	}
	return nil
}
