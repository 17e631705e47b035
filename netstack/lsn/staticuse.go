package lsn

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// find looks for the narrowest static mapping of an end: its port counts for
// more than the remote.
func find(in map[staticKey]*static, proto uint8, e frame.Endpoint, remote frame.Addr) *static {
	for _, port := range [...]uint16{e.Port, 0} {
		for _, r := range [...]frame.Addr{remote, {}} {
			if s := in[staticKey{e.Addr, r, port, uint16(proto)}]; s != nil {
				return s
			}
		}
	}
	return nil
}

// staticOut returns the static mapping that a subscriber's packet has to use,
// or nil.
func (t *Table) staticOut(tup Tuple) *static {
	if len(t.cfg().statics.list) == 0 {
		return nil
	}
	return find(t.cfg().statics.inside, tup.Proto, tup.Inside, tup.Remote.Addr)
}

// staticIn is staticOut for a packet from outside.
func (t *Table) staticIn(proto uint8, out, remote frame.Endpoint) *static {
	if len(t.cfg().statics.list) == 0 {
		return nil
	}
	return find(t.cfg().statics.outside, proto, out, remote.Addr)
}

// rules returns the rules of the static's mappings for a protocol.
func (s *static) rules(i int) *rules {
	if s.Remote.IsZero() {
		return s.group.staticAny[i]
	}
	return s.group.staticOne[i]
}

// tuple is what a packet from outside is inside.
func (s *static) tuple(proto uint8, out, remote frame.Endpoint) Tuple {
	port := s.Inside.Port
	if port == 0 {
		port = out.Port
	}
	return Tuple{proto, frame.Endpoint{Addr: s.Inside.Addr, Port: port}, remote}
}

// port is the outside port of an inside one.
func (s *static) port(inside uint16) uint16 {
	if s.Outside.Port == 0 {
		return inside
	}
	return s.Outside.Port
}

// oneToOne reports whether the NAT address is the subscriber's alone.
func (s *static) oneToOne() bool { return s.Proto == 0 && s.Inside.Port == 0 }

// drawFor finds the outside end of a new mapping.
func (t *Table) drawFor(sh *inside, tup Tuple, w *want, after *aftermath) (address uint32, port uint16, ok bool) {
	if w.rules.static {
		return t.drawStatic(t.staticOut(tup), tup, w)
	}
	return t.drawOutside(sh, w, after)
}

// drawStatic claims the outside port of a static mapping. It fails where a
// narrower static mapping has the port, or a dynamic mapping from before.
func (t *Table) drawStatic(st *static, tup Tuple, w *want) (address uint32, port uint16, ok bool) {
	if st == nil {
		return 0, 0, false // a reload took it away just now
	}
	set := t.cfg()
	address, port = set.byAddr[st.Outside.Addr], st.port(tup.Inside.Port)
	end := frame.Endpoint{Addr: st.Outside.Addr, Port: port}
	if t.staticIn(tup.Proto, end, tup.Remote) != st {
		return 0, 0, false
	}
	o := &t.outsides[outsideShard(end.Addr, port)]
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.fits(end.Addr, port, w.claim) {
		return 0, 0, false
	}
	o.take(set.addrs[address], port, w.claim, w.id)
	return address, port, true
}

// decideStatic says what becomes of a packet from outside to a static mapping
// that has no session for it yet.
func (t *Table) decideStatic(sh *inside, pl *InPlan, st *static, now int64) drop.Reason {
	i, _ := protoIndex(pl.Proto)
	r := st.rules(i)
	tup := st.tuple(pl.Proto, pl.Outside, pl.Remote)
	pl.Group, pl.Profile, pl.Inside = r.group, &r.app, tup.Inside
	slot := sh.findSession(tup)
	if slot != 0 && t.liveSession(sh, sh.sessions.at(slot), now) || t.staticOut(tup) != st {
		return drop.Filtered // towards that remote the subscriber has another mapping
	}
	if r.synCheck && !onlySYN(pl.Hints.TCPFlags) {
		return drop.NotSYN
	}
	if slot != 0 {
		return drop.None
	}
	return t.limited(sh, r.group, i, tup.Inside.Addr)
}

// commitStatic makes the session of a packet that decideStatic lets in.
func (t *Table) commitStatic(sh *inside, pl *InPlan, st *static, now int64, after *aftermath) (uint32, drop.Reason) {
	i, _ := protoIndex(pl.Proto)
	r := st.rules(i)
	out := OutPlan{Tuple: st.tuple(pl.Proto, pl.Outside, pl.Remote), Hints: pl.Hints}
	if slot := sh.findSession(out.Tuple); slot != 0 {
		t.expire(sh, slot, now, after)
	}
	return t.newSession(sh, &out, r, dirIn, now, after)
}

// OneToOne returns the NAT address of a subscriber that has one of its own
// towards a remote: its ESP needs no gate (R27).
func (t *Table) OneToOne(inside, remote frame.Addr) (nat frame.Addr, ok bool) {
	s := t.staticOut(Tuple{Inside: frame.Endpoint{Addr: inside}, Remote: frame.Endpoint{Addr: remote}})
	if s == nil {
		return nat, false
	}
	return s.Outside.Addr, true
}

// IKEAddress returns the NAT address that a subscriber's IKE to a server leaves
// from, and so its ESP (R37): that of a static mapping of its port 500, or the
// one it is paired with.
func (t *Table) IKEAddress(inside, server frame.Addr) (nat frame.Addr, ok bool) {
	tup := Tuple{frame.ProtoUDP, frame.Endpoint{Addr: inside, Port: 500}, frame.Endpoint{Addr: server, Port: 500}}
	if s := t.staticOut(tup); s != nil {
		return s.Outside.Addr, true
	}
	return t.PairedAddress(inside)
}

// OwnerOf returns the subscriber that a NAT address belongs to alone, towards
// a remote.
func (t *Table) OwnerOf(nat, remote frame.Addr) (inside frame.Addr, ok bool) {
	s := t.staticIn(0, frame.Endpoint{Addr: nat}, frame.Endpoint{Addr: remote})
	if s == nil {
		return inside, false
	}
	return s.Inside.Addr, true
}
