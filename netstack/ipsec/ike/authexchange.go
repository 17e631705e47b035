package ike

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"time"
)

// addCertRequest names the authorities by the hashes of their keys (RFC 7296
// section 3.7).
func (sa *ikeSA) addCertRequest(c *chain) {
	if sa.peer.RemoteAuth != Certificate {
		return
	}
	b := []byte{certX509}
	for _, a := range sa.peer.Authorities {
		sum := sha1.Sum(a.RawSubjectPublicKeyInfo)
		b = append(b, sum[:]...)
	}
	c.add(payloadCertReq, b)
}

func addCerts(c *chain, list []*x509.Certificate) {
	for _, x := range list {
		c.add(payloadCert, append([]byte{certX509}, x.Raw...))
	}
}

// proofOf says what one end signs.
func (sa *ikeSA) proofOf(ours bool, id *idPayload) *proof {
	message, nonce, key := sa.initSent, sa.nr, sa.keys.pi
	if !ours {
		message = sa.initGot
	}
	if ours != sa.initiator { // the responder's
		nonce, key = sa.ni, sa.keys.pr
	}
	return &proof{suite: sa.suite, octets: sa.suite.signedOctets(message, nonce, key, id.body), hashes: sa.hashes}
}

func (e *Engine) date() time.Time {
	if e.cfg.Date == nil {
		return time.Time{}
	}
	return e.cfg.Date()
}

// addProof adds identity, certificates and AUTH of our end.
func (sa *ikeSA) addProof(c *chain) error {
	id := sa.peer.LocalID.payload()
	a, err := sa.proofOf(true, id).prove(sa.peer.Peer)
	if err != nil {
		return err
	}
	kind := uint8(payloadIDi)
	if !sa.initiator {
		kind = payloadIDr
	}
	c.add(kind, id.body)
	if sa.peer.LocalAuth == Certificate {
		addCerts(c, sa.peer.Chain)
	}
	if sa.initiator {
		sa.addCertRequest(c)
		if want := sa.peer.RemoteID; want.Kind != AnyID {
			c.add(payloadIDr, want.payload().body)
		}
	}
	c.add(payloadAuth, a.encode())
	return nil
}

// authBegin sends IKE_AUTH with the first child.
func (sa *ikeSA) authBegin(t *task) {
	var c chain
	if err := sa.addProof(&c); err != nil {
		sa.fail(err.Error(), "see the configuration of certificates on both ends")
		return
	}
	if !sa.e.hasUp(sa.peer) {
		c.notify(notifyInitialContact, nil)
	}
	t.ni = sa.ni
	t.addChild(sa, &c, false)
	sa.request(exchangeAuth, c, t)
}

// hasUp reports whether an IKE SA with the peer is established.
func (*Engine) hasUp(p *peer) bool {
	for _, sa := range p.sas {
		if sa.state == stateUp {
			return true
		}
	}
	return false
}

// authResponse handles the answer to IKE_AUTH.
func (sa *ikeSA) authResponse(t *task, c *content) {
	if c.auth == nil || c.idr == nil {
		t.abandon(sa.e)
		why, remedy := "the answer to IKE_AUTH has no AUTH", "report it to the maker of the other end"
		if n := c.failure(); n != nil {
			// OpenIKED answers with the first child's error alone.
			why, remedy = sa.refusal(t.cfg, n)
			if n.kind == notifyAuthFailed {
				remedy = sa.authRemedy()
			}
		}
		sa.fail(why, remedy)
		return
	}
	if want := sa.peer.RemoteID; want.Kind != AnyID && !want.equal(c.idr.id) {
		sa.rejectResponder(t, fmt.Sprintf("the other end is %v; configured is %v", c.idr.id, want), "configure the identity that the other end has")
		return
	}
	if err := sa.proofOf(false, c.idr).check(sa.peer.Peer, c.idr.id, c.auth, c.certs, sa.e.date()); err != nil {
		sa.rejectResponder(t, err.Error(), sa.authRemedy())
		return
	}
	sa.identity = c.idr.id
	sa.up()
	sa.finishChild(t, c, sa.ni, sa.nr, nil)
	if len(sa.children) == 0 {
		sa.close("its first child did not come up", 0)
		return
	}
	sa.dedupe()
}

func (sa *ikeSA) authRemedy() string {
	if sa.peer.LocalAuth == PSK || sa.peer.RemoteAuth == PSK {
		return fmt.Sprintf("use the same pre-shared key on both ends, and check that the other end expects %v and is %v", sa.peer.LocalID, sa.peer.RemoteID)
	}
	return "check certificates, authorities and identities of both ends"
}

// rejectResponder tells a responder that we do not believe it (RFC 7296
// section 2.21.2): it has an SA already.
func (sa *ikeSA) rejectResponder(t *task, why, remedy string) {
	t.abandon(sa.e)
	sa.e.Failures++
	sa.e.log(sa.event(IKEFailed, why, remedy))
	sa.close(why, notifyAuthFailed)
}

// up establishes an SA after IKE_AUTH.
func (sa *ikeSA) up() {
	sa.established()
	sa.e.IKEUps++
	sa.e.log(sa.event(IKEUp, fmt.Sprintf("%v with %v", sa.suite, sa.identity), ""))
}

// authRequest handles IKE_AUTH as the responder.
func (sa *ikeSA) authRequest(c *content) {
	if c.idi == nil {
		sa.refuseAuth(notifyInvalidSyntax, "IKE_AUTH has no identity", "report it to the maker of the other end")
		return
	}
	p := sa.whoIs(c)
	if p == nil {
		to := "any"
		if c.idr != nil {
			to = c.idr.id.String()
		}
		sa.refuseAuth(notifyAuthFailed, fmt.Sprintf("no peer is configured for %v that wants to talk to %v", c.idi.id, to),
			"configure a peer with these remote and local identities, or change them at the other end")
		return
	}
	sa.setPeer(p)
	if c.auth == nil {
		sa.refuseAuth(notifyAuthFailed, fmt.Sprintf("%v wants to authenticate with EAP, which is not supported", c.idi.id),
			"configure a pre-shared key or a certificate at the other end")
		return
	}
	if err := sa.proofOf(false, c.idi).check(p.Peer, c.idi.id, c.auth, c.certs, sa.e.date()); err != nil {
		sa.refuseAuth(notifyAuthFailed, fmt.Sprintf("%v: %v", c.idi.id, err), sa.authRemedy())
		return
	}
	sa.identity = c.idi.id
	var out chain
	if err := sa.addProof(&out); err != nil {
		sa.refuseAuth(notifyAuthFailed, err.Error(), "see the configuration of certificates on both ends")
		return
	}
	ni, nr := sa.ni, sa.nr
	sa.up()
	if c.find(notifyInitialContact) != nil {
		sa.onlyOne()
	}
	sa.acceptChild(c, &out, exchangeChildOf{ni: ni, nr: nr})
	sa.respond(exchangeAuth, out)
	sa.dedupe()
}

// whoIs finds the peer by both identities. The suite was chosen by address
// alone: it must be one that this peer has.
func (sa *ikeSA) whoIs(c *content) *peer {
	for _, p := range sa.e.candidates(sa.local.Addr(), sa.remote.Addr()) {
		switch {
		case p.RemoteID.Kind != AnyID && !p.RemoteID.equal(c.idi.id):
		case c.idr != nil && !p.LocalID.equal(c.idr.id):
		case !p.takes(sa.suite):
		default:
			return p
		}
	}
	return nil
}

func (p *peer) takes(s suite) bool {
	one := []Proposal{{Ciphers: []Cipher{s.cipher}, PRFs: []PRF{s.prf}, Groups: []Group{s.group}}}
	if s.integrity != NoIntegrity {
		one[0].Integrity = []Integrity{s.integrity}
	}
	_, ok := choose(offer(one, protocolIKE, nil, true), p.Proposals, protocolIKE, 0, true)
	return ok
}

func (sa *ikeSA) refuseAuth(t notifyType, why, remedy string) {
	sa.refuse(exchangeAuth, t, nil)
	sa.fail(why, remedy)
}

// onlyOne ends the other SAs with the same peer: it says that it has none
// (RFC 7296 section 2.4). What came up after its first message had come is
// younger than what it says.
func (sa *ikeSA) onlyOne() {
	for _, o := range sa.e.of(sa.peer) {
		if o != sa && o.state >= stateUp && o.upAt < sa.created && o.identity.equal(sa.identity) {
			o.e.log(o.event(IKEDown, "the peer began anew", ""))
			o.bury()
		}
	}
}

// dedupe leaves one SA of two that both ends began at the same time. As with
// rekeying (RFC 7296 section 2.8.1) the one with the lowest nonce goes, and the
// end that began it deletes it. A first message may be under way for a while:
// one that comes soon after the first SA is up counts as begun at the same time.
func (sa *ikeSA) dedupe() {
	for _, o := range sa.e.of(sa.peer) {
		if o.state != stateUp || o.initiator == sa.initiator || !o.identity.equal(sa.identity) ||
			o.ni == nil || sa.created > o.upAt+int64(sa.e.cfg.RetryAfter) || len(o.children) == 0 || len(sa.children) == 0 {
			continue
		}
		loser := o
		if bytes.Compare(low(sa.ni, sa.nr), low(o.ni, o.nr)) < 0 {
			loser = sa
		}
		if loser.initiator {
			loser.close("both ends began at the same time", 0)
		}
	}
}
