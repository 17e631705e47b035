package keying

import (
	"fmt"
	"slices"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// do carries out what the engine asks for, in the order given, but for what
// leaves: that is put out, for flush.
//
// A pair that replaces none gets its outbound half behind all that is sent: a
// packet that came before the answer which makes the pair would find nothing
// at the other end. One that replaces another gets it at once: the delete of
// the old one may be among what is sent, and nothing may follow it on that.
func (k *Keyer) do(list []ike.Action) {
	for _, a := range list {
		if p := k.removed(a); p != nil {
			k.forgo(p)
			p.ending = true
		}
	}
	var fresh []*pair
	for _, a := range list {
		switch a.Kind {
		case ike.Send:
			k.out = append(k.out, output{send: a.Datagram})
		case ike.Log:
			k.out = append(k.out, output{event: a.Event})
		case ike.Install:
			if p := k.install(a.Child); p != nil {
				fresh = append(fresh, p)
			}
		case ike.Remove:
			if p := k.removed(a); p != nil {
				k.linger(p)
				k.drop(p)
			}
		case ike.Move:
			k.move(a.Child)
		}
	}
	for _, p := range fresh {
		k.out = append(k.out, output{open: p})
	}
}

// removed is the pair that an action ends, nil if it ends none that is here.
func (k *Keyer) removed(a ike.Action) *pair {
	if a.Kind != ike.Remove {
		return nil
	}
	return k.pairs[a.Child.In]
}

// flush brings out what was put out.
func (k *Keyer) flush() {
	for len(k.out) > 0 {
		o := k.out[0]
		k.out = k.out[1:]
		switch {
		case o.send != nil:
			k.deps.Send(*o.send)
		case o.event != nil:
			k.log(*o.event)
		case o.open != nil:
			k.open(o.open)
		case k.deps.Release != nil:
			k.deps.Release(o.release)
		}
	}
}

func (k *Keyer) log(e ike.Event) {
	k.remember(e)
	if k.deps.Log != nil {
		k.deps.Log(e)
	}
}

// delete lets the engine delete pairs that cannot stay.
func (k *Keyer) delete() {
	for len(k.doomed) > 0 {
		in := k.doomed[0]
		k.doomed = k.doomed[1:]
		k.do(k.engine.DeleteChild(in, k.now))
	}
}

// carryOut does what an operator wants. A configuration that came in between
// may have taken the name away: then nothing is to be done.
func (k *Keyer) carryOut(o order) {
	switch o.verb {
	case initiate:
		list, err := k.engine.Initiate(k.plan.children[o.name].peer, o.name, k.now)
		if err == nil {
			k.run(list)
		}
	case rekey:
		for _, name := range k.plan.called(o.name) {
			k.run(k.engine.Rekey(name, k.now))
		}
	case rekeyPair:
		for _, p := range slices.Clone(k.named[o.name]) {
			k.run(k.engine.RekeyChild(p.child.In, k.now))
		}
	case terminatePair:
		for _, p := range slices.Clone(k.named[o.name]) {
			k.run(k.engine.DeleteChild(p.child.In, k.now))
		}
	case terminate:
		for _, name := range k.plan.called(o.name) {
			k.run(k.engine.Close(name, k.now))
		}
	}
}

// event does what the end of an SA's life asks for.
func (k *Keyer) event(e ipsec.Event) {
	p := k.bySA[e.SA]
	switch {
	case p == nil && e.Kind == ipsec.SAEnded:
		k.laidToRest(e.SA)
	case p == nil:
	case e.Kind == ipsec.SAEnded:
		k.halfEnded(p, e.SA)
		k.doomed = append(k.doomed, p.child.In)
	case e.Kind == ipsec.RekeyWanted:
		// Both halves ask, each for itself and once: the engine knows that a
		// rekeying is under way, and repeats one that failed.
		k.do(k.engine.RekeyChild(p.child.In, k.now))
	}
}

// try is what became of attempts to get an SA for packets.
type try struct {
	notBefore int64
	wait      time.Duration
	said      int64 // when it was last said that nothing can be done; 0: never
}

const (
	firstWait = 2 * time.Second // between two attempts, then twice as long
	lastWait  = time.Minute     // at most
	sayAgain  = time.Minute
)

// acquire gets an SA for packets that find none. Packets ask every second: a
// peer that refuses is not asked as often, and what cannot be helped is said
// once a minute.
func (k *Keyer) acquire(name string) {
	for _, p := range slices.Clone(k.named[name]) {
		if p.held {
			k.open(p) // before a packet is lost
		}
	}
	r, ok := k.plan.children[name]
	if _, there := k.deps.Database.Policies().Selector(name); !there && !ok {
		return // it has left since
	}
	t := k.tries[name]
	if t == nil {
		t = &try{wait: firstWait}
		k.tries[name] = t
	}
	switch {
	case !ok:
		k.cannot(t, name, "packets of the selector find no security association, and no IKE peer negotiates for it",
			"name a peer in the selector's policy, or give the policy manual security associations")
	case r.waits:
		k.cannot(t, name, "packets of the selector find no security association, and the peer has to begin: it is passive or at any address",
			fmt.Sprintf("bring the tunnel up at the other end, or give peer %q its address and let it not be passive", r.peer))
	case k.now >= t.notBefore:
		list, err := k.engine.Initiate(r.peer, name, k.now)
		if err == nil && len(list) > 0 {
			t.notBefore, t.wait = k.now+int64(t.wait), min(2*t.wait, lastWait)
		}
		k.do(list)
	}
}

// cannot says why there is no SA, now and then.
func (k *Keyer) cannot(t *try, name, why, remedy string) {
	if t.said != 0 && k.now-t.said < int64(sayAgain) {
		return
	}
	t.said = max(k.now, 1)
	k.out = append(k.out, output{event: &ike.Event{At: k.now, Kind: ike.ChildFailed, Peer: k.plan.children[name].peer, Child: name, Reason: why, Remedy: remedy}})
}

// reconcile ends the pairs that the database has let go of. It looks for
// itself: gone, which a change of policies took away, may not be all.
func (k *Keyer) reconcile(gone []*ipsec.SA) {
	for _, sa := range gone {
		k.laidToRest(sa)
	}
	var ended []*pair
	for _, p := range k.sorted() {
		s, ok := k.deps.Database.Policies().Selector(p.child.Name)
		if !ok || s.Protects == nil || p.in != nil && k.deps.Database.Find(p.child.In, p.in.Local) != p.in {
			k.forgo(p)
			ended = append(ended, p)
		}
	}
	for _, p := range ended {
		k.drop(p)
		k.doomed = append(k.doomed, p.child.In)
	}
}
