package configs

import (
	"cmp"
	"slices"
	"strings"
)

// linkSwitches finds each switch's port of the router.
func (r *reader) linkSwitches(w *raw) {
	taken, ports := map[*Port]string{}, w.byName()
	for _, s := range w.Switches {
		refs := w.switches[s]
		at := keyAt("switch", s.Name, "cpu_port")
		s.CPUPort = ports[refs.cpuPort]
		if s.CPUPort == nil {
			if refs.cpuPort != "" {
				r.missingPort(at, refs.cpuPort, w, ": cpu_port is the name of a [port.NAME], whose device leads to the switch")
			}
			continue
		}
		p := s.CPUPort
		if other, twice := taken[p]; twice {
			r.fault(at, "%s is already that of %s: a switch has a port of the router for itself", label("port", p.Name), label("switch", other))
		} else {
			taken[p] = s.Name
		}
		refs.right = r.checkCPUPort(s, refs.known && !w.anyDriver[p])
		r.checkNames(s, refs)
	}
	for _, p := range w.Ports {
		if p.Driver == DriverSwitch && taken[p] == "" {
			r.fault(keyAt("port", p.Name, "driver"),
				`"switch" is the router's end of a switch in software, and no [switch.NAME] with driver = "soft" has cpu_port = %q`, p.Name)
		}
	}
	r.checkBuses(w)
}

// checkCPUPort: a switch in software has its router at a cable in memory, any
// other at a device.
func (r *reader) checkCPUPort(s *Switch, known bool) (right bool) {
	at, p, before := keyAt("switch", s.Name, "cpu_port"), s.CPUPort, len(r.faults)
	switch soft := s.Driver == SwitchSoft; {
	case !known:
	case soft && p.Driver != DriverSwitch:
		r.fault(at, `%s has driver %s: the router's end of a switch with driver soft has driver = "switch", and no device`, label("port", p.Name), p.Driver)
	case !soft && p.Driver == DriverSwitch:
		r.fault(at, `%s has driver switch, which is for switches with driver soft: with %s it has driver = "raw" and a device`, label("port", p.Name), s.Driver)
	case !soft && !p.Driver.Ring():
		r.fault(at, `%s has driver %s: frames of a switch with driver %s come by a device of the kernel, so it must be "raw"`, label("port", p.Name), p.Driver, s.Driver)
	case s.Driver == SwitchDSA && p.Driver == DriverXDP:
		r.fault(at, `%s has driver xdp: the bridge of a switch with driver dsa keeps VLAN tags where XDP cannot see them, so it must be "raw"`, label("port", p.Name))
	case s.Driver.overMDIO() && s.MDIO == "":
		s.MDIO = p.Device
	}
	return len(r.faults) == before
}

// checkNames: the router's own side has a name among those of the ports. It is
// its [port.NAME], or the device of it.
func (r *reader) checkNames(s *Switch, refs *switchRefs) {
	for _, name := range []string{s.CPUPort.Name, s.CPUPort.Device} {
		at := keyAt("switch", s.Name, "port", name)
		if at.onKey = true; refs.ports[name] != nil {
			r.fault(at, "the router's own side of the switch has this name: call the port otherwise")
		}
		if s.CPUPort.Device == s.CPUPort.Name {
			return
		}
	}
}

// checkBuses: a chip has fixed addresses on its bus, so there is one.
func (r *reader) checkBuses(w *raw) {
	taken := map[string]string{}
	for _, s := range w.Switches {
		if s.MDIO == "" {
			continue
		}
		if other, twice := taken[s.MDIO]; twice {
			r.fault(keyAt("switch", s.Name, "mdio"), "the bus of %q leads to %s already", s.MDIO, label("switch", other))
		}
		taken[s.MDIO] = s.Name
	}
}

// checkSwitches compares switches, their ports and the VLANs on them.
func (r *reader) checkSwitches(w *raw) {
	for _, v := range w.VLANs {
		if v.Switch != nil {
			r.checkMembers(w, v)
		}
	}
	r.checkUntagged(w)
	for _, s := range w.Switches {
		r.checkNumbers(s)
	}
	r.checkSwitchDevices(w)
	r.checkIdle(w)
}

// checkMembers: a member is a port of the switch, and one once. Ports of a
// kernel switch that says none are those that are named.
func (r *reader) checkMembers(w *raw, v *VLAN) {
	s, seen := v.Switch, map[string]string{}
	for _, l := range []struct {
		key   string
		names []string
	}{{"untagged", v.Untagged}, {"tagged", v.Tagged}} {
		for i, name := range l.names {
			at := keyAt("vlan", v.Name, l.key).of(i)
			switch other := seen[name]; {
			case name == "":
				continue // a fault already
			case s.isRouter(name, w.switches[s]):
				r.fault(at, "%q is the router's own side of %s: it is a tagged member by itself, so leave it out", name, label("switch", s.Name))
				continue
			case other == l.key:
				r.fault(at, "%q is in the list twice", name)
			case other != "":
				r.fault(at, "%q is in %s as well: frames of one VLAN leave a port with a tag or without", name, other)
			}
			seen[name] = l.key
			r.linkMember(w, s, name, at)
		}
	}
}

// isRouter reports whether name is what the router's own port is called, here
// or by other programs. Where no ports are said, a name is a device, and the
// kernel may have one that is called as a [port.NAME].
func (s *Switch) isRouter(name string, refs *switchRefs) bool {
	if refs.ports[name] != nil {
		return false
	}
	return strings.EqualFold(name, "cpu") || s.CPUPort != nil && (name == s.CPUPort.Device || name == s.CPUPort.Name && refs.said)
}

// linkMember finds a port by its name, or makes it where names are devices.
func (r *reader) linkMember(w *raw, s *Switch, name string, at spot) {
	refs := w.switches[s]
	if refs.ports[name] != nil || !refs.known || !refs.said && s.Driver != SwitchDSA {
		return
	}
	if refs.said {
		var names []string
		for _, p := range s.Ports {
			names = append(names, p.Name)
		}
		r.missing(at, name, names, "switch", s.Name, "port")
		return
	}
	if err := deviceName(name); err != nil {
		r.fault(at, "%v: without a %s a port's name is that of its device", err, portLabel(s))
		return
	}
	switch n := len(s.Ports); {
	case n == maxSwitchPorts:
		r.fault(at, "is port number %d: a switch has at most %d", n+1, n)
	case n > maxSwitchPorts:
		return // said
	}
	p := s.add(name)
	refs.ports[name], w.namedAt[p] = p, at
}

// add takes up a port that only VLANs name, in alphabetical order.
func (s *Switch) add(name string) *SwitchPort {
	p := &SwitchPort{Name: name, Device: name}
	at, _ := slices.BinarySearchFunc(s.Ports, name, func(p *SwitchPort, name string) int { return cmp.Compare(p.Name, name) })
	s.Ports = slices.Insert(s.Ports, at, p)
	return p
}

// checkUntagged: what comes in without a tag is of one VLAN.
func (r *reader) checkUntagged(w *raw) {
	type member struct {
		of   *Switch
		name string
	}
	taken := map[member]*VLAN{}
	for _, v := range w.VLANs {
		for i, name := range v.Untagged {
			m := member{v.Switch, name}
			switch other := taken[m]; {
			case v.Switch == nil || name == "": // a fault already
			case other == nil:
				taken[m] = v
			case other != v:
				r.fault(keyAt("vlan", v.Name, "untagged").of(i), "%q is untagged in %s already: a frame without a tag is of one VLAN; write it in tagged in one of the two",
					name, label("vlan", other.Name))
			}
		}
	}
}

// checkNumbers: a chip's port has one name, and the router's has none.
func (r *reader) checkNumbers(s *Switch) {
	if !s.Driver.overMDIO() {
		return
	}
	taken := map[int]string{}
	for _, p := range s.Ports {
		at := keyAt("switch", s.Name, "port", p.Name, "number")
		if p.Number < 0 {
			continue // missing, or wrong
		}
		if other, twice := taken[p.Number]; twice {
			r.fault(at, "%d is already the number of %s", p.Number, label("switch", s.Name, "port", other))
			continue
		}
		taken[p.Number] = p.Name
		if p.Number == s.CPUNumber {
			r.fault(at, "%d is the router's own port (cpu_number): it is in every VLAN by itself", p.Number)
		}
	}
}

// checkSwitchDevices: a device is one port's, of a switch or of the router.
func (r *reader) checkSwitchDevices(w *raw) {
	taken := map[string]string{}
	for _, p := range w.Ports {
		if p.Driver != DriverPcap && p.Device != "" {
			taken[p.Device] = label("port", p.Name)
		}
	}
	for _, s := range w.Switches {
		for _, p := range s.Ports {
			at, named := w.namedAt[p]
			if !named {
				at = keyAt("switch", s.Name, "port", p.Name, "device")
			}
			owner, twice := taken[p.Device]
			switch {
			case p.Device == "": // a chip's, or a fault
			case twice:
				r.fault(at, "%q is already the device of %s", p.Device, owner)
			case named:
				taken[p.Device] = "a port of " + label("switch", s.Name)
			default:
				taken[p.Device] = label("switch", s.Name, "port", p.Name)
			}
		}
	}
}

// checkIdle warns of what does nothing. Where something about VLANs or switches
// is wrong, that is why.
func (r *reader) checkIdle(w *raw) {
	if r.faultBelow("vlan") || r.faultBelow("switch") {
		return
	}
	used, vlans := map[*SwitchPort]bool{}, map[*Switch]int{}
	for _, v := range w.VLANs {
		if v.Switch == nil {
			continue
		}
		vlans[v.Switch]++
		members := slices.Concat(v.Untagged, v.Tagged)
		for _, name := range members {
			used[w.switches[v.Switch].ports[name]] = true
		}
		if len(members) == 0 {
			r.warn(keyAt("vlan", v.Name, "switch"), "no port of %s is in tagged or untagged: nobody is on this VLAN", label("switch", v.Switch.Name))
		}
	}
	for _, s := range w.Switches {
		at := keyAt("switch", s.Name)
		if at.onKey = true; vlans[s] == 0 {
			r.warn(at, "no VLAN has switch = %q: all of its ports are off", s.Name)
			continue
		}
		for _, p := range s.Ports {
			at := keyAt("switch", s.Name, "port", p.Name)
			if at.onKey = true; !used[p] {
				r.warn(at, "is in no VLAN: the port is off")
			}
		}
	}
}
