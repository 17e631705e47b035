package netstack

import (
	"net/netip"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// Who admits new flows: virtual servers, NATs, SNATs, LSN groups and our own
// addresses (VR2, VR3). This file makes the listeners; package vserver finds
// the one, and connection.go does what it says.

// listening is what the steps ask of the listeners besides package vserver.
type listening struct {
	served  bool                // there is more than groups and own addresses
	byLSN   bool                // some server lets, or has let, the LSN translate
	automap bool                // some server or SNAT translates, or has translated, to our own addresses
	owned   map[frame.Addr]bool // translation addresses of NATs and SNATs
	proxied []netip.Prefix      // those for which ARP is answered
	silent  bool                // TCP without a connection is not answered (VR15)
}

// newConnections makes the table of connections, which admits nothing yet.
func (r *Router) newConnections(capacity int) {
	r.listening.Store(&listening{})
	r.conns = vserver.NewTable(vserver.TableConfig{Capacity: capacity, OnEnd: r.connectionEnded})
}

// listeners completes a configuration with what listens besides: LSN groups on
// their clients' networks and our own addresses (VR3).
func (r *Router) listeners(c RouterConfig) (*vserver.Listeners, *listening, error) {
	v := c.Listeners
	v.Groups, v.Selfs = nil, nil
	networks := map[string][]netip.Prefix{}
	for _, cl := range c.LSN.Clients {
		networks[cl.Name] = append(networks[cl.Name], cl.Networks...)
	}
	for _, g := range c.LSN.Groups {
		v.Groups = append(v.Groups, vserver.Group{Name: g.Name, Clients: networks[g.Client]})
	}
	for _, on := range r.connected {
		v.Selfs = append(v.Selfs, on.addr.Netip())
	}
	made, err := vserver.New(v)
	if err != nil {
		return nil, nil, err
	}
	return made, listeningOf(v, c.KeepSilent), nil
}

func listeningOf(v vserver.Config, silent bool) *listening {
	l := &listening{
		served: len(v.Servers)+len(v.NATs)+len(v.SNATs) > 0, silent: silent, owned: map[frame.Addr]bool{},
	}
	answered := map[netip.Addr]bool{}
	own := func(a netip.Addr, arp bool) {
		if arp && !answered[a] {
			answered[a] = true
			l.proxied = append(l.proxied, netip.PrefixFrom(a, 32))
		}
		l.owned[a.As4()] = true
	}
	for i := range v.Servers {
		l.byLSN = l.byLSN || v.Servers[i].SourceTranslation == vserver.TranslateLSN
		l.automap = l.automap || v.Servers[i].SourceTranslation == vserver.Automap
		for _, a := range v.Servers[i].Translations {
			own(a, true)
		}
	}
	for i := range v.NATs {
		own(v.NATs[i].Translation, v.NATs[i].ARP.Is(true))
	}
	for i := range v.SNATs {
		l.automap = l.automap || v.SNATs[i].Automap
		for _, a := range v.SNATs[i].Translations {
			own(a, true)
		}
	}
	return l
}

// listen makes c's listeners the Router's.
func (r *Router) listen(c RouterConfig) error {
	made, l, err := r.listeners(c)
	if err != nil {
		return err
	}
	r.setListeners(made, l, 0)
	return nil
}

// setListeners exchanges the listeners (VR11). Of a connection that ends, the
// fast path tells first what it has counted, so that its resets have the right
// numbers (VR17, connectionEnded).
func (r *Router) setListeners(made *vserver.Listeners, l *listening, now int64) vserver.Reloaded {
	// What lives was opened by the old ones.
	was := r.listening.Load()
	l.byLSN, l.automap = l.byLSN || was.byLSN, l.automap || was.automap
	r.listening.Store(l)
	r.misses.clear()
	n := r.conns.Reload(made, now, r.reset)
	r.conns.Walk(now, func(c vserver.Info) bool { r.takeBack(c, now); return true })
	return n
}

// takeBack takes the flows of a connection off the fast path if its server wants to
// see every packet by now, or its profile does.
func (r *Router) takeBack(c vserver.Info, now int64) {
	if c.Client.Proto == frame.ProtoESP {
		r.flows.RemoveOwner(r.owner(flow.OwnerStatic, c.ID), now) // its mapping may be gone
	}
	l := c.Listener
	if p := &l.Profile; !p.PreserveTTL && p.IdleTimeout != vserver.Immediate && !l.RequiresProtection() {
		return
	}
	r.flows.RemoveOwner(r.owner(flow.OwnerConn, c.ID), now)
	if c.Session != 0 {
		r.flows.RemoveOwner(r.owner(flow.OwnerLSN, c.Session), now)
	}
	r.removeESP(c.Also, now)
}

// Connections returns the connections that virtual servers, NATs and SNATs
// have admitted, and with Listeners who listens.
func (r *Router) Connections() *vserver.Table { return r.conns }

// connectionEnded takes the flows of a connection off the fast path, whoever
// owns them.
func (r *Router) connectionEnded(e vserver.End) {
	if e.Reset {
		r.rememberReset(e) // before its keys are free, and what passes is somebody else's
	}
	r.flows.RemoveOwner(r.owner(flow.OwnerConn, e.ID), e.At)
	if e.Session != 0 {
		r.flows.RemoveOwner(r.owner(flow.OwnerLSN, e.Session), e.At)
	}
	if e.Client.Proto == frame.ProtoESP {
		r.flows.RemoveOwner(r.owner(flow.OwnerStatic, e.ID), e.At)
		r.removeESP(e.Also, e.At)
	}
}

func byLSN(l *vserver.Listener) bool {
	return l.Kind == vserver.KindServer && l.Server.SourceTranslation == vserver.TranslateLSN
}

// owns reports whether a is a translation address of an ltm nat or snat, or of
// a virtual server.
func (r *Router) owns(a frame.Addr) bool { return r.listening.Load().owned[a] }

// translatedAddresses are those of owns that ARP is answered for.
func (r *Router) translatedAddresses() (out []frame.Addr) {
	for _, p := range r.listening.Load().proxied {
		out = append(out, p.Addr().As4())
	}
	return out
}
