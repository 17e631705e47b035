package netstack

import (
	"slices"

	"spigate/netstack/frame"
	tunnels "spigate/netstack/ipsec"
)

// Reloaded says what became of the sessions that a Reload met.
type Reloaded struct {
	Sessions    Survival // of the LSN
	ALG         Survival // of the IPsec ALG: IKE sessions, and ESP sessions with the HALF ones
	Connections Survival // of virtual servers, NATs and SNATs
	SAs         Survival // of tunnels that end here, each direction by itself
}

// Survival counts sessions of one kind.
type Survival struct {
	Kept    int // they go on as they were
	Cleared int // they ended, for what they need is gone
	Refused int // they ended: that is there, and takes them no more as they are
}

// add counts another router's.
func (f *Survival) add(o Survival) {
	f.Kept, f.Cleared, f.Refused = f.Kept+o.Kept, f.Cleared+o.Cleared, f.Refused+o.Refused
}

// Add counts what became of another Router's sessions.
func (n *Reloaded) Add(o Reloaded) {
	n.Sessions.add(o.Sessions)
	n.ALG.add(o.ALG)
	n.Connections.add(o.Connections)
	n.SAs.add(o.SAs)
}

// algSessions is how many the ALG has now.
func (r *Router) algSessions() int {
	c := r.alg.Counters()
	return int(c.IKESessions + c.ESPSessions)
}

// survivors tells of SAs that were there what became of them.
func (r *Router) survivors(was []tunnels.Info, now int64) (f Survival) {
	type id struct {
		spi   uint32
		local frame.Addr
		out   bool
	}
	there := map[id]bool{}
	for _, sa := range r.esp.List(now) {
		there[id{sa.SPI, sa.Local.Addr, sa.Outbound}] = true
	}
	named := map[string]bool{}
	for _, s := range r.esp.Policies().Selectors() {
		named[s.Name] = true
	}
	for _, sa := range was {
		switch {
		case there[id{sa.SPI, sa.Local.Addr, sa.Outbound}]:
			f.Kept++
		case slices.ContainsFunc(sa.Selectors, func(s string) bool { return named[s] }):
			f.Refused++
		default:
			f.Cleared++
		}
	}
	return f
}
