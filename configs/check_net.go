package configs

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// label is how a table is spelled in the file: [lsn.pool.P1].
func label(path ...string) string { return "[" + spot{path: path, index: -1}.String() + "]" }

// keyAt is the place of a value by its path.
func keyAt(path ...string) spot { return spot{path: path, index: -1} }

// missing reports a reference to a table that is not there.
func (r *reader) missing(at spot, name string, known []string, path ...string) {
	r.fault(at, "there is no %s%s", label(append(path, name)...), didYouMean(name, known))
}

// checkNet compares ports, VLANs and routes with each other.
func (r *reader) checkNet(w *raw) {
	r.checkPorts(w)
	r.linkSwitches(w)
	r.linkVLANs(w)
	r.checkSwitches(w)
	r.linkIPsec(w)
	r.checkSubnets(w)
	r.checkRoutes(w)
}

func (r *reader) checkPorts(w *raw) {
	devices, macs := map[string]string{}, map[[6]byte]string{}
	for _, p := range w.Ports {
		if other, twice := devices[p.Device]; twice && p.Device != "" {
			r.fault(keyAt("port", p.Name, "device"), "%q is already the device of %s", p.Device, label("port", other))
		}
		devices[p.Device] = p.Name
		if other, twice := macs[p.MAC]; twice && p.HasMAC {
			r.fault(keyAt("port", p.Name, "mac"), "is already the address of %s", label("port", other))
		}
		if p.HasMAC {
			macs[p.MAC] = p.Name
		}
	}
}

// byName has the ports by their names.
func (w *raw) byName() map[string]*Port {
	out := map[string]*Port{}
	for _, p := range w.Ports {
		out[p.Name] = p
	}
	return out
}

// missingPort reports a reference to a [port.NAME] that is not there. Some write
// its device; hint is for those who write something else.
func (r *reader) missingPort(at spot, name string, w *raw, hint string) {
	var names []string
	for _, p := range w.Ports {
		if names = append(names, p.Name); p.Device == name {
			r.fault(at, "there is no %s: %q is the device of %s, so write %q", label("port", name), name, label("port", p.Name), p.Name)
			return
		}
	}
	r.fault(at, "there is no %s%s", label("port", name), cmp.Or(didYouMean(name, names), hint))
}

// linkVLANs finds each VLAN's port, or its switch and thereby its port; an id is
// used once on a port.
func (r *reader) linkVLANs(w *raw) {
	type place struct {
		port *Port
		sw   *Switch
		id   uint16
	}
	on := carriers{w.byName(), map[string]*Switch{}, map[*Port]*Switch{}}
	for _, s := range w.Switches {
		on.switches[s.Name] = s
		if s.CPUPort != nil && w.switches[s].right && on.behind[s.CPUPort] == nil {
			on.behind[s.CPUPort] = s
		}
	}
	taken := map[place]string{}
	for _, v := range w.VLANs {
		where := r.linkVLAN(w, v, on)
		if v.Port == nil && v.Switch == nil || v.Switch != nil && v.ID == 0 {
			continue // a fault already
		}
		if other, twice := taken[place{v.Port, v.Switch, v.ID}]; twice {
			r.fault(keyAt("vlan", v.Name, "id"), "id %d is already that of %s on %s", v.ID, label("vlan", other), where)
		}
		taken[place{v.Port, v.Switch, v.ID}] = v.Name
	}
}

// carriers are what a VLAN can be on.
type carriers struct {
	ports    map[string]*Port
	switches map[string]*Switch
	behind   map[*Port]*Switch // the switch that a port leads to
}

// linkVLAN finds what a VLAN is on, and returns it as messages spell it.
func (r *reader) linkVLAN(w *raw, v *VLAN, on carriers) string {
	if name, ok := w.switchOf[v]; ok {
		r.linkToSwitch(w, v, name, on)
		return label("switch", name)
	}
	name := w.portOf[v]
	v.Port = on.ports[name]
	if v.Port == nil && name != "" {
		r.missingPort(keyAt("vlan", v.Name, "port"), name, w, "")
	}
	if s := on.behind[v.Port]; s != nil {
		r.fault(keyAt("vlan", v.Name, "port"), "%s has %s behind it, which lets no frame of this VLAN through: write switch = %q and the ports in tagged or untagged instead",
			label("port", name), label("switch", s.Name), s.Name)
		v.Port = nil
	}
	return label("port", name)
}

func (r *reader) linkToSwitch(w *raw, v *VLAN, name string, on carriers) {
	if v.Switch = on.switches[name]; v.Switch != nil {
		v.Port = v.Switch.CPUPort
		return
	}
	var names []string
	for _, s := range w.Switches {
		names = append(names, s.Name)
	}
	if name != "" {
		r.missing(keyAt("vlan", v.Name, "switch"), name, names, "switch")
	}
}

// block is a piece of address space with the place that claims it.
type block struct {
	domain   uint16
	from, to netip.Addr
	at       spot
	owner    string // as it is spelled in messages
	text     string
}

// clashes sorts blocks and calls report for each one that overlaps another
// one of the same traffic domain, which begins before it.
func clashes(blocks []block, report func(b, earlier block)) {
	sort.SliceStable(blocks, func(i, j int) bool {
		a, b := &blocks[i], &blocks[j]
		return cmp.Or(cmp.Compare(a.domain, b.domain), a.from.Compare(b.from)) < 0
	})
	for i := 1; i < len(blocks); i++ {
		last := blocks[i-1]
		if last.domain == blocks[i].domain && !last.to.Less(blocks[i].from) {
			report(blocks[i], last)
			// The longer of the two meets the next one.
			if blocks[i].to.Less(last.to) {
				blocks[i] = last
			}
		}
	}
}

// checkSubnets refuses two connected networks of a traffic domain that overlap,
// for a route could then lead to either. Several addresses in one network of one
// VLAN or tunnel are fine.
func (r *reader) checkSubnets(w *raw) {
	s := subnets{reader: r, seen: map[member]bool{}, addresses: map[inDomain]string{}}
	for _, v := range w.VLANs {
		s.add(v.Domain, v.Addresses, "vlan", v.Name)
	}
	for _, t := range w.Tunnels {
		if t.placed() {
			s.add(t.Domain, t.Addresses, "net", "tunnel", t.Name)
		}
	}
	clashes(s.blocks, func(b, earlier block) {
		r.fault(b.at, "network %s overlaps %s of %s", b.text, earlier.text, earlier.owner)
	})
}

// member is a connected network of a VLAN or a tunnel.
type member struct {
	owner   string
	network netip.Prefix
}

type subnets struct {
	*reader
	blocks    []block
	seen      map[member]bool
	addresses map[inDomain]string
}

// add takes up the addresses of the VLAN or tunnel at a path.
func (s *subnets) add(domain uint16, addresses []netip.Prefix, path ...string) {
	owner := label(path...)
	for i, p := range addresses {
		if !p.IsValid() {
			continue
		}
		at := keyAt(append(path[:len(path):len(path)], "addresses")...).of(i)
		if other, twice := s.addresses[inDomain{domain, p.Addr()}]; twice {
			s.fault(at, "%s is already an address of %s", p.Addr(), other)
			continue
		}
		s.addresses[inDomain{domain, p.Addr()}] = owner
		if m := (member{owner, p.Masked()}); !s.seen[m] {
			s.seen[m] = true
			from, to := bounds(p)
			s.blocks = append(s.blocks, block{domain, from, to, at, owner, p.Masked().String()})
		}
	}
}

// faultBelow reports whether something was wrong below a table. A fault that
// only follows from another one is not worth its line.
func (r *reader) faultBelow(table string) bool {
	return slices.ContainsFunc(r.faults, func(f Fault) bool { return strings.HasPrefix(f.Path, table+".") })
}
