package vserver

import (
	"net/netip"

	"spigate/netstack/frame"
)

// Why an option of BIG-IP's is refused. None is accepted and then forgotten:
// who sets one relies on it.
const (
	single = "there is no second unit to mirror to"
	routed = "answers go where the routing table says"
	passed = "fragments pass as they come"
	silent = "no probes are sent; a longer idle-timeout keeps a quiet connection"
	later  = "nothing encrypts yet"
)

// refuse makes a fault of an option that is set and has no effect here.
func (b *builder) refuse(x *Listener, set bool, option, why string) {
	if set {
		b.fault("%s %q: %s is not supported (%s): leave it out", x.Kind, x.Name, option, why)
	}
}

func (b *builder) refuseServer(s *Server) {
	x := &Listener{Kind: KindServer, Name: s.Name}
	b.refuse(x, s.Mirror, "mirror", single)
	b.refuse(x, s.AutoLasthop == On, "auto-lasthop", routed)
}

// refuseProfile does the same for a profile. Of client-timeout it only warns:
// it is the time that late binding waits for a client's data, which a BIG-IP
// forwarding virtual server does not do either; there, too, the option is legal
// and does nothing.
func (b *builder) refuseProfile(p *FastL4) {
	for _, o := range []struct {
		set         bool
		option, why string
	}{
		{p.ReassembleFragments, "reassemble-fragments", passed},
		{p.KeepAliveInterval > 0, "keep-alive-interval", silent},
	} {
		if o.set {
			b.fault("profile fastl4 %q: %s is not supported (%s): leave it out", p.Name, o.option, o.why)
		}
	}
	if p.ClientTimeout != 0 && p.ClientTimeout != (FastL4{}).filled().ClientTimeout {
		b.warn("profile fastl4 %q: client-timeout has no effect: it is for late binding, which forwarding virtual servers do not do", p.Name)
	}
}

func four(p netip.Prefix) bool { return p.IsValid() && p.Addr().Is4() }

func host(a netip.Addr) bool { return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() }

// addrOf is an IPv4 address as frames have it; the zero address for what is
// none, of which a fault tells.
func addrOf(a netip.Addr) frame.Addr {
	if !a.Is4() {
		return frame.Addr{}
	}
	return frame.Addr(a.As4())
}
