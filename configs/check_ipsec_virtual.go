package configs

import (
	"fmt"
	"net/netip"
	"slices"
)

// endOf adds to a message that an address is the end of a tunnel (Q1, VR1).
func (w *raw) endOf(a netip.Addr, domain uint16) string {
	for _, q := range w.IPsec.Policies {
		if q.VLAN != nil && q.Domain == domain && q.Local == a {
			return fmt.Sprintf(" of %s, which end here", label("net", "ipsec", "policy", q.Name))
		}
	}
	return ""
}

// checkProtected compares virtual servers with what comes out of tunnels.
func (r *reader) checkProtected(w *raw) {
	for _, n := range w.LTM.NATs {
		r.checkDemand(w, "nat", n.Name, n.Domain, n.RequireProtection)
	}
	for _, v := range w.LTM.Virtuals {
		if !v.Destination.IsValid() || v.Disabled {
			continue
		}
		r.checkDemand(w, "virtual", v.Name, v.Domain, v.RequireProtection)
		if v.VLANs.Enabled && len(v.VLANs.Names()) > 0 {
			r.checkLabel(w, v)
		}
	}
}

// checkDemand warns of a listener that requires what nobody gives.
func (r *reader) checkDemand(w *raw, kind, name string, domain uint16, demands bool) {
	if demands && !slices.ContainsFunc(w.IPsec.Policies, func(q *IPsecPolicy) bool { return q.Domain == domain }) && !r.faultBelow("net") {
		r.warn(keyAt("ltm", kind, name, "require_protection"), "there is no [net.ipsec.policy.…] in its traffic domain: nothing is protected, so nothing passes (rule VR31)")
	}
}

// checkLabel warns of a server for what comes out of a tunnel, and that does
// not listen where it comes out: in interface mode that is the tunnel, in the
// other modes the VLAN by which the ESP came (VR34, V6). It is the commonest
// mistake.
func (r *reader) checkLabel(w *raw, v *Virtual) {
	at := keyAt("ltm", "virtual", v.Name, "vlans")
	for i := range w.Routes {
		if t := w.Routes[i].Tunnel; t != nil && t.placed() && t.Domain == v.Domain && inside(v.Source, w.Routes[i].Prefix) && !v.VLANs.admits(t.Name) {
			r.warn(at, "what begins in %s comes out of %s, for its policy's mode is interface: list %q (rule VR34)", v.Source, label("net", "tunnel", t.Name), t.Name)
			return
		}
	}
	for _, s := range w.IPsec.Selectors {
		q := s.Policy
		if q == nil || q.VLAN == nil || q.Mode == ModeInterface || q.Domain != v.Domain || s.Direction == DirectionOut {
			continue
		}
		if inside(v.Source, s.Destination) && s.Source.IsValid() && s.Source.Overlaps(v.Destination) && !v.VLANs.admits(q.VLAN.Name) {
			r.warn(at, "what begins in %s comes by %s, for it is in %s of a policy whose mode is %s: list %q (rule VR34)",
				v.Source, label("vlan", q.VLAN.Name), label("net", "ipsec", "selector", s.Name), q.Mode, q.VLAN.Name)
			return
		}
	}
}

// inside reports whether a network is within another one that is not everything:
// of a server for all sources it cannot be told where they are.
func inside(p, of netip.Prefix) bool {
	return of.IsValid() && of.Bits() > 0 && p.Bits() >= of.Bits() && of.Contains(p.Addr())
}
