package keying

import (
	"net/netip"
	"slices"

	"spigate/netstack/ipsec/ike"
)

// PeerInfo is a peer as it is configured, with what failed last. It has no
// secrets.
type PeerInfo struct {
	Name              string
	Local             netip.Addr
	Remote            netip.Addr // not valid: any
	LocalID, RemoteID string
	Passive           bool
	Selectors         []string // that it negotiates for
	Failure           *Failure // nil: nothing has failed since the peer is there
}

// Failure is the latest event that told of something wrong.
type Failure struct {
	ike.Event
	Over bool // what had failed has worked since
}

// Peers lists the peers in the order of the configuration.
func (k *Keyer) Peers() []PeerInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Clone(k.plan.list)
	for i := range out {
		if f := k.failures[out[i].Name]; f != nil {
			copied := *f
			out[i].Failure = &copied
		}
	}
	return out
}

// infoOf is what may be shown of a peer.
func infoOf(p *ike.Peer) PeerInfo {
	i := PeerInfo{Name: p.Name, Local: p.Local, LocalID: p.LocalID.String(), RemoteID: p.RemoteID.String(), Passive: p.Passive}
	if p.Remote.IsValid() && !p.Remote.IsUnspecified() {
		i.Remote = p.Remote
	}
	for _, c := range p.Children {
		i.Selectors = append(i.Selectors, c.Name)
	}
	return i
}

// remember keeps what failed last with each peer, for who asks why a tunnel is
// not up, and notes when it works again. Who the other end is may not be known
// yet: then it is the peer with the address from which it came.
func (k *Keyer) remember(e ike.Event) {
	name := e.Peer
	if name == "" {
		name = k.plan.at(e.Remote.Addr())
	}
	if !k.plan.peers[name] {
		return // nobody's: the log has it
	}
	f := k.failures[name]
	switch e.Kind {
	case ike.IKEFailed, ike.ChildFailed, ike.PeerDead, ike.Refused, ike.Ignored, ike.IKEv1Refused:
		k.failures[name] = &Failure{Event: e}
	case ike.IKEUp, ike.IKERekeyed:
		if f != nil && f.Child == "" {
			f.Over = true
		}
	case ike.ChildUp:
		if f != nil && (f.Child == "" || f.Child == e.Child) {
			f.Over = true
		}
	}
}

// at is the peer with an address, if there is one.
func (p *plan) at(remote netip.Addr) string {
	for i := range p.list {
		if p.list[i].Remote.IsValid() && p.list[i].Remote == remote {
			return p.list[i].Name
		}
	}
	return ""
}

// TerminateChild ends the pairs of SAs of a selector at both ends. One that
// should be up comes up again.
func (k *Keyer) TerminateChild(selector string) error {
	return k.order(order{terminatePair, selector}, func(p *plan) error {
		if _, ok := p.children[selector]; !ok {
			return noPeerFor(selector)
		}
		return nil
	})
}
