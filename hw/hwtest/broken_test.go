package hwtest_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"spigate/hw"
	"spigate/hw/hwtest"
)

// broken is a chip whose driver does something wrong: each field that is set
// replaces what a Fake does.
type broken struct {
	*hwtest.Fake
	caps     func(hw.Capabilities) hw.Capabilities
	prepare  func(f *hwtest.Fake) error
	table    func(t hw.Table) hw.Table
	set      func(f *hwtest.Fake, v hw.VLAN) error
	remove   func(f *hwtest.Fake, id uint16) error
	pvid     func(f *hwtest.Fake, port string, id uint16) error
	port     func(f *hwtest.Fake, port string, on bool) error
	mtu      func(f *hwtest.Fake, mtu int) error
	flush    func(f *hwtest.Fake, port string) error
	links    func(l []hw.Link) []hw.Link
	counters func(f *hwtest.Fake, c []hw.Counters) []hw.Counters
	close    func(f *hwtest.Fake) error
}

func (b *broken) Capabilities() hw.Capabilities {
	if b.caps != nil {
		return b.caps(b.Fake.Capabilities())
	}
	return b.Fake.Capabilities()
}

func (b *broken) Prepare() error {
	if b.prepare != nil {
		return b.prepare(b.Fake)
	}
	return b.Fake.Prepare()
}

func (b *broken) Table() (hw.Table, error) {
	t, err := b.Fake.Table()
	if b.table != nil && err == nil {
		t = b.table(t)
	}
	return t, err
}

func (b *broken) SetVLAN(v hw.VLAN) error {
	if b.set != nil {
		return b.set(b.Fake, v)
	}
	return b.Fake.SetVLAN(v)
}

func (b *broken) RemoveVLAN(id uint16) error {
	if b.remove != nil {
		return b.remove(b.Fake, id)
	}
	return b.Fake.RemoveVLAN(id)
}

func (b *broken) SetPVID(port string, id uint16) error {
	if b.pvid != nil {
		return b.pvid(b.Fake, port, id)
	}
	return b.Fake.SetPVID(port, id)
}

func (b *broken) SetPort(port string, on bool) error {
	if b.port != nil {
		return b.port(b.Fake, port, on)
	}
	return b.Fake.SetPort(port, on)
}

func (b *broken) SetMTU(mtu int) error {
	if b.mtu != nil {
		return b.mtu(b.Fake, mtu)
	}
	return b.Fake.SetMTU(mtu)
}

func (b *broken) Flush(port string) error {
	if b.flush != nil {
		return b.flush(b.Fake, port)
	}
	return b.Fake.Flush(port)
}

func (b *broken) Links() ([]hw.Link, error) {
	l, err := b.Fake.Links()
	if b.links != nil && err == nil {
		l = b.links(l)
	}
	return l, err
}

func (b *broken) Counters() ([]hw.Counters, error) {
	c, err := b.Fake.Counters()
	if b.counters != nil && err == nil {
		c = b.counters(b.Fake, c)
	}
	return c, err
}

func (b *broken) Close() error {
	if b.close != nil {
		return b.close(b.Fake)
	}
	return b.Fake.Close()
}

// swap exchanges two ports' names.
func swap(names []string) []string {
	out := slices.Clone(names)
	for i, n := range out {
		switch n {
		case "lan1":
			out[i] = "lan2"
		case "lan2":
			out[i] = "lan1"
		}
	}
	return out
}

// row is what a Fake has for an id.
func row(f *hwtest.Fake, id uint16) hw.VLAN {
	t, _ := f.Table()
	for _, v := range t.VLANs {
		if v.ID == id {
			return v
		}
	}
	return hw.VLAN{ID: id}
}

// without is names less those that are in others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(others, n) })
}

const walk, astray = "from plan to plan", "from plan to plan no frame goes astray"

// wrong is a fault of a driver, and the tests that must find it.
type wrong struct {
	chip  broken
	found []string
}

func one(tests ...string) []string { return tests }

func wrongRows() map[string]wrong {
	return map[string]wrong{
		"forgets PVIDs": {broken{pvid: func(*hwtest.Fake, string, uint16) error { return nil }},
			one("frames without tag: each port has its own VLAN", walk)},
		"sets the PVID of all ports": {broken{pvid: func(f *hwtest.Fake, _ string, id uint16) error {
			return errors.Join(f.SetPVID("lan1", id), f.SetPVID("lan2", id), f.SetPVID("lan3", id), f.SetPVID("lan4", id))
		}}, one("frames without tag: each port has its own VLAN", walk)},
		"does not take PVIDs away": {broken{pvid: func(f *hwtest.Fake, p string, id uint16) error {
			if id == 0 {
				return nil
			}
			return f.SetPVID(p, id)
		}}, one("frames without tag: each port has its own VLAN", walk)},
		"mixes ports of rows up": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			return f.SetVLAN(hw.VLAN{ID: v.ID, Tagged: swap(v.Tagged), Untagged: swap(v.Untagged)})
		}}, one("every pattern of members is read back", "a row is set, replaced, removed and read back")},
		"adds members and takes none away": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			was := row(f, v.ID)
			v.Tagged = append(without(was.Tagged, slices.Concat(v.Tagged, v.Untagged)), v.Tagged...)
			v.Untagged = append(without(was.Untagged, slices.Concat(v.Tagged, v.Untagged)), v.Untagged...)
			return f.SetVLAN(v)
		}}, one("a row is set, replaced, removed and read back", "every pattern of members is read back", walk)},
		"sends all with tags": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			return f.SetVLAN(hw.VLAN{ID: v.ID, Tagged: slices.Concat(v.Tagged, v.Untagged)})
		}}, one("a row is set, replaced, removed and read back")},
		"knows eight bits of an id": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			v.ID &= 0xff
			return f.SetVLAN(v)
		}}, one("a row is set, replaced, removed and read back", "ids that do not exist are refused and change nothing")},
		"takes 4095": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			if v.ID == 4095 {
				return nil
			}
			return f.SetVLAN(v)
		}}, one("ids that do not exist are refused and change nothing")},
		"takes ports that it has not got": {broken{port: func(f *hwtest.Fake, p string, on bool) error {
			_ = f.SetPort(p, on)
			return nil
		}}, one("ports that do not exist are refused and change nothing", "after close nothing answers")},
		"sets half a row before it refuses": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			err := f.SetVLAN(v)
			if err != nil && !errors.Is(err, hw.ErrSilent) {
				_ = f.SetVLAN(hw.VLAN{ID: v.ID, Tagged: v.Tagged[:1]})
			}
			return err
		}}, one("ports that do not exist are refused and change nothing")},
		"keeps rows that were removed": {broken{remove: func(f *hwtest.Fake, id uint16) error { _, err := f.Table(); return err }},
			one("a row is set, replaced, removed and read back", walk)},
		"refuses to remove what is not there": {broken{remove: func(f *hwtest.Fake, id uint16) error {
			if len(row(f, id).Tagged) == 0 {
				return errors.New("no such row")
			}
			return f.RemoveVLAN(id)
		}}, one("a row is set, replaced, removed and read back")},
	}
}

func wrongElsewhere() map[string]wrong {
	return map[string]wrong{
		"turns ports on only": {broken{port: func(f *hwtest.Fake, p string, on bool) error {
			return f.SetPort(p, true)
		}}, one("each port is turned on and off by itself", walk)},
		"begins anew in prepare": {broken{prepare: func(f *hwtest.Fake) error {
			f.Reset()
			return f.Prepare()
		}}, one("prepare keeps what is there")},
		"opens all ports in prepare": {broken{prepare: func(f *hwtest.Fake) error {
			return errors.Join(f.SetPort("lan3", true), f.Prepare())
		}}, one("prepare keeps what is there", walk)},
		"replaces a row by removing it first": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			return errors.Join(f.RemoveVLAN(v.ID), f.SetVLAN(v))
		}}, one(astray)},
		"opens a row to all for a moment": {broken{set: func(f *hwtest.Fake, v hw.VLAN) error {
			all := hw.VLAN{ID: v.ID, Tagged: []string{"cpu", "lan1", "lan2", "lan3", "lan4"}}
			if err := f.SetVLAN(v); err != nil {
				return err
			}
			return errors.Join(f.SetVLAN(all), f.SetVLAN(v))
		}}, one(astray)},
		"does not obey VLANs for a moment": {broken{flush: func(f *hwtest.Fake, p string) error {
			t, _ := f.Table()
			f.Reset()
			for _, v := range t.VLANs {
				_ = f.SetVLAN(v)
			}
			_ = f.Prepare()
			for _, p := range f.Capabilities().Ports {
				_ = f.SetPVID(p.Name, t.PVID[p.Name])
				_ = f.SetPort(p.Name, t.On[p.Name])
			}
			return f.Flush(p)
		}}, one(astray)},
		"forgets rows with addresses": {broken{flush: func(f *hwtest.Fake, p string) error {
			return errors.Join(f.Flush(p), f.RemoveVLAN(20))
		}}, one("addresses are forgotten and nothing else")},
		"has rows in no order": {broken{table: func(t hw.Table) hw.Table {
			slices.Reverse(t.VLANs)
			return t
		}}, one("a row is set, replaced, removed and read back")},
		"shows empty rows": {broken{table: func(t hw.Table) hw.Table {
			t.VLANs = append(t.VLANs, hw.VLAN{ID: hw.MaxVLAN})
			return t
		}}, one("a row is set, replaced, removed and read back")},
		"rounds the mtu": {broken{mtu: func(f *hwtest.Fake, mtu int) error { return f.SetMTU(max(mtu, 1500)) }},
			one("the mtu is set and read back")},
		"cuts an mtu that is too great": {broken{mtu: func(f *hwtest.Fake, mtu int) error { return f.SetMTU(min(mtu, 2000)) }},
			one("the mtu is set and read back")},
		"has two ports of the router": {broken{caps: func(c hw.Capabilities) hw.Capabilities {
			c.Ports = slices.Clone(c.Ports)
			c.Ports[4].CPU = true
			return c
		}}, one("capabilities are sane")},
		"has a name twice": {broken{caps: func(c hw.Capabilities) hw.Capabilities {
			c.Ports = slices.Clone(c.Ports)
			c.Ports[4].Name = "lan1"
			return c
		}}, one("capabilities are sane")},
		"mixes links up": {broken{links: func(l []hw.Link) []hw.Link {
			l[1], l[2] = l[2], l[1]
			return l
		}}, one("links have a row for each port")},
		"has all links up": {broken{links: func(l []hw.Link) []hw.Link {
			for i := range l {
				l[i] = hw.Link{Port: l[i].Port, Up: true}
			}
			return l
		}}, one("links have a row for each port")},
		"counts backwards": {broken{counters: func(f *hwtest.Fake, c []hw.Counters) []hw.Counters {
			c[3].RxBytes = 1000 - uint64(len(f.Log("counters")))
			return c
		}}, one("counters have a row for each port and never fall")},
		"leaves a port out": {broken{counters: func(_ *hwtest.Fake, c []hw.Counters) []hw.Counters { return c[1:] }},
			one("counters have a row for each port and never fall")},
		"answers after close": {broken{close: func(*hwtest.Fake) error { return nil }}, one("after close nothing answers")},
	}
}

// TestABrokenChipIsFound: a suite that finds nothing wrong with these would be
// worth nothing.
func TestABrokenChipIsFound(t *testing.T) {
	all := wrongRows()
	maps.Copy(all, wrongElsewhere())
	for name, wrong := range all {
		t.Run(name, func(t *testing.T) {
			o := hwtest.Options{
				Open: func(testing.TB) hw.Chip {
					b := wrong.chip
					b.Fake = hwtest.NewFake(hwtest.Small())
					return &b
				},
				SetLink: func(c hw.Chip, port string, up bool) { c.(*broken).SetLink(port, up) },
				Observe: func(c hw.Chip, step func(string, hwtest.Reach)) {
					f := c.(*broken).Fake
					f.Observe(func(op string) { step(op, f.Reach()) })
				},
			}
			failures := hwtest.Failures(o)
			for _, test := range wrong.found {
				if len(failures[test]) == 0 {
					t.Errorf("%q finds nothing; found by %q", test, slices.Sorted(maps.Keys(failures)))
				}
			}
		})
	}
}

func TestAWholeChipHasNoFailures(t *testing.T) {
	failures := hwtest.Failures(hwtest.Options{Open: func(testing.TB) hw.Chip { return &broken{Fake: hwtest.NewFake(hwtest.Small())} }})
	if len(failures) != 0 {
		t.Error(failures)
	}
}
