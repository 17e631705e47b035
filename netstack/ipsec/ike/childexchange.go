package ike

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// childResponse handles the answer to CREATE_CHILD_SA for a child.
func (sa *ikeSA) childResponse(t *task, c *content) {
	defer func() { sa.early = nil }()
	if n := c.failure(); n != nil && c.sa == nil {
		sa.childRefused(t, n)
		return
	}
	if c.nonce == nil {
		sa.childFailed(t, "the answer has no nonce", "report it to the maker of the other end")
		return
	}
	child := sa.finishChild(t, c, t.ni, c.nonce, t.dh)
	if child == nil || t.old == nil {
		return
	}
	old := t.old
	old.rekeying = false
	// Both ends rekeyed the same child: the pair with the lowest nonce goes,
	// the end that made it deletes it, and the other deletes the old one
	// (RFC 7296 section 2.8.1).
	if old.next != nil && bytes.Compare(low(t.ni, c.nonce), old.nextLow) < 0 {
		child.close()
		return
	}
	old.close()
}

// childRefused handles an error notify in place of a child.
func (sa *ikeSA) childRefused(t *task, n *notify) {
	tried := NoGroup
	if t.dh != nil {
		tried = t.dh.group
	}
	g, again := otherGroup(&content{notifies: []notify{*n}}, tried, t.cfg.Proposals)
	switch {
	case n.kind == notifyInvalidKE && again && t.tries < 3:
		t.dh.wipe()
		t.group, t.dh = g, nil
		t.tries++
		sa.tasks = append([]*task{t}, sa.tasks...)
	case n.kind == notifyTemporary && sa.later(t):
	case n.kind == notifyChildNotFound && t.old != nil:
		sa.notFound(t)
	default:
		why, remedy := sa.refusal(t.cfg, n)
		sa.childFailed(t, why, remedy)
	}
}

// notFound handles that the other end lacks the child which we want to
// replace: ours is removed and made anew, unless the other end has replaced or
// deleted it in the meantime (RFC 7296 section 2.25.1).
func (sa *ikeSA) notFound(t *task) {
	old := t.old
	t.abandon(sa.e)
	if old.gone || old.next != nil {
		return
	}
	old.remove("the other end does not have it any more")
	sa.tasks = append(sa.tasks, &task{kind: taskChild, cfg: t.cfg})
}

// refusal words an error notify about a child, with the remedy.
func (sa *ikeSA) refusal(k *Child, n *notify) (why, remedy string) {
	why = "the other end says " + n.kind.String()
	switch n.kind {
	case notifyNoProposal:
		return fmt.Sprintf("%s: offered was %s", why, join(k.Proposals)),
			"configure one of these for the child at the other end, with the same mode (" + k.Mode.String() + ")"
	case notifyTSUnacceptable:
		return fmt.Sprintf("%s: offered was local %s, remote %s", why, selectorText(k.Local), selectorText(k.Remote)),
			"configure the mirrored selectors at the other end"
	case notifyNoAdditional:
		return why, "raise the other end's limit of children"
	}
	return why, "see what the other end's log says about it"
}

// finishChild makes a child of the answer, and deletes one that is not what
// was asked for. dh is nil where there was no key exchange.
func (sa *ikeSA) finishChild(t *task, c *content, ni, nr []byte, dh *keyPair) *childSA {
	if c.sa == nil || c.tsi == nil || c.tsr == nil {
		why, remedy := "the answer has no child", "report it to the maker of the other end"
		if n := c.failure(); n != nil {
			why, remedy = sa.refusal(t.cfg, n)
		}
		sa.childFailed(t, why, remedy)
		return nil
	}
	create := t.kind == taskChild
	got, ok := choose(c.sa, t.cfg.Proposals, protocolESP, 4, create)
	if !ok || len(c.sa) != 1 {
		sa.childFailed(t, "the other end chose what was not offered: "+describe(c.sa), "report it to the maker of the other end")
		return nil
	}
	m := made{cfg: t.cfg, suite: got.suite, in: t.spi, out: binary.BigEndian.Uint32(got.spi), local: c.tsi, remote: c.tsr,
		initiator: true, old: t.old}
	secret, wrong := sa.childSecret(t, c, got.group)
	if c.find(notifyTransport) != nil {
		m.mode = Transport
	}
	remedy := "configure the same at both ends"
	switch {
	case m.mode != t.cfg.Mode:
		wrong = fmt.Sprintf("the other end makes it a child in %v mode; configured is %v", m.mode, t.cfg.Mode)
	case !subset(c.tsi, t.cfg.Local) || !subset(c.tsr, t.cfg.Remote):
		// OpenIKED answers with its own selectors, whatever was offered.
		wrong = fmt.Sprintf("the other end makes it a child of local %s, remote %s, which is not within what was offered: local %s, remote %s",
			selectorText(c.tsi), selectorText(c.tsr), selectorText(t.cfg.Local), selectorText(t.cfg.Remote))
		remedy = "configure the mirrored selectors at the other end"
	}
	m.keys = got.deriveChild(sa.suite.prf, sa.keys.d, secret, ni, nr)
	clear(secret)
	if wrong != "" {
		sa.newChild(m, false).close()
		t.spi = 0
		sa.childFailed(t, wrong, remedy)
		return nil
	}
	child := sa.newChild(m, true)
	t.spi = 0
	t.dh.wipe()
	if slices.Contains(sa.early, m.out) {
		child.remove("the other end deleted it")
	}
	return child
}

// childSecret finishes the key exchange of CREATE_CHILD_SA.
func (sa *ikeSA) childSecret(t *task, c *content, g Group) (secret []byte, wrong string) {
	if g == NoGroup {
		return nil, ""
	}
	if t.dh == nil || c.ke == nil || c.ke.group != g || t.dh.group != g {
		return nil, "the other end's key exchange does not fit the proposal it chose"
	}
	secret, err := t.dh.shared(c.ke.public)
	if err != nil {
		return nil, err.Error()
	}
	return secret, ""
}

// childRequest handles CREATE_CHILD_SA of the other end (RFC 7296 section 2.25).
func (sa *ikeSA) childRequest(c *content) {
	switch {
	case sa.state != stateUp || sa.next != nil:
		sa.refuse(exchangeChild, notifyTemporary, nil)
	case c.sa == nil || c.nonce == nil:
		sa.refuse(exchangeChild, notifyInvalidSyntax, nil)
	case c.sa[0].protocol == protocolIKE:
		sa.rekeyRequest(c)
	case sa.pending != nil && sa.pending.task.kind == taskRekey:
		sa.refuse(exchangeChild, notifyTemporary, nil)
	default:
		sa.createRequest(c)
	}
}

func (sa *ikeSA) createRequest(c *content) {
	x := exchangeChildOf{ni: c.nonce, nr: sa.e.random(nonceLen), create: true}
	if n := c.find(notifyRekey); n != nil {
		if n.protocol != protocolESP || len(n.spi) != 4 {
			sa.refuse(exchangeChild, notifyInvalidSyntax, nil)
			return
		}
		x.old = sa.findOut(binary.BigEndian.Uint32(n.spi))
		switch {
		case x.old == nil && sa.creating():
			sa.refuse(exchangeChild, notifyTemporary, nil) // it may come with the answer to us
			return
		case x.old == nil:
			var out chain
			out.add(payloadNotify, (&notify{protocol: protocolESP, kind: notifyChildNotFound, spi: n.spi}).encode())
			sa.respond(exchangeChild, out)
			return
		case x.old.closing || x.old.next != nil:
			sa.refuse(exchangeChild, notifyTemporary, nil)
			return
		}
	}
	var out chain
	child := sa.acceptChild(c, &out, x)
	if child != nil && x.old != nil {
		x.old.next, x.old.nextLow = child, bytes.Clone(low(x.ni, x.nr))
		x.old.rekeyAt = Never
	}
	sa.respond(exchangeChild, out)
}

// exchangeChildOf is the exchange that a child of the other end comes in.
type exchangeChildOf struct {
	ni, nr []byte
	create bool // CREATE_CHILD_SA, not IKE_AUTH
	old    *childSA
}

// offerOf is what fits between a request and a configured child.
type offerOf struct {
	cfg           *Child
	got           choice
	local, remote []Selector
}

// acceptChild makes the child that the other end asks for, and adds it or the
// error to the answer.
func (sa *ikeSA) acceptChild(c *content, out *chain, x exchangeChildOf) *childSA {
	if c.sa == nil && !x.create { // RFC 6023
		return nil
	}
	if len(sa.children) >= sa.e.cfg.MaxChildren {
		out.notify(notifyNoAdditional, nil)
		return nil
	}
	o, kind, ev := sa.match(c, x)
	if kind != 0 {
		sa.e.Failures++
		sa.e.log(ev)
		out.notify(kind, nil)
		return nil
	}
	dh, secret, kind, data := sa.respondKE(c, o.got.group)
	if kind != 0 {
		out.notify(kind, data)
		return nil
	}
	m := made{cfg: o.cfg, suite: o.got.suite, in: sa.e.newChildSPI(), out: binary.BigEndian.Uint32(o.got.spi),
		mode: o.cfg.Mode, local: o.local, remote: o.remote, old: x.old}
	m.keys = o.got.deriveChild(sa.suite.prf, sa.keys.d, secret, x.ni, x.nr)
	clear(secret)
	if o.cfg.Mode == Transport {
		out.notify(notifyTransport, nil)
	}
	out.add(payloadSA, o.got.answer(protocolESP, binary.BigEndian.AppendUint32(nil, m.in)))
	if x.create {
		out.add(payloadNonce, x.nr)
	}
	if dh != nil {
		out.add(payloadKE, (&keyExchange{dh.group, dh.public}).encode())
		dh.wipe()
	}
	out.add(payloadTSi, encodeSelectors(o.remote))
	out.add(payloadTSr, encodeSelectors(o.local))
	return sa.newChild(m, true)
}

// respondKE does the responder's half of a child's key exchange.
func (sa *ikeSA) respondKE(c *content, g Group) (dh *keyPair, secret []byte, kind notifyType, data []byte) {
	if g == NoGroup {
		return nil, nil, 0, nil
	}
	if c.ke == nil || c.ke.group != g {
		return nil, nil, notifyInvalidKE, binary.BigEndian.AppendUint16(nil, uint16(g))
	}
	dh, err := newKeyPair(g, sa.e.cfg.Random)
	if err != nil {
		return nil, nil, notifyNoAdditional, nil
	}
	if secret, err = dh.shared(c.ke.public); err != nil {
		return nil, nil, notifyInvalidSyntax, nil
	}
	return dh, secret, 0, nil
}

// match finds the configured child that fits a request. First those count
// whose selectors cover all that was asked for, then those that narrow it.
func (sa *ikeSA) match(c *content, x exchangeChildOf) (offerOf, notifyType, Event) {
	ev := sa.event(ChildFailed, fmt.Sprintf("TS_UNACCEPTABLE: the other end offers local %s, remote %s; configured is %s",
		selectorText(c.tsr), selectorText(c.tsi), sa.selectors()), "configure a child with these selectors, or mirror the configured ones at the other end")
	kind := notifyTSUnacceptable
	for _, whole := range []bool{true, false} {
		for i := range sa.peer.Children {
			k := &sa.peer.Children[i]
			if x.old != nil && x.old.cfg != k || whole && !(subset(c.tsr, k.Local) && subset(c.tsi, k.Remote)) {
				continue
			}
			o := offerOf{cfg: k, local: narrowSelectors(c.tsr, k.Local), remote: narrowSelectors(c.tsi, k.Remote)}
			if len(o.local) == 0 || len(o.remote) == 0 {
				continue
			}
			ev.Child = k.Name
			got, ok := choose(c.sa, k.Proposals, protocolESP, 4, x.create)
			if o.got = got; ok && (k.Mode == Tunnel || c.find(notifyTransport) != nil) {
				return o, 0, ev
			}
			kind = notifyNoProposal
			ev.Reason = fmt.Sprintf("NO_PROPOSAL_CHOSEN: the other end offers %s; configured is %s", describe(c.sa), join(k.Proposals))
			ev.Remedy = "configure one of the offered proposals for the child, or the configured one at the other end"
			if ok {
				ev.Reason, ev.Remedy = "the other end offers tunnel mode; configured is transport", "configure the same mode at both ends"
			}
		}
	}
	return offerOf{}, kind, ev
}

// selectors words those of all children of the peer.
func (sa *ikeSA) selectors() string {
	var out string
	for i, k := range sa.peer.Children {
		if i > 0 {
			out += "; "
		}
		out += fmt.Sprintf("local %s, remote %s", selectorText(k.Local), selectorText(k.Remote))
	}
	return out
}
