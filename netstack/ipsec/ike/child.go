package ike

import (
	"encoding/binary"
	"slices"
)

// childSA is a pair of ESP SAs. Its keys are with the caller alone.
type childSA struct {
	pub            ChildSA
	cfg            *Child
	sa             *ikeSA
	rekeyAt, endAt int64
	installed      bool
	closing        bool // a delete of ours is queued or under way
	rekeying       bool // a rekeying of ours is queued or under way
	gone           bool
	next           *childSA // made by the other end's rekeying of this one
	nextLow        []byte   // the lower nonce of that exchange
}

// made is what an exchange agreed on for a child.
type made struct {
	cfg           *Child
	suite         suite
	in, out       uint32
	mode          Mode
	local, remote []Selector
	keys          childKeys
	initiator     bool // of the exchange
	old           *childSA
}

// newChild makes a pair, and installs it unless it is to be deleted at once.
func (sa *ikeSA) newChild(m made, install bool) *childSA {
	e := sa.e
	c := &childSA{cfg: m.cfg, sa: sa, installed: install}
	c.rekeyAt, c.endAt = e.lifetimes(int64(m.cfg.Lifetime))
	c.pub = ChildSA{Peer: sa.peer.Name, Name: m.cfg.Name, In: m.in, Out: m.out, Mode: m.mode,
		Cipher: m.suite.cipher, Integrity: m.suite.integrity, ESN: m.suite.esn, UDP: sa.udp(), Follow: sa.follows(),
		Local: sa.local, Remote: sa.remote, LocalSelectors: m.local, RemoteSelectors: m.remote,
		KeysIn: m.keys.fromR, KeysOut: m.keys.fromI}
	if !m.initiator {
		c.pub.KeysIn, c.pub.KeysOut = m.keys.fromI, m.keys.fromR
	}
	if m.old != nil {
		c.pub.Replaces, c.pub.Hold = m.old.pub.In, !m.initiator
		e.ChildRekey++
	}
	sa.children = append(sa.children, c)
	e.spis[m.in] = c
	if !install {
		c.pub.KeysIn.Wipe()
		c.pub.KeysOut.Wipe()
		return c
	}
	e.ChildUps++
	c.give(Install, true)
	c.pub.KeysIn, c.pub.KeysOut = Keys{}, Keys{}
	e.log(c.event(ChildUp, c.words(), ""))
	return c
}

func (c *childSA) words() string {
	s := suite{cipher: c.pub.Cipher, integrity: c.pub.Integrity, esn: c.pub.ESN}
	return s.String() + " " + c.pub.Mode.String() + " " + selectorText(c.pub.LocalSelectors) + " to " + selectorText(c.pub.RemoteSelectors)
}

// give tells the caller about the child.
func (c *childSA) give(k ActionKind, keys bool) {
	pub := c.pub
	pub.IKE = c.sa.number
	if !keys {
		pub.KeysIn, pub.KeysOut = Keys{}, Keys{}
	}
	c.sa.e.do(Action{Kind: k, Child: &pub})
}

// remove ends a child here.
func (c *childSA) remove(why string) {
	if c.gone {
		return
	}
	c.gone = true
	e := c.sa.e
	delete(e.spis, c.pub.In)
	c.sa.children = slices.DeleteFunc(c.sa.children, func(o *childSA) bool { return o == c })
	if c.installed {
		c.give(Remove, false)
		e.log(c.event(ChildDown, why, ""))
	}
}

// close ends a child at both ends.
func (c *childSA) close() {
	if c.closing || c.gone {
		return
	}
	c.closing = true
	c.sa.tasks = append(c.sa.tasks, &task{kind: taskDeleteChild, close: []*childSA{c}})
}

// rekey replaces a child.
func (c *childSA) rekey() {
	c.rekeyAt = Never
	if c.closing || c.gone || c.rekeying || c.next != nil {
		return
	}
	c.rekeying = true
	c.sa.tasks = append(c.sa.tasks, &task{kind: taskChild, cfg: c.cfg, old: c})
}

// findOut finds a child by the other end's inbound SPI. A spare SA's children
// are still with the one before it.
func (sa *ikeSA) findOut(spi uint32) *childSA {
	for s := sa; s != nil; s = s.prev {
		for _, c := range s.children {
			if c.pub.Out == spi {
				return c
			}
		}
	}
	return nil
}

// addChild adds to a request what a new child needs: with nonce and key
// exchange of its own in CREATE_CHILD_SA, without in IKE_AUTH.
func (t *task) addChild(sa *ikeSA, c *chain, create bool) {
	if t.spi == 0 {
		t.spi = sa.e.newChildSPI()
	}
	if t.cfg.Mode == Transport {
		c.notify(notifyTransport, nil)
	}
	spi := binary.BigEndian.AppendUint32(nil, t.spi)
	c.add(payloadSA, encodeSA(offer(t.cfg.Proposals, protocolESP, spi, create)))
	if create {
		c.add(payloadNonce, t.ni)
		if t.dh != nil {
			c.add(payloadKE, (&keyExchange{t.dh.group, t.dh.public}).encode())
		}
	}
	c.add(payloadTSi, encodeSelectors(t.cfg.Local))
	c.add(payloadTSr, encodeSelectors(t.cfg.Remote))
}

// childBegin sends CREATE_CHILD_SA for a child.
func (sa *ikeSA) childBegin(t *task) {
	if o := t.old; o != nil && (o.gone || o.closing || o.next != nil) {
		t.abandon(sa.e)
		return
	}
	if len(sa.children) >= sa.e.cfg.MaxChildren {
		sa.childFailed(t, "too many children", "raise the limit, or configure fewer children")
		return
	}
	t.ni = sa.e.random(nonceLen)
	group := t.group
	if g := t.cfg.Proposals[0].Groups; group == NoGroup && len(g) > 0 {
		group = g[0]
	}
	if group != NoGroup {
		dh, err := newKeyPair(group, sa.e.cfg.Random)
		if err != nil {
			sa.childFailed(t, err.Error(), "")
			return
		}
		t.dh = dh
	}
	var c chain
	if t.old != nil {
		n := notify{protocol: protocolESP, kind: notifyRekey, spi: binary.BigEndian.AppendUint32(nil, t.old.pub.In)}
		c.add(payloadNotify, n.encode())
	}
	t.addChild(sa, &c, true)
	sa.request(exchangeChild, c, t)
}

// childFailed says that a child did not come up, and what to do about it. One
// that was to be replaced stays until its end; it is tried again.
func (sa *ikeSA) childFailed(t *task, why, remedy string) {
	v := sa.event(ChildFailed, why, remedy)
	v.Child = t.cfg.Name
	sa.e.Failures++
	sa.e.log(v)
	if t.old != nil {
		t.old.rekeyAt = sa.e.now + sa.e.jitter(int64(sa.e.cfg.RetryAfter))
	}
	t.abandon(sa.e)
}
