package ike

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

const (
	nonceLen    = 32
	maxRestarts = 5 // of IKE_SA_INIT: cookies and other groups
)

// startSA begins an IKE SA with its first child.
func (e *Engine) startSA(p *peer, k *Child) {
	sa := e.newSA(p, true, stateInit, e.newSPI())
	sa.local, sa.remote = netip.AddrPortFrom(p.Local, Port), netip.AddrPortFrom(p.Remote, Port)
	sa.ni = e.random(nonceLen)
	dh, err := newKeyPair(p.Proposals[0].Groups[0], e.cfg.Random)
	if err != nil {
		sa.fail(err.Error(), "")
		return
	}
	sa.dh = dh
	sa.sendInit(&task{kind: taskAuth, cfg: k})
}

// sendInit sends IKE_SA_INIT, for the first time or with what the other end
// asked for: a cookie, another group.
func (sa *ikeSA) sendInit(t *task) {
	var c chain
	if sa.cookie != nil {
		c.notify(notifyCookie, sa.cookie)
	}
	c.add(payloadSA, encodeSA(offer(sa.peer.Proposals, protocolIKE, nil, true)))
	sa.finishInit(&c)
	sa.initSent = clearMessage(sa.header(exchangeInit, 0, false), c)
	sa.nextOut = 0
	sa.await(exchangeInit, [][]byte{sa.initSent}, t)
}

// finishInit adds what both directions of IKE_SA_INIT have.
func (sa *ikeSA) finishInit(c *chain) {
	nonce := sa.ni
	if !sa.initiator {
		nonce = sa.nr
	}
	c.add(payloadKE, (&keyExchange{sa.dh.group, sa.dh.public}).encode())
	c.add(payloadNonce, nonce)
	sa.addNAT(c)
	if !sa.initiator {
		sa.addCertRequest(c)
	}
	if !sa.peer.NoFragments {
		c.notify(notifyFragmentation, nil)
	}
	c.notify(notifySignatureAlgorithms, hashNotify())
}

// learnInit takes what both directions of IKE_SA_INIT say.
func (sa *ikeSA) learnInit(c *content) {
	sa.fragments = c.find(notifyFragmentation) != nil && !sa.peer.NoFragments
	if n := c.find(notifySignatureAlgorithms); n != nil {
		sa.hashes = parseHashes(n.data)
	}
	sa.detectNAT(c)
}

// ignored logs an unauthenticated failure. The SA goes on trying: anybody can
// have sent it (RFC 7296 section 2.21.1).
func (sa *ikeSA) ignored(why, remedy string) {
	if sa.reported == "" {
		sa.e.shout(sa.event(Ignored, why, remedy+"; until then the request is repeated, since the answer may be forged"))
	}
	sa.reported, sa.remedy = why, remedy
}

// initResponse handles the answer to IKE_SA_INIT, which is not authenticated.
func (sa *ikeSA) initResponse(m arrival) {
	c, f := parseContent(m.h.next, m.b[headerLen:])
	if f != nil {
		sa.e.Malformed++
		return
	}
	if sa.restart(c) {
		return
	}
	if n := c.failure(); n != nil {
		why, remedy := "the other end says "+n.kind.String(), "see what the other end's log says about it"
		if n.kind == notifyNoProposal {
			why += ": offered was " + describe(offer(sa.peer.Proposals, protocolIKE, nil, true))
			remedy = "configure one of these for the peer at the other end, and check that it has this router as its peer"
		}
		sa.ignored(why, remedy)
		return
	}
	if c.sa == nil || c.ke == nil || c.nonce == nil || m.h.spiR == 0 {
		sa.e.Malformed++
		return
	}
	got, ok := choose(c.sa, sa.peer.Proposals, protocolIKE, 0, true)
	if !ok || len(c.sa) != 1 || got.group != sa.dh.group || c.ke.group != got.group {
		sa.ignored("the other end chose what was not offered: "+describe(c.sa), "report it to the maker of the other end")
		return
	}
	secret, err := sa.dh.shared(c.ke.public)
	if err != nil {
		sa.ignored(err.Error(), "report it to the maker of the other end")
		return
	}
	t := sa.pending.task
	sa.pending = nil
	sa.spiR, sa.nr, sa.suite = m.h.spiR, bytes.Clone(c.nonce), got.suite
	sa.deriveInitial(secret)
	sa.initGot = bytes.Clone(m.b)
	sa.learnInit(c)
	sa.float()
	sa.state = stateAuth
	sa.authBegin(t)
}

func (sa *ikeSA) deriveInitial(secret []byte) {
	seed := sa.suite.seedInitial(secret, sa.ni, sa.nr)
	sa.setKeys(sa.suite.deriveIKE(seed, sa.ni, sa.nr, sa.spiI, sa.spiR))
	clear(seed)
	clear(secret)
}

// restart sends IKE_SA_INIT again with a cookie or for another group.
func (sa *ikeSA) restart(c *content) bool {
	if c.sa != nil || sa.restarts == maxRestarts {
		return false
	}
	if n := c.find(notifyCookie); n != nil && len(n.data) > 0 && len(n.data) <= maxCookie {
		sa.cookie = bytes.Clone(n.data)
	} else if g, ok := otherGroup(c, sa.dh.group, sa.peer.Proposals); ok {
		dh, err := newKeyPair(g, sa.e.cfg.Random)
		if err != nil {
			return false
		}
		sa.dh.wipe()
		sa.dh = dh
	} else {
		return false
	}
	sa.restarts++
	sa.sendInit(sa.pending.task)
	return true
}

// otherGroup reads INVALID_KE_PAYLOAD: a group that was offered, and another
// than was tried.
func otherGroup(c *content, tried Group, ours []Proposal) (Group, bool) {
	n := c.find(notifyInvalidKE)
	if n == nil || len(n.data) != 2 {
		return 0, false
	}
	g := Group(binary.BigEndian.Uint16(n.data))
	offered := slices.ContainsFunc(ours, func(p Proposal) bool { return slices.Contains(p.Groups, g) })
	return g, g != tried && g != NoGroup && offered
}

// initRequest handles a first message. Nothing is kept of it before a cookie
// came back, if there are many that are half open.
func (e *Engine) initRequest(m arrival) {
	key := initKey{m.remote, m.h.spiI}
	if sa := e.inits[key]; sa != nil {
		if sa.last != nil && hashOfMessage(m.b) == sa.last.hash {
			e.repeat(sa.last)
		}
		return
	}
	c, f := parseContent(m.h.next, m.b[headerLen:])
	switch {
	case f != nil && f.kind == notifyCritical:
		e.answerClear(m, f.kind, f.data)
		return
	case f != nil || c.sa == nil || c.ke == nil || c.nonce == nil:
		e.Malformed++
		return
	}
	peers := e.candidates(m.local.Addr(), m.remote.Addr())
	if len(peers) == 0 {
		e.shout(Event{Kind: Refused, Local: m.local, Remote: m.remote, Reason: "no peer is configured for this address",
			Remedy: "add an IKE peer with this remote address, or one for any address"})
		e.answerClear(m, notifyNoProposal, nil)
		return
	}
	if !e.admit(m, c) {
		return
	}
	p, got, ok := pickPeer(peers, c.sa)
	if !ok {
		e.Failures++
		e.shout(Event{Kind: IKEFailed, Peer: peers[0].Name, Local: m.local, Remote: m.remote,
			Reason: fmt.Sprintf("NO_PROPOSAL_CHOSEN: the other end offers %s; configured is %s", describe(c.sa), join(peers[0].Proposals)),
			Remedy: "configure one of the offered proposals, or the configured one at the other end"})
		e.answerClear(m, notifyNoProposal, nil)
		return
	}
	if got.group != c.ke.group {
		e.answerClear(m, notifyInvalidKE, binary.BigEndian.AppendUint16(nil, uint16(got.group)))
		return
	}
	e.accept(m, c, p, got)
}

// candidates lists the peers that may be at an address, those with a fixed
// address first.
func (e *Engine) candidates(local, remote netip.Addr) []*peer {
	var exact, open []*peer
	for _, p := range e.peers {
		switch {
		case p.Local != local:
		case p.any():
			open = append(open, p)
		case p.Remote == remote:
			exact = append(exact, p)
		}
	}
	return append(exact, open...)
}

func pickPeer(peers []*peer, offered []proposal) (*peer, choice, bool) {
	for _, p := range peers {
		if got, ok := choose(offered, p.Proposals, protocolIKE, 0, true); ok {
			return p, got, true
		}
	}
	return nil, choice{}, false
}

// admit bounds half-open SAs and asks for cookies when there are many.
func (e *Engine) admit(m arrival, c *content) bool {
	all, same := 0, 0
	for _, sa := range e.list {
		if sa.state == stateHalfOpen {
			all++
			if sa.remote.Addr() == m.remote.Addr() {
				same++
			}
		}
	}
	if all >= e.cfg.CookiesFrom {
		n := c.find(notifyCookie)
		if n == nil || !e.jar.good(e, n.data, m.remote, m.h.spiI, c.nonce) {
			e.CookiesAsked++
			e.answerClear(m, notifyCookie, e.jar.bake(e, m.remote, m.h.spiI, c.nonce))
			return false
		}
	}
	if all >= e.cfg.MaxHalfOpen || same >= e.cfg.MaxHalfOpenOf || len(e.list) >= e.cfg.MaxSAs {
		e.HalfOpenRefused++
		e.shout(Event{Kind: Refused, Local: m.local, Remote: m.remote, Reason: "too many IKE SAs are half open",
			Remedy: "if it is no attack, let the peer finish what it began, or raise the limit"})
		return false
	}
	return true
}

// accept makes a half-open SA and answers.
func (e *Engine) accept(m arrival, c *content, p *peer, got choice) {
	dh, err := newKeyPair(got.group, e.cfg.Random)
	if err != nil {
		return
	}
	secret, err := dh.shared(c.ke.public)
	if err != nil {
		e.Malformed++
		return
	}
	sa := e.newSA(p, false, stateHalfOpen, e.newSPI())
	sa.local, sa.remote, sa.marker = m.local, m.remote, m.marker
	sa.spiI, sa.suite, sa.dh = m.h.spiI, got.suite, dh
	sa.key = initKey{m.remote, m.h.spiI}
	e.inits[sa.key] = sa
	sa.ni, sa.nr = bytes.Clone(c.nonce), e.random(nonceLen)
	sa.dueHalfOpen = e.now + int64(e.cfg.HalfOpenLifetime)
	sa.initGot = bytes.Clone(m.b)
	sa.deriveInitial(secret)
	sa.learnInit(c)
	var out chain
	out.add(payloadSA, got.answer(protocolIKE, nil))
	sa.finishInit(&out)
	sa.initSent = clearMessage(sa.header(exchangeInit, 0, true), out)
	sa.last = &response{hash: hashOfMessage(m.b), datagrams: [][]byte{sa.initSent}, local: m.local, remote: m.remote, marker: m.marker}
	sa.nextIn = 1
	sa.transmit(sa.last.datagrams)
}
