package configs

import (
	"cmp"
	"time"
)

// Lengths of names (R1).
const (
	longName = 127
	algName  = 32
)

func (r *reader) system(root *table, w *raw) {
	t := root.sub("system")
	w.System = System{Hostname: t.text("hostname", "spigate"), StateDir: t.text("state_dir", "/overlay/spigate")}
	if n := len(w.System.Hostname); n == 0 || n > 63 {
		r.fault(t.at("hostname"), "must have 1 to 63 characters")
	}
	if err := absolute(w.System.StateDir); err != nil {
		r.fault(t.at("state_dir"), "%v", err)
	}
	t.done()

	t = root.sub("control")
	w.Control = Control{Socket: t.text("socket", "/run/spigate.sock"), HTTP: t.text("http", "")}
	// The kernel's sockaddr_un has room for 107 bytes and a NUL.
	if err := absolute(w.Control.Socket); err != nil {
		r.fault(t.at("socket"), "%v", err)
	} else if len(w.Control.Socket) > 107 {
		r.fault(t.at("socket"), "a socket's path has at most 107 characters")
	}
	t.done()
}

// DefaultLimits are those of a machine with half a gigabyte or more.
func DefaultLimits() Limits {
	return Limits{Flows: 131072, LSNSessions: 65536, IKESessions: 16384, ESPSessions: 16384, Connections: 262144}
}

// limits bounds every table: memory is reserved for what stands here.
func (r *reader) limits(root *table, w *raw) {
	usual := DefaultLimits()
	if r.options.Limits != nil {
		of, err := r.options.Limits(w.Board.Model)
		if err != nil {
			r.fault(keyAt("board", "model"), "%v", err)
		}
		usual = of.or(usual)
	}
	t := root.sub("limits")
	w.Limits = Limits{
		Flows:       t.size("flows", usual.Flows, 64, maxSize),
		LSNSessions: t.size("lsn_sessions", usual.LSNSessions, 64, maxSize),
		IKESessions: t.size("ike_sessions", usual.IKESessions, 64, maxSize),
		ESPSessions: t.size("esp_sessions", usual.ESPSessions, 64, maxSize),
		Connections: t.size("connections", usual.Connections, 64, maxSize),
	}
	t.done()
}

// or is l with the values of usual where it has none.
func (l Limits) or(usual Limits) Limits {
	return Limits{
		Flows: cmp.Or(l.Flows, usual.Flows), LSNSessions: cmp.Or(l.LSNSessions, usual.LSNSessions),
		IKESessions: cmp.Or(l.IKESessions, usual.IKESessions), ESPSessions: cmp.Or(l.ESPSessions, usual.ESPSessions),
		Connections: cmp.Or(l.Connections, usual.Connections),
	}
}

func (r *reader) ports(root *table, w *raw) {
	defer r.checkOffload(root, w)
	for _, t := range root.named("port", longName) {
		p := &Port{Name: t.name()}
		var known bool
		switch p.Driver, known = t.driver(); {
		case !known:
			p.Device = t.text("device", "")
			w.anyDriver[p] = true
		case p.Driver == DriverSwitch:
			t.cable()
		default:
			p.Device = t.need("device")
		}
		p.MAC, p.HasMAC = t.mac()
		// 576: what every IPv4 host takes (RFC 791). 9216: the largest jumbo
		// frames of common switch chips.
		p.MTU = t.size("mtu", 0, 576, 9216)
		if known && p.Driver.Ring() && t.has("mtu") {
			r.fault(t.at("mtu"), "%s port has its device's MTU: set it there, with ip link", article(p.Driver))
		}
		p.Sink = t.text("sink", "")
		if known && p.Driver != DriverPcap && t.has("sink") {
			r.fault(t.at("sink"), "only a port with driver pcap has a sink")
		}
		r.checkDevice(t, p)
		p.Ring = t.ring(p.Driver)
		// A TAP device has none: we hold the end of the cable that the kernel
		// would send to.
		p.XDP = p.Driver == DriverXDP
		// 64 threads for one port are more than any board has processors.
		p.Threads = t.size("threads", 0, 1, 64)
		if known && !p.Driver.Ring() && t.has("threads") {
			r.fault(t.at("threads"), "only a port with driver raw or xdp has several: the frames of others come one after the other")
		}
		t.done()
		w.Ports = append(w.Ports, p)
	}
}

// mac reads the address that a port shall use, if there is one.
func (t *table) mac() (mac [6]byte, ok bool) {
	text, ok := get[string](t, "mac")
	if !ok {
		return mac, false
	}
	mac, err := parseMAC(text)
	if err != nil {
		t.fault(t.at("mac"), "%v", err)
	}
	return mac, err == nil
}

// driver reads the driver of a port; ok is false if it says none. There is no
// default: which one it is says what happens to the kernel's device.
func (t *table) driver() (d Driver, ok bool) {
	const none = Driver(255)
	text, _ := t.keys["driver"].(string)
	ofSwitch, is := lookup(switchDriverWords(), text)
	switch {
	case !t.has("driver"):
		t.fault(t.at("driver"), `is missing: "raw", "xdp", "tap", "pcap" or "switch"`)
	case is && ofSwitch == SwitchSoft:
		t.fault(t.at("driver"), `%q is a driver of a [switch.NAME]: the port that is its cpu_port has "switch"`, text)
	case is:
		t.fault(t.at("driver"), `%q is a driver of a [switch.NAME]: the port that is its cpu_port has "raw"`, text)
	default:
		if d = choose(t, "driver", none, driverWords()); d != none {
			return d, true
		}
	}
	t.known = append(t.known, "driver")
	return DriverRaw, false
}

// checkDevice refuses names that the kernel would refuse later and less clearly.
func (r *reader) checkDevice(t *table, p *Port) {
	if p.Driver != DriverPcap && p.Device != "" {
		t.deviceName("device", p.Device)
	}
}

// cable refuses what a port has not whose frames come by a cable in memory.
func (t *table) cable() {
	t.known = append(t.known, "device")
	if t.has("device") {
		t.fault(t.at("device"), "a port with driver switch has none: its frames come from the switch whose cpu_port it is")
	}
	if t.has("mtu") {
		t.fault(t.at("mtu"), "a port with driver switch has its switch's MTU: write it in the [switch.NAME]")
	}
}

// ring reads the sizes of the receive ring. They are there for measuring: the
// driver's own are right for nearly everybody.
func (t *table) ring(d Driver) Ring {
	g := Ring{
		BlockSize: t.size("ring_block_size", 0, 4096, 1<<22),
		Blocks:    t.size("ring_blocks", 0, 2, 1024),
		Retire:    t.duration("ring_retire", span{0, 10 * time.Microsecond, 100 * time.Millisecond, time.Microsecond}),
	}
	if g.BlockSize&(g.BlockSize-1) != 0 {
		t.fault(t.at("ring_block_size"), "must be a power of two, not %d", g.BlockSize)
	}
	for _, key := range []string{"ring_block_size", "ring_blocks", "ring_retire"} {
		if !d.Ring() && t.has(key) {
			t.fault(t.at(key), "only a port with driver raw or xdp has a ring")
		}
	}
	return g
}

func (r *reader) vlans(root *table, w *raw) {
	for _, t := range root.named("vlan", longName) {
		v := &VLAN{Name: t.name(), ID: t.vlanID()}
		t.elsewhere = vlanElsewhere()
		t.membership(v, w)
		v.Addresses = list(t, "addresses", parseInterface)
		v.Domain = t.trafficDomain()
		t.done()
		w.VLANs = append(w.VLANs, v)
	}
	// One byte holds the number of an interface, and 0 is no interface.
	if len(w.VLANs) > 255 {
		r.fault(root.at("vlan"), "there are %d VLANs: at most 255 are supported", len(w.VLANs))
	}
}

// vlanElsewhere has words by which other routers and switches go.
func vlanElsewhere() map[string]string {
	const both = ": ports that send its frames with a tag are in tagged, the others in untagged"
	return map[string]string{
		"members": both, "ports": both, "interfaces": both,
		"access": `; did you mean "untagged"?`, "trunk": `; did you mean "tagged"?`,
		"pvid":   ": the id of the one VLAN that has a port in untagged is that port's PVID",
		"native": ": the id of the one VLAN that has a port in untagged is that port's PVID",
		"tag":    `; did you mean "id"?`, "vid": `; did you mean "id"?`,
		"device": `; did you mean "port"?`, "interface": `; did you mean "port"?`,
	}
}

// vlanID reads an 802.1Q id. On a switch it cannot be 0.
func (t *table) vlanID() uint16 {
	if t.has("switch") {
		return uint16(t.whole("id", 0, 1, 4094))
	}
	return uint16(t.whole("id", 0, 0, 4094))
}

func (r *reader) routes(root *table, w *raw) {
	for _, t := range root.children("route") {
		prefix := t.destination()
		tunnel := nameAt{t.text("tunnel", ""), t.at("tunnel")}
		via := ""
		switch {
		case tunnel.name == "":
			via = t.need("via")
		case t.has("via"):
			r.fault(tunnel.at, "a route leads to a neighbour or into a tunnel, and via is there as well")
		}
		t.known = append(t.known, "via")
		addr, verr := parseAddr(via)
		if via != "" && verr != nil {
			r.fault(t.at("via"), "%v", verr)
		}
		w.ipsec.tunnel[t.name()] = tunnel
		w.domainOf = append(w.domainOf, t.routeDomain())
		t.done()
		w.Routes = append(w.Routes, Route{Name: t.name(), Prefix: prefix, Via: addr})
	}
}
