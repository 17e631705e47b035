package ike

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// lameTime is how long an SA that was replaced waits for the other end's
// delete before it is dropped.
const lameTime = 120 * second

// rekey queues the replacement of the IKE SA.
func (sa *ikeSA) rekey() {
	if sa.state != stateUp || slices.ContainsFunc(sa.allTasks(), func(t *task) bool { return t.kind == taskRekey }) {
		return
	}
	sa.rekeyAt = Never
	sa.tasks = append(sa.tasks, &task{kind: taskRekey, group: sa.suite.group})
}

func spiBytes(spi uint64) []byte { return binary.BigEndian.AppendUint64(nil, spi) }

// rekeyBegin sends CREATE_CHILD_SA for the IKE SA itself (RFC 7296 section 1.3.2).
func (sa *ikeSA) rekeyBegin(t *task) {
	if sa.state != stateUp || sa.next != nil {
		return
	}
	dh, err := newKeyPair(t.group, sa.e.cfg.Random)
	if err != nil {
		sa.rekeyFailed(err.Error())
		return
	}
	t.dh, t.ike, t.ni = dh, sa.e.newSPI(), sa.e.random(nonceLen)
	var c chain
	c.add(payloadSA, encodeSA(offer(sa.peer.Proposals, protocolIKE, spiBytes(t.ike), true)))
	c.add(payloadNonce, t.ni)
	c.add(payloadKE, (&keyExchange{dh.group, dh.public}).encode())
	sa.request(exchangeChild, c, t)
}

// rekeyFailed tries again later; at the end of its life the SA ends.
func (sa *ikeSA) rekeyFailed(why string) {
	sa.e.Failures++
	sa.e.log(sa.event(IKEFailed, "rekeying failed: "+why, "see what the other end's log says about it"))
	sa.rekeyAt = sa.e.now + sa.e.jitter(int64(sa.e.cfg.RetryAfter))
}

// rekeyResponse handles the answer to our rekeying of the IKE SA.
func (sa *ikeSA) rekeyResponse(t *task, c *content) {
	defer t.dh.wipe()
	if n := c.failure(); n != nil && c.sa == nil {
		sa.rekeyRefused(t, c, n)
		return
	}
	made, why := sa.rekeyed(t, c)
	switch {
	case made == nil:
		sa.rekeyFailed(why)
		if sa.next != nil {
			sa.adopt(sa.next)
		}
	case sa.next == nil:
		sa.adopt(made)
		sa.close("it was rekeyed", 0)
	case bytes.Compare(low(t.ni, c.nonce), sa.nextLow) < 0:
		// Ours has the lowest nonce of both: we delete it, and the other end
		// deletes the old SA (RFC 7296 section 2.8.1).
		made.state = stateRekeyed
		made.close("both ends rekeyed", 0)
		sa.adopt(sa.next)
	default:
		theirs := sa.next
		sa.next, theirs.prev = nil, nil
		theirs.retire()
		sa.adopt(made)
		sa.close("it was rekeyed", 0)
	}
}

// rekeyRefused handles an error notify in place of a new IKE SA.
func (sa *ikeSA) rekeyRefused(t *task, c *content, n *notify) {
	g, again := otherGroup(c, t.group, sa.peer.Proposals)
	switch {
	case sa.next != nil:
		sa.adopt(sa.next)
	case again && t.tries < 3:
		t.group = g
		t.tries++
		sa.tasks = append([]*task{t}, sa.tasks...)
	case n.kind == notifyTemporary && sa.later(t):
	default:
		sa.rekeyFailed("the other end says " + n.kind.String())
	}
}

// rekeyed makes the new SA of the answer.
func (sa *ikeSA) rekeyed(t *task, c *content) (*ikeSA, string) {
	if c.sa == nil || c.ke == nil || c.nonce == nil {
		return nil, "the answer lacks payloads"
	}
	got, ok := choose(c.sa, sa.peer.Proposals, protocolIKE, 8, true)
	if !ok || len(c.sa) != 1 || got.group != t.dh.group || c.ke.group != got.group {
		return nil, "the other end chose what was not offered: " + describe(c.sa)
	}
	secret, err := t.dh.shared(c.ke.public)
	if err != nil {
		return nil, err.Error()
	}
	n := sa.e.newSA(sa.peer, true, stateSpare, t.ike)
	n.spiR = binary.BigEndian.Uint64(got.spi)
	n.inherit(sa, got.suite, secret, t.ni, c.nonce)
	return n, ""
}

// inherit gives a new SA what it has from the one before (RFC 7296 section 2.18).
func (sa *ikeSA) inherit(old *ikeSA, s suite, secret, ni, nr []byte) {
	sa.local, sa.remote, sa.marker = old.local, old.remote, old.marker
	sa.natHere, sa.natThere, sa.fragments, sa.hashes, sa.identity = old.natHere, old.natThere, old.fragments, old.hashes, old.identity
	sa.suite = s
	seed := seedRekey(old.suite.prf, old.keys.d, secret, ni, nr)
	sa.setKeys(s.deriveIKE(seed, ni, nr, sa.spiI, sa.spiR))
	clear(seed)
	clear(secret)
}

// rekeyRequest handles the other end's rekeying of the IKE SA.
func (sa *ikeSA) rekeyRequest(c *content) {
	ours := sa.pending != nil && sa.pending.task.kind == taskRekey
	if sa.pending != nil && (sa.pending.task.kind == taskChild || sa.pending.task.kind == taskDeleteChild) {
		sa.refuse(exchangeChild, notifyTemporary, nil)
		return
	}
	got, ok := choose(c.sa, sa.peer.Proposals, protocolIKE, 8, true)
	switch {
	case !ok:
		sa.e.Failures++
		sa.e.log(sa.event(IKEFailed, fmt.Sprintf("NO_PROPOSAL_CHOSEN: to rekey, the other end offers %s; configured is %s", describe(c.sa), join(sa.peer.Proposals)),
			"configure the same proposals for rekeying as for the first IKE SA"))
		sa.refuse(exchangeChild, notifyNoProposal, nil)
		return
	case c.ke == nil:
		sa.refuse(exchangeChild, notifyInvalidSyntax, nil)
		return
	case len(sa.e.list) >= sa.e.cfg.MaxSAs:
		sa.refuse(exchangeChild, notifyNoAdditional, nil)
		return
	}
	dh, secret, kind, data := sa.respondKE(c, got.group)
	if kind != 0 {
		sa.refuse(exchangeChild, kind, data)
		return
	}
	n := sa.e.newSA(sa.peer, false, stateSpare, sa.e.newSPI())
	n.spiI = binary.BigEndian.Uint64(got.spi)
	nr := sa.e.random(nonceLen)
	n.inherit(sa, got.suite, secret, c.nonce, nr)
	var out chain
	out.add(payloadSA, got.answer(protocolIKE, spiBytes(n.spiR)))
	out.add(payloadNonce, nr)
	out.add(payloadKE, (&keyExchange{dh.group, dh.public}).encode())
	dh.wipe()
	sa.next, n.prev, sa.nextLow = n, sa, bytes.Clone(low(c.nonce, nr))
	sa.respond(exchangeChild, out)
	if !ours {
		sa.adopt(n)
	}
}

// adopt makes n the SA that all children and tasks are with, and waits for
// the old one's end.
func (sa *ikeSA) adopt(n *ikeSA) {
	if sa.next == n {
		sa.next = nil
	}
	n.prev = nil
	for _, c := range sa.children {
		c.sa = n
	}
	n.children = append(n.children, sa.children...)
	sa.children = nil
	for _, t := range sa.tasks {
		if t.kind != taskRekey && t.kind != taskProbe {
			n.tasks = append(n.tasks, t)
		}
	}
	sa.tasks = nil
	n.established()
	sa.retire()
	sa.e.IKERekeys++
	sa.e.log(n.event(IKERekeyed, fmt.Sprintf("takes over from %d: %v", sa.number, n.suite), ""))
}

// retire leaves an SA to the other end, which deletes it.
func (sa *ikeSA) retire() {
	sa.state, sa.rekeyAt, sa.endAt = stateRekeyed, Never, sa.e.now+lameTime
}
