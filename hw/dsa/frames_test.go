package dsa

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/hw"
	"spigate/hw/hwtest"
	"spigate/netstack/link/takeover"
)

// TestFramesGoWhereTheTableSays sends a frame of each VLAN, and one without a
// tag, into each port, the router's too, and compares where they come out with
// what the table says.
func TestFramesGoWhereTheTableSays(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	s := b.open(t, config())
	hosts := map[string]*host{}
	apply := func(p hw.Plan) {
		t.Helper()
		if _, err := hw.Apply(s, p); err != nil {
			t.Fatal(err)
		}
	}
	apply(mixed())
	hosts["br-sw0"] = newHost(t, b.near, "br-sw0")
	for i := 1; i <= 4; i++ {
		hosts[fmt.Sprint("lan", i)] = newHost(t, b.far, fmt.Sprint("c", i))
	}
	b.compare(t, s, hosts)
	// The router takes the bridge as any device, its drop of the kernel's traffic
	// included, and a firewall for bridged frames refuses all.
	var port *takeover.Port
	in(t, b.near, func() (err error) {
		port, err = takeover.Take("br-sw0", takeover.Config{Dir: t.TempDir()})
		return err
	})
	b.compare(t, s, hosts)
	in(t, b.near, port.Restore)
	apply(hw.Plan{VLANs: []hw.VLAN{{ID: 20, Untagged: []string{"lan1", "lan4"}, Tagged: []string{"lan2"}}, {ID: 30, Untagged: []string{"lan2"}}}})
	b.compare(t, s, hosts)
}

// compare sends and listens; a frame's text is its port and its tag.
func (b *bed) compare(t *testing.T, s hw.Chip, hosts map[string]*host) {
	t.Helper()
	table, err := s.Table()
	must(t, err)
	reach := hwtest.ReachOf(table)
	want, got := map[string][]string{}, map[string][]string{}
	b.settle(t, table)
	for _, h := range hosts {
		h.hear() // what was there before
	}
	for name := range hosts {
		for i, tag := range []uint16{0, 10, 20, 30, 40, 99} {
			text := fmt.Sprintf("%s/%d", name, tag)
			hosts[name].send(frame(byte(len(hosts)*i+int(name[len(name)-1])), tag, text))
			for _, o := range reach(name, tag) {
				want[text] = append(want[text], fmt.Sprintf("%s/%d", o.Port, o.Tag))
			}
		}
	}
	for name, h := range hosts {
		for text, tag := range h.hear() {
			got[text] = append(got[text], fmt.Sprintf("%s/%d", name, tag))
		}
	}
	for _, m := range []map[string][]string{want, got} {
		for text := range m {
			slices.Sort(m[text])
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("frames (-as the table says +as they went):\n%s", d)
	}
	if len(want) < 5 {
		t.Errorf("only %d frames would go anywhere", len(want))
	}
}

func TestAddressesAreForgottenAtThePortAlone(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	s := b.open(t, config())
	_, err := hw.Apply(s, hw.Plan{VLANs: []hw.VLAN{{ID: 20, Untagged: []string{"lan1", "lan2", "lan3"}}}})
	must(t, err)
	one, two, three := newHost(t, b.far, "c1"), newHost(t, b.far, "c2"), newHost(t, b.far, "c3")
	one.send(frame(1, 0, "hello"))
	two.send(frame(2, 0, "hello"))
	to := func(host byte, text string) []byte {
		f := frame(3, 0, text)
		copy(f, net.HardwareAddr{2, 0, 0, 0, 0, host})
		return f
	}
	one.hear()
	two.hear()
	three.send(to(1, "known"))
	if _, got := two.hear()["known"]; got {
		t.Error("an address that was learned is not known")
	}
	must(t, s.Flush("lan1"))
	three.send(to(1, "forgotten"))
	if _, got := two.hear()["forgotten"]; !got {
		t.Error("an address that was forgotten is known")
	}
	three.send(to(2, "other"))
	if _, got := one.hear()["other"]; got {
		t.Error("another port's address was forgotten, too")
	}
}

func TestSpeedAndCounters(t *testing.T) {
	b := newBed(t)
	if b == nil {
		return
	}
	s := b.open(t, config())
	_, err := hw.Apply(s, mixed())
	must(t, err)
	links, err := s.Links()
	must(t, err)
	if l := links[1]; !l.Up || l.Speed != 10000 || !l.Duplex {
		t.Errorf("%+v; veth is said to have 10 Gbit/s", l)
	}
	router, one := newHost(t, b.near, "br-sw0"), newHost(t, b.far, "c1")
	before, err := s.Counters()
	must(t, err)
	for range 7 {
		one.send(frame(1, 0, "up"))
	}
	for range 3 {
		router.send(frame(9, 10, "down"))
	}
	router.hear()
	after, err := s.Counters()
	must(t, err)
	got := func(i int) [2]uint64 {
		return [2]uint64{after[i].RxFrames - before[i].RxFrames, after[i].TxFrames - before[i].TxFrames}
	}
	if cpu, lan1 := got(0), got(1); cpu != [2]uint64{3, 7} || lan1 != [2]uint64{7, 3} {
		t.Errorf("in and out of the chip: router's port %v, want 3 and 7; lan1 %v, want 7 and 3", cpu, lan1)
	}
}
