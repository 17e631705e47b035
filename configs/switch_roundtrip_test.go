package configs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestASwitchThatIsWrittenDownIsReadAsItWas draws switches with VLANs on them,
// writes them as TOML and reads them.
func TestASwitchThatIsWrittenDownIsReadAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawSwitches(t)
		text := written(want)
		c, _, err := Parse("f", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		options := cmp.Options{sameConfig(), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Port{}, "Ring")}
		if diff := cmp.Diff(want.Switches, c.Switches, options); diff != "" {
			t.Fatalf("switches (-want +got):\n%s\n%s", diff, text)
		}
		if diff := cmp.Diff(want.VLANs, c.VLANs, options); diff != "" {
			t.Fatalf("VLANs (-want +got):\n%s\n%s", diff, text)
		}
	})
}

// drawSwitches makes switches of any driver, with ports, and VLANs that have
// some of them.
func drawSwitches(t *rapid.T) *Config {
	c := &Config{}
	for n := range rapid.IntRange(1, 4).Draw(t, "switches") {
		d := rapid.SampledFrom([]SwitchDriver{SwitchDSA, SwitchSoft, SwitchQCA8337, SwitchAR8327}).Draw(t, "driver")
		cpu := &Port{Name: fmt.Sprint("to ", n), Device: fmt.Sprint("eth", n)}
		if d == SwitchSoft {
			cpu.Driver, cpu.Device = DriverSwitch, ""
		}
		s := &Switch{Name: fmt.Sprint("s.", n), Driver: d, CPUPort: cpu, MTU: rapid.SampledFrom([]int{0, 576, 9216}).Draw(t, "mtu")}
		if d.overMDIO() {
			s.CPUNumber = rapid.SampledFrom([]int{0, 6}).Draw(t, "cpu number")
			s.MDIO = rapid.SampledFrom([]string{cpu.Device, fmt.Sprint("mdio", n)}).Draw(t, "bus")
		} else {
			s.Ageing = rapid.SampledFrom([]span{{otherwise: 5 * 60e9}, {otherwise: 10e9}}).Draw(t, "ageing").otherwise
		}
		for i := range rapid.IntRange(1, 5).Draw(t, "ports") {
			s.Ports = append(s.Ports, drawPort(t, d, n, i))
		}
		c.Switches = append(c.Switches, s)
		c.VLANs = append(c.VLANs, drawVLANs(t, s)...)
	}
	return c
}

func drawPort(t *rapid.T, d SwitchDriver, n, i int) *SwitchPort {
	p := &SwitchPort{Name: fmt.Sprintf("%c%d", "zyxwv"[i], n)}
	switch {
	case d.overMDIO():
		p.Number = i + 1
	case d == SwitchSoft:
		p.Device = fmt.Sprintf("d%d-%d", n, i)
		p.Driver = rapid.SampledFrom([]Driver{DriverRaw, DriverTAP}).Draw(t, "port driver")
	default:
		p.Device = rapid.SampledFrom([]string{p.Name, fmt.Sprintf("d%d-%d", n, i)}).Draw(t, "device")
	}
	return p
}

func drawVLANs(t *rapid.T, s *Switch) (out []*VLAN) {
	pvid := map[string]bool{}
	for _, id := range rapid.SliceOfNDistinct(rapid.Uint16Range(1, 4094), 0, 4, rapid.ID[uint16]).Draw(t, "ids") {
		v := &VLAN{Name: fmt.Sprint("v", id, " of ", s.Name), ID: id, Port: s.CPUPort, Switch: s}
		for _, p := range s.Ports {
			switch role := rapid.IntRange(0, 2).Draw(t, "role"); {
			case role == 1:
				v.Tagged = append(v.Tagged, p.Name)
			case role == 2 && !pvid[p.Name]:
				pvid[p.Name] = true
				v.Untagged = append(v.Untagged, p.Name)
			}
		}
		out = append(out, v)
	}
	return out
}

// written is c as its user would write it: nothing that is a default.
func written(c *Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("version = 1")
	for _, s := range c.Switches {
		if line("[port.%q]\ndriver = %q", s.CPUPort.Name, s.CPUPort.Driver); s.CPUPort.Device != "" {
			line("device = %q", s.CPUPort.Device)
		}
		line("[switch.%q]\ndriver = %q\ncpu_port = %q", s.Name, s.Driver, s.CPUPort.Name)
		if s.MTU != 0 {
			line("mtu = %d", s.MTU)
		}
		if s.Ageing == 10e9 {
			line(`ageing = "10s"`)
		}
		if s.MDIO != "" && s.MDIO != s.CPUPort.Device {
			line("mdio = %q", s.MDIO)
		}
		if s.CPUNumber != 0 {
			line("cpu_number = %d", s.CPUNumber)
		}
		for _, p := range s.Ports {
			writePort(line, s, p)
		}
	}
	for _, v := range c.VLANs {
		line("[vlan.%q]\nswitch = %q\nid = %d\nuntagged = [%s]\ntagged = [%s]", v.Name, v.Switch.Name, v.ID, quotedList(v.Untagged), quotedList(v.Tagged))
	}
	return b.String()
}

func writePort(line func(string, ...any), s *Switch, p *SwitchPort) {
	line("[switch.%q.port.%s]", s.Name, p.Name)
	switch {
	case s.Driver.overMDIO():
		line("number = %d", p.Number)
	case s.Driver == SwitchSoft:
		line("driver = %q\ndevice = %q", p.Driver, p.Device)
	case p.Device != p.Name:
		line("device = %q", p.Device)
	}
}

func quotedList(names []string) string {
	var out []string
	for _, n := range slices.Clone(names) {
		out = append(out, fmt.Sprintf("%q", n))
	}
	return strings.Join(out, ", ")
}
