package doctor

import (
	"strings"
	"time"

	"spigate/cmd/internal/control"
)

// Router is what of a control.Backend is looked at.
type Router interface {
	Status() control.Status
	Meters() control.Metered
	Drops() []control.Drop
	VLANs() []control.VLAN
	Routes() []control.Route
	ARP() []control.Neighbor
	LSNPools() []control.LSNPool
	LSNLogStats() []control.LSNLogStat
	IPsecStat(profile string) (control.IPsecStat, error)
	NetIPsecPeers() []control.NetIPsecPeer
	Switches() []control.Switch
	ConfigHistory() ([]control.ConfigRevision, error)
}

// Host is what no view shows.
type Host struct {
	Alive error // what is wrong if the router does not work any more

	Now    time.Time // the wall clock
	Synced *bool     // a time server keeps it; nil: the kernel does not say
	Built  time.Time // of the binary; zero: not known

	Memory, MemoryLimit uint64 // of the daemon, in bytes; limit 0: none

	Keeps  error  // why a configuration could not be kept
	KeptIn string // where it is kept
}

// Parts of the tree, in their order.
const (
	partDaemon    = "daemon"
	partPorts     = "ports"
	partAddresses = "addresses"
	partGateways  = "gateways"
	partPools     = "pools"
	partTables    = "tables"
	partNATLog    = "nat log"
	partFlash     = "flash"
	partClock     = "clock"
	partConfig    = "configuration"
	partTunnels   = "tunnels"
	partSwitches  = "switches"
)

// Examine returns the tree of checks of a router that runs.
func Examine(b Router, h Host) []control.Check {
	r := &report{}
	status, meters := b.Status(), b.Meters()
	r.daemon(&status, &h)
	r.ports(&status)
	r.addresses(b.VLANs())
	r.gateways(b.Routes(), b.ARP())
	r.pools(b.LSNPools(), b.Drops())
	r.tables(b, &status, &meters)
	r.natLog(b.LSNLogStats())
	r.flash(&h)
	r.clock(&h)
	r.configuration(&status, b)
	r.tunnels(b.NetIPsecPeers())
	r.switches(b.Switches())
	return r.rows
}

func (r *report) daemon(st *control.Status, h *Host) {
	r.begin(partDaemon, "")
	defer r.end()
	if h.Alive != nil {
		r.fail("alive", "look at the end of its log, then start it anew: a supervisor with a watchdog does so by itself", "%v", h.Alive)
	} else {
		r.ok("alive", "process %d, up for %s", st.PID, st.Uptime)
	}
	if st.Ready {
		r.ok("ready", "every part runs")
	} else {
		r.warn("ready", "wait a few seconds; if it stays so, its log says which part does not start", "it is still starting")
	}
	switch mb := h.Memory >> 20; {
	case h.MemoryLimit > 0 && h.Memory > h.MemoryLimit/10*9:
		r.warn("memory", "make [limits] smaller, or raise the limit (GOMEMLIMIT, or the board's file)", "%d MB of the %d MB that it may have", mb, h.MemoryLimit>>20)
	case h.MemoryLimit > 0:
		r.ok("memory", "%d MB of the %d MB that it may have", mb, h.MemoryLimit>>20)
	default:
		r.ok("memory", "%d MB", mb)
	}
}

func (r *report) ports(st *control.Status) {
	r.begin(partPorts, "")
	defer r.end()
	had := map[string]bool{}
	for i := range st.Ports {
		p := &st.Ports[i]
		if had[p.Port] {
			continue
		}
		had[p.Port] = true
		switch {
		case !p.Up:
			r.fail(p.Port, "plug in the cable, or bring up the other end; for a TAP device, start the program that opens it", "the link is down")
		case p.Offload == "off":
			r.warn(p.Port, `the router forwards by itself, more slowly: see "offload" in the log, and docs/offload.md`, "up, but nothing is offloaded: %s", p.OffloadWhy)
		default:
			r.ok(p.Port, "up")
		}
	}
}

func (r *report) addresses(vlans []control.VLAN) {
	r.begin(partAddresses, "")
	defer r.end()
	for i := range vlans {
		v := &vlans[i]
		if len(v.Addresses) == 0 {
			r.warn(v.Name, "give it addresses in [vlan."+v.Name+"]: without one nobody can send to the router there, and it cannot ask by ARP", "it has no address")
			continue
		}
		r.ok(v.Name, "%s", strings.Join(v.Addresses, ", "))
	}
}

// gateways looks at the next hops of the routing table, each of them once.
func (r *report) gateways(routes []control.Route, near []control.Neighbor) {
	r.begin(partGateways, "")
	defer r.end()
	type hop struct {
		via string
		td  uint16
	}
	known := map[hop]*control.Neighbor{}
	for i := range near {
		known[hop{near[i].Address, near[i].TD}] = &near[i]
	}
	had := map[hop]bool{}
	for _, route := range routes {
		if route.Via == nil || had[hop{*route.Via, route.TD}] {
			continue
		}
		at := hop{*route.Via, route.TD}
		had[at] = true
		r.gateway(at.via, route.Out, known[at])
	}
	if len(had) == 0 {
		r.rows[r.part].Found = "no route has a next hop"
	}
}

func (r *report) gateway(via, vlan string, n *control.Neighbor) {
	switch {
	case n == nil:
		r.warn(via, "send something through it; if it then does not answer, this says so", "nothing was sent by it since the start, or for a long time: nobody knows whether it is there")
	case n.MAC == nil || n.State == "incomplete" || n.State == "unreachable":
		r.fail(via, "is it on, in VLAN "+vlan+" and with this address? a capture there shows whether it answers ARP", "it does not answer ARP on %s (%s)", vlan, n.State)
	default:
		r.ok(via, "%s on %s", *n.MAC, n.VLAN)
	}
}

func (r *report) pools(pools []control.LSNPool, drops []control.Drop) {
	r.begin(partPools, "")
	defer r.end()
	for i := range pools {
		p := &pools[i]
		protocol, share := "TCP", percent(p.UsedTCP, p.Ports)
		for _, other := range []struct {
			name string
			used uint64
		}{{"UDP", p.UsedUDP}, {"ICMP", p.UsedICMP}} {
			if s := percent(other.used, p.Ports); s > share {
				protocol, share = other.name, s
			}
		}
		if b := percent(p.UsedBlocks, p.Blocks); b > share {
			protocol, share = "port block", b
		}
		const more = "add addresses to the pool, lower port_quota, or look for a subscriber with very many sessions: spigate top subscribers"
		r.level(p.Name, share, more, "%.0f %% of its %ss are in use", share, portsOf(protocol))
	}
	for i := range drops {
		if d := &drops[i]; d.Reason == "no_free_port" && d.Rate > 0 {
			r.fail(d.Reason, d.Do, "%.1f packets a second find no port", d.Rate)
		}
	}
	if len(pools) == 0 {
		r.rows[r.part].Found = "there is no NAT"
	}
}

func portsOf(protocol string) string {
	if protocol == "port block" {
		return protocol
	}
	return protocol + " port"
}

// Fill from which a table or a pool is worth a word, and from which it is lost
// with the next burst. The alert rules have the same numbers.
const (
	nearlyFull = 85
	full       = 98
)

// level adds a row by how full something is, in percent.
func (r *report) level(name string, share float64, do, format string, args ...any) {
	switch {
	case share >= full:
		r.fail(name, do, format, args...)
	case share >= nearlyFull:
		r.warn(name, do, format, args...)
	default:
		r.ok(name, format, args...)
	}
}

func percent(part, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(part) / float64(of)
}
