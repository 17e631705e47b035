package ike

import (
	"reflect"
	"slices"
)

// SetPeers changes the configuration. SAs of peers that stay as they are are
// not touched. Of a peer that only gets other children the IKE SA stays: children
// that are not configured any more are deleted, those with another lifetime or
// other proposals are rekeyed, and the others are not touched. All other SAs are
// closed, and children that should be up come up anew. With a fault nothing is
// changed.
func (e *Engine) SetPeers(peers []Peer, now int64) ([]Action, error) {
	c := e.cfg
	c.Peers = peers
	c.defaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	e.begin(now)
	old := e.peers
	e.peers = nil
	for i := range c.Peers {
		p := newPeer(&c.Peers[i])
		if j := slices.IndexFunc(old, func(o *peer) bool { return o.like(p) }); j >= 0 {
			old[j].adopt(p)
			p = old[j]
			old = slices.Delete(slices.Clone(old), j, j+1)
		}
		e.peers = append(e.peers, p)
	}
	for _, p := range old {
		for _, sa := range e.of(p) {
			sa.close(reasonReload, 0)
		}
	}
	e.cfg.Peers = c.Peers
	return e.finish(), nil
}

const reasonReload = "its configuration has changed"

// like reports whether two peers differ in their children at most.
func (p *peer) like(o *peer) bool {
	a, b := *p.Peer, *o.Peer
	a.Children, b.Children = nil, nil
	return reflect.DeepEqual(a, b)
}

// like reports whether the SAs of a child may serve as those of another one.
func (k *Child) like(o *Child) bool {
	return k.Name == o.Name && k.Mode == o.Mode && reflect.DeepEqual(k.Local, o.Local) && reflect.DeepEqual(k.Remote, o.Remote)
}

// adopt gives a peer the children of one that is like it.
func (p *peer) adopt(with *peer) {
	stays := map[*Child]*Child{}
	for i := range p.Children {
		k := &p.Children[i]
		if j := slices.IndexFunc(with.Children, func(n Child) bool { return n.like(k) }); j >= 0 {
			stays[k], with.retryAt[j] = &with.Children[j], p.retryAt[i]
		}
	}
	p.Peer, p.retryAt = with.Peer, with.retryAt
	for _, sa := range slices.Clone(p.sas) {
		sa.keep(stays)
	}
}

// keep goes over to other children. One that is about to be made and is not
// configured any more is rare: then the IKE SA begins anew.
func (sa *ikeSA) keep(stays map[*Child]*Child) {
	tasks := sa.allTasks()
	if slices.ContainsFunc(tasks, func(t *task) bool { return t.cfg != nil && stays[t.cfg] == nil }) {
		sa.close(reasonReload, 0)
		return
	}
	for _, t := range tasks {
		t.cfg = stays[t.cfg]
	}
	for _, c := range slices.Clone(sa.children) {
		was, is := c.cfg, stays[c.cfg]
		if is == nil {
			c.close()
			continue
		}
		if c.cfg = is; was.Lifetime != is.Lifetime || !reflect.DeepEqual(was.Proposals, is.Proposals) {
			c.rekey()
		}
	}
}
