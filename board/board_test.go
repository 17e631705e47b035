package board

import (
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"spigate/hw"
)

func TestEveryBoardOfTheTableIsConsistent(t *testing.T) {
	device := regexp.MustCompile(`^[a-z][a-z0-9]{0,14}$`) // IFNAMSIZ is 16 with its zero
	name := regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	names, trees := map[string]bool{}, map[string]string{}
	for _, b := range Boards() {
		if !name.MatchString(b.Name) || names[b.Name] || b.Title == "" {
			t.Errorf("board %q (%s): a bad name, or one that is there twice, or no title", b.Name, b.Title)
		}
		names[b.Name] = true
		for _, c := range b.Compatible {
			if vendor, model, ok := strings.Cut(c, ","); !ok || vendor == "" || model == "" || trees[c] != "" {
				t.Errorf("%s: %q is no VENDOR,MODEL, or is %q's too", b.Name, c, trees[c])
			}
			trees[c] = b.Name
		}
		taken := map[string]bool{}
		for _, d := range devices(b) {
			if !device.MatchString(d) || taken[d] {
				t.Errorf("%s: device %q is no name for one, or is there twice", b.Name, d)
			}
			taken[d] = true
			if !b.Device(d) {
				t.Errorf("%s does not know its own %s", b.Name, d)
			}
		}
		if len(taken) > 0 && b.Device("nothing0") {
			t.Errorf("%s has a device that it has not", b.Name)
		}
		if !strings.HasPrefix(b.Flash.Dir, "/") || b.Flash.Bytes < 256*kiB {
			t.Errorf("%s: flash %+v", b.Name, b.Flash)
		}
		if b.Memory != Budget(b.RAM) {
			t.Errorf("%s: %+v is not the budget of %d bytes", b.Name, b.Memory, b.RAM)
		}
		if b.Switch != nil {
			checkSwitch(t, b)
		}
	}
}

func devices(b Board) []string {
	var out []string
	for _, p := range b.Ports {
		out = append(out, p.Device)
	}
	if b.Switch != nil {
		out = append(out, b.Switch.Conduits...)
		for _, p := range b.Switch.Ports {
			out = append(out, p.Name)
		}
	}
	return out
}

// checkSwitch holds the table against the driver's own view of a plan.
func checkSwitch(t *testing.T, b Board) {
	s, numbers := b.Switch, map[int]bool{}
	if len(s.Own) != len(s.Conduits) || len(s.Own) == 0 {
		t.Errorf("%s: ports %v of the chip for conduits %v", b.Name, s.Own, s.Conduits)
	}
	for _, n := range s.Own {
		numbers[n] = true
	}
	plan := hw.Plan{VLANs: []hw.VLAN{{ID: 1}}}
	for _, p := range s.Ports {
		// Chips of this family have seven ports.
		if p.Number < 0 || p.Number > 6 || numbers[p.Number] {
			t.Errorf("%s: port %s has number %d", b.Name, p.Name, p.Number)
		}
		numbers[p.Number] = true
		plan.VLANs[0].Untagged = append(plan.VLANs[0].Untagged, p.Name)
	}
	if err := plan.Check(s.Capabilities()); err != nil {
		t.Errorf("%s: all ports in one VLAN: %v", b.Name, err)
	}
	plan.VLANs[0].Tagged = []string{"lan9"}
	if err := plan.Check(s.Capabilities()); err == nil {
		t.Errorf("%s has a port lan9", b.Name)
	}
}

func proc(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestTheDeviceTreeTellsTheBoard(t *testing.T) {
	for _, c := range []struct{ tree, args, want string }{
		{"linux,dummy-virt\x00", "", "qemu-virt-arm"},
		{"cznic,turris-omnia\x00marvell,armada385\x00marvell,armada380\x00", "", "turris-omnia"},
		{"linksys,shelby\x00linksys,armada385\x00marvell,armada385\x00marvell,armada380\x00", "", "linksys-wrt1900acs"},
		{"linksys,caiman\x00linksys,armada385\x00marvell,armada385\x00", "", Generic}, // a sister with other ports
		{"linux,dummy-virt\x00", "console=ttyS0 spigate.board=turris-omnia quiet", "turris-omnia"},
		{"linux,dummy-virt\x00", "spigate.board=toaster", "qemu-virt-arm"},
		{"linux,dummy-virt", "", "qemu-virt-arm"}, // the last zero is missing
		{"linux,dummy-virtual\x00", "", Generic},
		{"", "", Generic},
		{"\x00\x00\x00", "", Generic},
		{"linux,dummy-virt " + strings.Repeat("x", 1<<20), "", Generic},
	} {
		if got := Detect(proc(map[string]string{"device-tree/compatible": c.tree, "cmdline": c.args})); got.Name != c.want {
			t.Errorf("%.60q with %q is %s, want %s", c.tree, c.args, got.Name, c.want)
		}
	}
	if got := Detect(fstest.MapFS{}); got.Name != Generic || got.Memory != plenty() {
		t.Errorf("a machine without a device tree is %+v", got)
	}
}

func TestTheBudgetIsOfTheMemoryThatIsThere(t *testing.T) {
	files := map[string]string{"device-tree/compatible": "cznic,turris-omnia\x00", "meminfo": "MemTotal:        2068340 kB\nMemFree:  1 kB\n"}
	if b := Detect(proc(files)); b.RAM != 2068340*kiB || b.Memory.Limit != 2068340*kiB/2 {
		t.Errorf("a 2 GB board has %d bytes, limit %d", b.RAM, b.Memory.Limit)
	}
	for _, text := range []string{"", "MemTotal:", "MemTotal: -5 kB\n", "MemTotal: 99999999999999999999 kB\n", "MemTotal: 9223372036854775807 kB\n", "MemTotal: 5 pages\n", "Mem"} {
		files["meminfo"] = text
		if b := Detect(proc(files)); b.RAM != giB {
			t.Errorf("meminfo %q: %d bytes", text, b.RAM)
		}
	}
}

func TestFindNamesTheBoardsThereAre(t *testing.T) {
	if b, err := Find("tap"); err != nil || b.Name != "tap" {
		t.Errorf("%+v, %v", b, err)
	}
	_, err := Find("toaster")
	if err == nil || !strings.Contains(err.Error(), "turris-omnia") {
		t.Errorf("an unknown board: %v", err)
	}
}

func FuzzDetect(f *testing.F) {
	f.Add([]byte("linux,dummy-virt\x00"), []byte("spigate.board=tap"), []byte("MemTotal: 110592 kB\n"))
	f.Add([]byte("\x00\x00a"), []byte("spigate.board="), []byte("MemTotal: 1"))
	f.Fuzz(func(t *testing.T, tree, args, memory []byte) {
		b := Detect(fstest.MapFS{"device-tree/compatible": {Data: tree}, "cmdline": {Data: args}, "meminfo": {Data: memory}})
		if _, err := Find(b.Name); err != nil || b.RAM < 0 || b.Memory != Budget(b.RAM) {
			t.Errorf("%+v: %v", b, err)
		}
	})
}
