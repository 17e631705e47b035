package configs

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxSwitchPorts bounds the ports of one switch: with the router's own they are
// a set of 64.
const maxSwitchPorts = 63

// lastChipPort is the greatest port of a QCA8337 or AR8327. Ports 0 and 6 lead
// to a processor, and to nothing else.
const lastChipPort = 6

// switchRefs are the names in the table of a switch, not yet resolved.
type switchRefs struct {
	cpuPort string
	known   bool // its driver is one of ours: else nothing is said about its keys
	said    bool // its ports are in the file
	right   bool // its cpu_port can be one
	ports   map[string]*SwitchPort
}

// boardTable reads [board]. Which models there are is known outside.
func (r *reader) boardTable(root *table, w *raw) {
	t := root.sub("board")
	t.elsewhere = map[string]string{"name": `; did you mean "model"?`}
	w.Board = Board{Model: t.text("model", "auto")}
	if w.Board.Model == "" {
		r.fault(t.at("model"), `must not be empty: write a model, or "auto"`)
	}
	t.done()
}

func (r *reader) switches(root *table, w *raw) {
	for _, t := range root.named("switch", longName) {
		s := &Switch{Name: t.name()}
		refs := &switchRefs{cpuPort: t.need("cpu_port"), ports: map[string]*SwitchPort{}}
		s.Driver, refs.known = t.switchDriver()
		s.MTU = t.size("mtu", 0, 576, 9216)
		s.Ageing = t.ageing(s.Driver, refs.known)
		t.chipKeys(s, refs.known)
		ports := t.named("port", longName)
		refs.said = len(ports) > 0
		for _, pt := range ports {
			p := pt.switchPort(s.Driver, refs.known)
			s.Ports = append(s.Ports, p)
			refs.ports[p.Name] = p
		}
		if n := len(ports); n > maxSwitchPorts {
			r.fault(t.at("port"), "there are %d ports: a switch has at most %d", n, maxSwitchPorts)
		}
		if refs.known && !refs.said && s.Driver != SwitchDSA {
			r.fault(t.at("port"), "is missing: a switch with driver %s has a %s for each port", s.Driver, portLabel(s))
		}
		t.elsewhere = map[string]string{
			"ports": ": each port has a table, " + portLabel(s), "device": `; did you mean "cpu_port"?`,
			"bridge": ": the device of the port that is the cpu_port is the bridge", "conduit": `; did you mean "cpu_port"?`,
		}
		t.done()
		w.Switches = append(w.Switches, s)
		w.switches[s] = refs
	}
}

// portLabel is how the table of a port is spelled in messages.
func portLabel(s *Switch) string { return label("switch", s.Name, "port", "NAME") }

// switchDriver reads the driver of a switch. ok is false if it says none.
func (t *table) switchDriver() (d SwitchDriver, ok bool) {
	forms := longForms(switchDriverWords())
	if !t.has("driver") {
		t.known = append(t.known, "driver")
		t.fault(t.at("driver"), "is missing: %s", orWords(forms))
		return SwitchDSA, false
	}
	text, isText := get[string](t, "driver")
	d, ok = lookup(switchDriverWords(), text)
	if isText && !ok {
		t.fault(t.at("driver"), "%q is not one of %s%s", text, strings.Join(forms, ", "),
			cmp.Or(didYouMean(text, forms), ": dsa is for every chip that has a driver in the kernel"))
	}
	return d, ok
}

// orWords prints "a", "b" or "c".
func orWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// ageing reads after which time addresses are forgotten: 802.1Q, table 8-4, has
// the least and the default, and more than its million seconds.
func (t *table) ageing(d SwitchDriver, known bool) time.Duration {
	age := t.duration("ageing", span{5 * time.Minute, 10 * time.Second, 24 * time.Hour, time.Second})
	if !d.overMDIO() {
		return age
	}
	if known && t.has("ageing") {
		t.fault(t.at("ageing"), "only a switch with driver dsa or soft has it: a chip over MDIO keeps its own time")
	}
	return 0
}

// chipKeys reads what only chips over MDIO have.
func (t *table) chipKeys(s *Switch, known bool) {
	s.MDIO = t.text("mdio", "")
	s.CPUNumber = int(t.whole("cpu_number", 0, 0, lastChipPort))
	for _, key := range []string{"mdio", "cpu_number"} {
		if known && !s.Driver.overMDIO() && t.has(key) {
			t.fault(t.at(key), "only a switch with driver qca8337 or ar8327 has it, not %s", s.Driver)
		}
	}
	if n := s.CPUNumber; n != 0 && n != lastChipPort {
		t.fault(t.at("cpu_number"), "the chip's ports for a processor are 0 and 6: %d leads to a cable", n)
	}
	if t.has("mdio") {
		t.deviceName("mdio", s.MDIO)
	}
	if !s.Driver.overMDIO() {
		s.MDIO, s.CPUNumber = "", 0
	}
}

// switchPort reads one port. Which keys it has depends on the driver: where
// that is not known, all may be there and none is missing.
func (t *table) switchPort(d SwitchDriver, known bool) *SwitchPort {
	p := &SwitchPort{Name: t.name(), Device: t.text("device", ""), Number: int(t.whole("number", -1, 0, lastChipPort))}
	p.Driver = choose(t, "driver", DriverRaw, []word[Driver]{{DriverTAP, "tap", nil}, {DriverRaw, "raw", nil}})
	t.done()
	if !known {
		return p
	}
	if t.has("device") {
		t.deviceName("device", p.Device)
	}
	t.portKeys(d)
	if !d.overMDIO() {
		p.Number = 0
	} else {
		p.Device = ""
	}
	if d == SwitchDSA && !t.has("device") {
		p.Device = p.Name
		if err := deviceName(p.Name); err != nil {
			t.fault(t.at("device"), "is missing: without it the port's name is that of its device, and %v", err)
		}
	}
	return p
}

// portKeys says which keys of a switch's port the driver has not, and which it
// must have.
func (t *table) portKeys(d SwitchDriver) {
	const dsaOrSoft, chip, soft = "dsa or soft", "qca8337 or ar8327", "soft"
	for _, k := range []struct {
		key, of    string
		has, needs bool
		example    string
	}{
		{"device", dsaOrSoft, !d.overMDIO(), d == SwitchSoft, `the kernel's device, such as "tap-lan1"`},
		{"driver", soft, d == SwitchSoft, d == SwitchSoft, `"tap" or "raw"`},
		{"number", chip, d.overMDIO(), d.overMDIO(), "the chip's own, from 0 to 6"},
	} {
		switch {
		case !k.has && t.has(k.key):
			t.fault(t.at(k.key), "only a port of a switch with driver %s has it, not of %s", k.of, d)
		case k.needs && !t.has(k.key):
			t.fault(t.at(k.key), "is missing: %s", k.example)
		}
	}
}

// deviceName refuses what the kernel would refuse later and less clearly.
func deviceName(name string) error {
	if name == "" {
		return errors.New("must not be empty")
	}
	// IFNAMSIZ is 16 with its NUL.
	if len(name) > 15 {
		return fmt.Errorf("%q: a device name has at most 15 characters", name)
	}
	if i := strings.IndexFunc(name, func(c rune) bool { return c <= ' ' || c == '/' || c == ':' || c == 0x7f }); i >= 0 || name == "." || name == ".." {
		return fmt.Errorf("%q is not the name of a device", name)
	}
	return nil
}

func (t *table) deviceName(key, name string) {
	if _, text := t.keys[key].(string); !text {
		return // not a string, which has been said
	}
	if err := deviceName(name); err != nil {
		t.fault(t.at(key), "%v", err)
	}
}

// membership reads which ports of a switch a VLAN has.
func (t *table) membership(v *VLAN, w *raw) {
	notEmpty := func(s string) (string, error) {
		if s == "" {
			return "", errors.New("must not be empty: it is the name of a switch's port")
		}
		return s, nil
	}
	v.Tagged, v.Untagged = list(t, "tagged", notEmpty), list(t, "untagged", notEmpty)
	if !t.has("switch") {
		t.known = append(t.known, "switch")
		members := t.has("tagged") || t.has("untagged")
		if members {
			t.fault(t.at("switch"), "is missing: tagged and untagged are ports of one")
		}
		if w.portOf[v] = t.text("port", ""); !members {
			w.portOf[v] = t.need("port")
		}
		return
	}
	w.switchOf[v] = t.need("switch")
	if t.has("port") {
		t.fault(t.at("port"), "a VLAN is on a switch or on a port, and switch is there as well: the switch's cpu_port is its port")
	}
	t.known = append(t.known, "port")
	if !t.has("id") {
		t.fault(t.at("id"), "is missing: a VLAN on a switch has one from 1 to 4094, for its frames come to the router tagged")
	}
}
