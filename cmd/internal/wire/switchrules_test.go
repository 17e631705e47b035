package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spigate/configs"
	"spigate/hw"
)

// fileWriter writes a configuration with switches. Now and then it writes a
// name, a number or an id that is somebody else's: of such files many are
// refused, and some are not.
type fileWriter struct {
	*rapid.T
	strings.Builder
}

// either returns right, and once in fifteen times one of the others.
func either[V any](w *fileWriter, right V, others ...V) V {
	if rapid.IntRange(0, 14).Draw(w.T, "odd") != 0 {
		return right
	}
	return rapid.SampledFrom(others).Draw(w.T, "other")
}

func (w *fileWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func drawFile(t *rapid.T) string {
	w := &fileWriter{T: t}
	w.line("version = 1")
	n := rapid.IntRange(1, 3).Draw(t, "switches")
	for i := range n {
		w.aSwitch(i)
	}
	return w.String()
}

// aSwitch writes a switch with its port of the router, its ports and its VLANs.
func (w *fileWriter) aSwitch(n int) {
	driver := rapid.SampledFrom([]string{"dsa", "soft", "qca8337", "ar8327"}).Draw(w.T, "driver")
	if w.line("[port.lan%d]", n); either(w, driver, "soft", "dsa") == "soft" {
		w.line("driver = \"switch\"")
	} else {
		w.line("driver = %q\ndevice = %q", either(w, "raw", "tap"), either(w, fmt.Sprint("eth", n), "eth0", "a0", fmt.Sprint("lan", n)))
	}
	w.line("[switch.s%d]\ndriver = %q\ncpu_port = %q", n, driver, either(w, fmt.Sprint("lan", n), "lan0"))
	chip := driver == "qca8337" || driver == "ar8327"
	if chip {
		w.line("cpu_number = %d", either(w, 0, 6, 5))
	}
	var names []string
	for i := range rapid.IntRange(1, 4).Draw(w.T, "ports") {
		names = append(names, fmt.Sprintf("%c%d", 'a'+i, either(w, n, 0)))
	}
	names = append(names, either(w, fmt.Sprint("e", n), "eth0", "cpu", "lan0", "lan1"))
	slices.Sort(names)
	names = slices.Compact(names)
	for i, name := range names {
		switch {
		case chip:
			w.line("[switch.s%d.port.%s]\nnumber = %d", n, name, either(w, i+1, 0, 1, 6, 7))
		case driver == "soft":
			w.line("[switch.s%d.port.%s]\ndriver = \"tap\"\ndevice = %q", n, name, either(w, "t-"+name, "eth0", "a0"))
		case n == 0: // a kernel switch with tables; others have none
			w.line("[switch.s%d.port.%s]", n, name)
		}
	}
	w.vlans(n, names)
}

func (w *fileWriter) vlans(n int, names []string) {
	free := slices.Clone(names) // of VLANs without tag
	for id := range rapid.IntRange(0, 3).Draw(w.T, "vlans") {
		var tagged, untagged []string
		for _, name := range names {
			at := slices.Index(free, name)
			role := rapid.IntRange(0, 2).Draw(w.T, "role")
			if role == 1 {
				tagged = append(tagged, fmt.Sprintf("%q", name))
			}
			if role == 2 && at >= 0 || either(w, false, true) {
				untagged = append(untagged, fmt.Sprintf("%q", name))
			}
			if role == 2 && at >= 0 {
				free = slices.Delete(free, at, at+1)
			}
		}
		w.line("[vlan.v%d-%d]\nid = %d\nswitch = \"s%d\"\nuntagged = [%s]\ntagged = [%s]", n, id,
			either(w, id+1, 1, 0, 4095, 4094), either(w, n, 0), strings.Join(untagged, ", "), strings.Join(tagged, ", "))
	}
}

// knownPorts are the capabilities of any chip that has the ports of a switch:
// with the words that the drivers give the router's own.
func knownPorts(sw *configs.Switch, own string) hw.Capabilities {
	c := hw.Capabilities{Chip: "a chip", Ports: []hw.Port{{Name: own, CPU: true}}}
	for _, p := range sw.Ports {
		c.Ports = append(c.Ports, hw.Port{Name: p.Name})
	}
	return c
}

// TestNoDriverRefusesWhatTheFileMaySay: a configuration that is checked has
// nothing left that a plan for its switches could be refused for, but a chip's
// own limits.
func TestNoDriverRefusesWhatTheFileMaySay(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawFile(t)
		c, _, err := configs.Parse("f", []byte(text))
		if err != nil {
			return
		}
		accepted++
		if faults := checkSwitches(c); len(faults) > 0 {
			t.Fatalf("%v\n%s", faults, text)
		}
		for _, sw := range c.Switches {
			own := sw.CPUPort.Name
			if sw.Driver == configs.SwitchDSA {
				own = sw.CPUPort.Device
			}
			if err := plan(c, sw).Check(knownPorts(sw, own)); err != nil {
				t.Fatalf("%s: %v\n%s", sw.Name, err, text)
			}
			if err := checkChip(sw); err != nil {
				t.Fatalf("%s: %v\n%s", sw.Name, err, text)
			}
			for _, p := range sw.Ports {
				if slices.ContainsFunc(c.Ports, func(own *configs.Port) bool { return p.Device != "" && own.Device == p.Device }) {
					t.Fatalf("%s: %s is the device of a port of the router, too\n%s", sw.Name, p.Device, text)
				}
			}
		}
		for _, v := range c.VLANs {
			if v.Switch != nil && v.Port != v.Switch.CPUPort {
				t.Fatalf("%s is on a port that its switch is not at\n%s", v.Name, text)
			}
		}
	})
	if accepted == 0 {
		t.Error("every configuration was refused: nothing was tested")
	}
}

// checkChip asks the driver of a chip over MDIO about its ports.
func checkChip(sw *configs.Switch) error {
	if sw.MDIO == "" {
		return nil
	}
	return registers(sw).Check()
}
