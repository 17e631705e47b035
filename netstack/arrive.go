package netstack

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// The steps that look at a packet before any translation.

// shape keeps out what no later step could translate. Parsing itself has been
// done by hook; a packet that gVisor would deliver to us may still be odd.
func (r *Router) shape(p *packet) outcome {
	if p.Proto == frame.ProtoAH && r.lsn.Owns(p.Dst) {
		return dropped(drop.AH) // R36
	}
	if p.Fragment && r.lsn.Owns(p.Dst) {
		return dropped(drop.Fragment) // R29 is not built yet
	}
	return goOn
}

// spoofed drops what claims to come from a NAT address: only we send from
// those, and to the other side.
func (r *Router) spoofed(p *packet) outcome {
	if r.lsn.Owns(p.Src) {
		return dropped(drop.NATAddressSpoofed)
	}
	return goOn
}

// expiring hands a packet that would leave with TTL 0 to the stack before it
// is translated, so that the stack answers it with time exceeded and quotes
// what the sender sent. The stack only looks for TTL 0 on arrival, hence the
// rewrite.
func (r *Router) expiring(p *packet) outcome {
	if p.TTL() > 1 || r.isLocal(p.Dst) {
		return goOn
	}
	p.SetTTL(0)
	return accept
}

// guard keeps outsiders away from the inside addresses of subscribers, who
// are reached through their NAT addresses only (R13).
func (r *Router) guard(p *packet) outcome {
	if _, to := r.lsn.Client(p.Dst); !to {
		return goOn
	}
	if _, from := r.lsn.Client(p.Src); from {
		return goOn
	}
	return dropped(drop.ClientNotReachable)
}

// hairpin refuses what a subscriber sends to a NAT address: it would have to
// be translated twice (R26).
func (r *Router) hairpin(p *packet) outcome {
	if !r.lsn.Owns(p.Dst) {
		return goOn
	}
	if _, from := r.lsn.Client(p.Src); !from {
		return goOn
	}
	if p.Proto == frame.ProtoESP {
		return dropped(drop.ESPHairpin)
	}
	return dropped(drop.Hairpin)
}
