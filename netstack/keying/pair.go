package keying

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"spigate/netstack/frame"
	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// pair is a child of IKE in the database.
type pair struct {
	child   ike.ChildSA     // without keys
	in, out *ipsec.SA       // nil: not there, not there yet, not any more
	later   *ipsec.SAConfig // the outbound half, with keys, until it is added
	held    bool            // it waits for the other end to use the pair
	ending  bool            // the engine removes it in this very call
}

// sorted lists the pairs by SPI: the same every time.
func (k *Keyer) sorted() []*pair {
	out := make([]*pair, 0, len(k.pairs))
	for _, in := range slices.Sorted(maps.Keys(k.pairs)) {
		out = append(out, k.pairs[in])
	}
	return out
}

// install adds the inbound half of a pair, and the outbound one if it takes
// over from another at once. It returns the pair if its outbound half is to be
// added after what is sent.
func (k *Keyer) install(c *ike.ChildSA) *pair {
	p := &pair{child: *c}
	p.child.KeysIn, p.child.KeysOut = ike.Keys{}, ike.Keys{}
	in, out, err := k.configs(c)
	if err == nil {
		p.in, err = k.deps.Database.Add(c.Name, in, k.now)
	}
	c.KeysIn.Wipe()
	if err != nil {
		c.KeysOut.Wipe()
		k.refused(p, err)
		return nil
	}
	p.later = &out
	k.pairs[c.In], k.bySA[p.in] = p, p
	k.named[c.Name] = append(k.named[c.Name], p)
	old := k.pairs[c.Replaces]
	switch {
	case old == nil || old.out == nil && old.later == nil:
		return p
	case c.Hold:
		p.held = true
		k.queue.hold(c.In)
	default:
		k.open(p)
	}
	return nil
}

// refused says why a pair cannot be, and has it deleted at the other end.
func (k *Keyer) refused(p *pair, err error) {
	c := &p.child
	k.out = append(k.out, output{event: &ike.Event{At: k.now, Kind: ike.ChildFailed, Peer: c.Peer, Child: c.Name, IKE: c.IKE,
		Local: c.Local, Remote: c.Remote, In: c.In, Out: c.Out, Reason: "it cannot be installed: " + err.Error(),
		Remedy: "it is deleted at the other end; compare the traffic selector and its policy with what the peer is configured for, and see how many SAs there are"}})
	k.doomed = append(k.doomed, c.In)
}

// open adds the outbound half of a pair, and before it those of the pairs that
// it takes over from, so that the youngest is the first choice.
func (k *Keyer) open(p *pair) {
	if p.later == nil {
		return
	}
	c := p.later
	p.later = nil
	k.unhold(p)
	if old := k.pairs[p.child.Replaces]; old != nil {
		k.open(old)
	}
	sa, err := k.deps.Database.Add(p.child.Name, *c, k.now)
	c.Keys.Wipe()
	if err != nil {
		k.drop(p)
		k.refused(p, err)
		return
	}
	p.out = sa
	k.bySA[sa] = p
	delete(k.tries, p.child.Name)
	k.out = append(k.out, output{release: p.child.Name})
}

func (k *Keyer) unhold(p *pair) {
	if p.held {
		p.held = false
		k.queue.unhold(p.child.In)
	}
}

// forgo gives up an outbound half that is not there yet.
func (k *Keyer) forgo(p *pair) {
	k.unhold(p)
	if p.later != nil {
		p.later.Keys.Wipe()
		p.later = nil
	}
}

// succeed lets those take over that wait for p to go.
func (k *Keyer) succeed(p *pair) {
	for _, q := range slices.Clone(k.named[p.child.Name]) {
		if q.held && q.child.Replaces == p.child.In {
			k.open(q)
		}
	}
}

// drop takes a pair out of the database. Its successors are there before it
// goes.
func (k *Keyer) drop(p *pair) {
	if k.pairs[p.child.In] != p {
		return
	}
	k.forgo(p)
	k.succeed(p)
	delete(k.pairs, p.child.In)
	name := p.child.Name
	k.named[name] = slices.DeleteFunc(k.named[name], func(q *pair) bool { return q == p })
	if len(k.named[name]) == 0 {
		delete(k.named, name)
	}
	k.remove(&p.out)
	k.remove(&p.in)
}

// lingers is how long the inbound half of a pair stays in the database after its
// end: longer than packets are under way.
const lingers = 5 * time.Second

const maxLingering = 1024

// Lingering lists the inbound SAs that only take what is still under way, by SPI,
// and for how long.
func (k *Keyer) Lingering(now int64) map[uint32]time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[uint32]time.Duration{}
	for _, r := range k.rests {
		out[r.sa.SPI] = time.Duration(max(r.until-now, 0))
	}
	return out
}

// rest is an inbound half whose pair has ended.
type rest struct {
	sa    *ipsec.SA
	until int64
}

// linger keeps the inbound half of a pair for a few seconds if its traffic goes
// on over another pair: packets that were sent before the other end deleted it
// may be slower than its delete, on the way or in our own queues.
func (k *Keyer) linger(p *pair) {
	if p.in == nil || len(k.rests) >= maxLingering || !k.goesOn(p) {
		return
	}
	delete(k.bySA, p.in)
	k.rests = append(k.rests, rest{p.in, k.now + int64(lingers)})
	p.in = nil
}

// goesOn reports whether another pair carries the traffic of p.
func (k *Keyer) goesOn(p *pair) bool {
	return slices.ContainsFunc(k.named[p.child.Name], func(q *pair) bool {
		return q != p && q.child.Peer == p.child.Peer && q.in != nil && !q.ending
	})
}

// sweep ends what has lingered. They stand in the order of their time.
func (k *Keyer) sweep() {
	for len(k.rests) > 0 && k.rests[0].until <= k.now {
		k.deps.Database.Remove(k.rests[0].sa)
		k.rests = k.rests[1:]
	}
}

// laidToRest forgets what lingered: the database has ended it.
func (k *Keyer) laidToRest(sa *ipsec.SA) {
	k.rests = slices.DeleteFunc(k.rests, func(r rest) bool { return r.sa == sa })
}

// remove takes one half away.
func (k *Keyer) remove(half **ipsec.SA) {
	if *half == nil {
		return
	}
	delete(k.bySA, *half)
	k.deps.Database.Remove(*half)
	*half = nil
}

// halfEnded stops sending on a pair of which one half is over. The inbound
// half, if it is the other one, stays until the other end has heard.
func (k *Keyer) halfEnded(p *pair, sa *ipsec.SA) {
	k.forgo(p)
	k.succeed(p)
	if sa == p.in {
		k.remove(&p.in)
	}
	k.remove(&p.out)
}

// follow lets the engine decide about peers whose packets come from elsewhere.
func (k *Keyer) follow(moved map[uint32]frame.Endpoint) {
	for _, in := range slices.Sorted(maps.Keys(moved)) {
		to := moved[in]
		k.run(k.engine.PeerSeen(in, netip.AddrPortFrom(netip.AddrFrom4(to.Addr), to.Port), k.now))
	}
}

// move follows a peer to another address or port (RFC 7296 section 2.23).
func (k *Keyer) move(c *ike.ChildSA) {
	p := k.pairs[c.In]
	if p == nil || !c.Remote.Addr().Is4() {
		return
	}
	p.child.Local, p.child.Remote = c.Local, c.Remote
	to := remote(&p.child)
	for _, sa := range []*ipsec.SA{p.in, p.out} {
		if sa != nil {
			sa.Redirect(to)
		}
	}
	if p.later != nil {
		p.later.Remote, p.later.RemotePort = to.Addr, to.Port
	}
}

// remote is the other end of a child, with a port if ESP goes in UDP.
func remote(c *ike.ChildSA) frame.Endpoint {
	e := frame.Endpoint{Addr: c.Remote.Addr().As4()}
	if c.UDP {
		e.Port = c.Remote.Port()
	}
	return e
}
