package configs

import "slices"

// offload says which flows the kernel forwards by itself.
func (r *reader) offload(root *table, w *raw) {
	t := root.sub("offload")
	w.Offload = Offload{
		Flows: t.size("flows", 8192, 64, maxSize),
		After: t.size("after", 32, 1, 1_000_000_000),
		Mode:  choose(t, "mode", OffloadAuto, offloadWords()),
	}
	t.done()
}

// checkOffload warns of what has no effect: the kernel forwards from a port
// with XDP to another, or to the same.
func (r *reader) checkOffload(root *table, w *raw) {
	if root.has("offload") && !slices.ContainsFunc(w.Ports, func(p *Port) bool { return p.XDP }) {
		r.warn(keyAt("offload"), `has no effect: no port has driver = "xdp", or xdp = true`)
	}
}

// xdp says whether the kernel may forward for the port. A TAP device can: its
// frames pass the kernel as well.
func (t *table) xdp(d Driver, known bool) bool {
	on := t.flag("xdp", d == DriverXDP)
	switch at := t.at("xdp"); {
	case !known || !t.has("xdp"):
	case d == DriverRaw && on:
		t.fault(at, `write driver = "xdp": that is raw with XDP`)
	case d == DriverXDP && !on:
		t.fault(at, `a port with driver xdp has it: write driver = "raw" for one without`)
	case d == DriverPcap && on, d == DriverSwitch && on:
		t.fault(at, "a port with driver %s has no device that the kernel could forward for", d)
	}
	return on
}

// article is a driver's word as a sentence has it.
func article(d Driver) string {
	if d == DriverXDP {
		return "an xdp"
	}
	return "a " + d.String()
}
