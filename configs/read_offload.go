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
		r.warn(keyAt("offload"), `has no effect: no port has driver = "xdp"`)
	}
}

// article is a driver's word as a sentence has it.
func article(d Driver) string {
	if d == DriverXDP {
		return "an xdp"
	}
	return "a " + d.String()
}
