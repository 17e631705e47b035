package ike

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAResponderThatProvesItselfInAnotherWayIsTold(t *testing.T) {
	root := newAuthority(t, "root", nil)
	w, a, b := tunnel(t, func(_, b *Config) {
		p := &b.Peers[0]
		cert, key := root.issue("b.example", "p256", noon())
		p.LocalAuth, p.Chain, p.Key = Certificate, []*x509.Certificate{cert}, key
	})
	fails(t, w, a, IKEFailed, "in another way than is configured")
	if v := b.said(IKEDown); v == nil || v.Reason != "the other end deleted it" {
		t.Fatal(w.history())
	}
	if v := b.said(Refused); v == nil || !strings.Contains(v.Reason, "AUTHENTICATION_FAILED") {
		t.Fatal(w.history())
	}
}

func TestAStrangerCannotFloodTheLog(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	ca.Peers[0].Secret, ca.RetryAfter = Secret("wrong"), time.Millisecond
	ca.Peers[0].Children[0].Up = true
	w.delay = int64(time.Microsecond)
	a, b := w.add(ca), w.add(cb)
	a.initiate("b", "net")
	w.run(500 * time.Millisecond)
	if b.e.Failures < 100 || b.count(IKEFailed) > loudest {
		t.Fatalf("%d failures, %d lines", b.e.Failures, b.count(IKEFailed))
	}
}

func TestAnIKESAThatCannotBeRekeyedIsMadeAnew(t *testing.T) {
	w, a, b := tunnel(t, func(a, b *Config) {
		a.Peers[0].Children[0].Up = true
		a.Peers[0].Lifetime, b.Peers[0].Lifetime = time.Hour, 5*time.Hour
	})
	b.e.peers[0].Proposals = []Proposal{{Ciphers: []Cipher{AESGCM256}, PRFs: []PRF{PRFSHA512}, Groups: []Group{ECP384}}}
	w.run(55 * time.Minute)
	w.agree(a, b, 1)
	v := a.said(IKEFailed)
	if v == nil || !strings.Contains(v.Reason, "rekeying failed: the other end says NO_PROPOSAL_CHOSEN") || a.count(IKEDown) != 0 {
		t.Fatal(w.history())
	}
	if v := b.said(IKEFailed); v == nil || !strings.Contains(v.Reason, "configured is aes256-gcm-prfsha512-ecp384") {
		t.Fatal(w.history())
	}
	a.e.peers[0].Proposals = b.e.peers[0].Proposals
	w.run(time.Hour)
	w.agree(a, b, 1)
	if a.e.list[0].suite.group != ECP384 {
		t.Fatal(w.history())
	}
}

func TestRekeyingTriesTheGroupThatIsAskedFor(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *Config) { a.Peers[0].Proposals[0].Groups = []Group{X25519, ECP256} })
	b.e.peers[0].Proposals = []Proposal{{Ciphers: []Cipher{AESGCM128}, PRFs: []PRF{PRFSHA256}, Groups: []Group{ECP256}}}
	a.do(a.e.Rekey("b", w.now))
	w.run(time.Minute)
	w.agree(a, b, 1)
	if a.e.list[0].suite.group != ECP256 || a.e.IKERekeys != 1 || a.count(IKEFailed) != 0 {
		t.Fatal(w.history())
	}
}

func TestAChildThatTheOtherEndLostIsMadeAnew(t *testing.T) {
	w, a, b := tunnel(t, nil)
	lost := one(a).In
	b.e.begin(w.now)
	b.e.spis[one(b).In].remove("lost")
	b.do(b.e.finish())
	a.do(a.e.RekeyChild(lost, w.now))
	w.run(time.Minute)
	w.agree(a, b, 1)
	if one(a).In == lost || one(a).Replaces != 0 {
		t.Fatal(w.history())
	}
}

func TestABusyPeerIsAskedAgainLater(t *testing.T) {
	w, a, b := tunnel(t, nil)
	// b is deleting the child while a rekeys it, and its delete is slow.
	w.tap = func(p packet) bool {
		h, _ := parseHeader(p.b)
		return p.from.Addr() != addrB || h.response() // b's requests are lost
	}
	b.do(b.e.DeleteChild(one(b).In, w.now))
	a.do(a.e.RekeyChild(one(a).In, w.now))
	w.run(20 * time.Second)
	if a.e.list[0].tasks == nil || a.e.list[0].tasks[0].tries < 2 || len(a.children) != 1 {
		t.Fatal(w.history())
	}
	w.tap = nil
	w.run(time.Minute)
	w.agree(a, b, 0)
	if a.count(ChildFailed) != 0 {
		t.Fatal(w.history())
	}
}

func TestReservedFlagsAreIgnored(t *testing.T) {
	w, a, b := tunnel(t, nil)
	w.agree(a, b, 1)
	sa := a.e.list[0]
	h := sa.header(exchangeInformational, sa.nextOut, false)
	h.flags |= 0x47 // reserved ones
	m, err := sa.out.seal(h, payloadNone, nil, 0, 0, a.e.cfg.Random)
	if err != nil {
		t.Fatal(err)
	}
	before := b.sent
	b.do(b.e.HandleMessage(sa.remote, sa.local, m, false, w.now))
	if b.sent != before+1 {
		t.Fatal("it is not answered")
	}
}

func TestEveryWordOfAnEventIsThere(t *testing.T) {
	seen := []string{}
	for k := EventKind(0); k < numEventKinds; k++ {
		if k.String() == "" || slices.Contains(seen, k.String()) {
			t.Errorf("event %d is %q", k, k)
		}
		seen = append(seen, k.String())
	}
	for s := stateInit; s <= stateGone; s++ {
		if slices.Contains(seen, s.String()) {
			t.Errorf("state %d is %q", s, s)
		}
		seen = append(seen, s.String())
	}
}

func TestAMadeUpCookieIsAskedForAgain(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	cb.CookiesFrom = -1
	a, b := w.add(ca), w.add(cb)
	a.e.begin(w.now)
	a.e.startSA(a.e.peers[0], &a.e.peers[0].Children[0])
	sa := a.e.list[0]
	sa.cookie = []byte("a cookie that nobody baked, of 33")
	a.e.out = nil
	sa.sendInit(sa.pending.task)
	a.do(a.e.finish())
	w.run(time.Second)
	w.agree(a, b, 1)
	if b.e.CookiesAsked != 1 || a.sent != 3 {
		t.Fatalf("%d cookies asked for, %d messages", b.e.CookiesAsked, a.sent)
	}
}

func TestACertificateOfSomebodyElseProvesNothing(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	certified(t, newAuthority(t, "root", nil), "p256")(&ca, &cb)
	cb.Peers[0].RemoteID = ident("c.example")
	a, b := w.add(ca), w.add(cb)
	a.e.peers[0].LocalID = ident("c.example") // New would have refused it
	a.initiate("b", "net")
	w.run(10 * time.Second)
	fails(t, w, b, IKEFailed, "is not for the identity c.example")
}

func TestAResponderMayNotWidenTheSelectors(t *testing.T) {
	w, a, b := tunnel(t, nil)
	a.do(a.e.DeleteChild(one(a).In, w.now))
	w.run(time.Second)
	a.initiate("b", "net")
	a.e.peers[0].Children[0].Remote = net4("10.2.3.0/24") // less than was asked for
	w.run(10 * time.Second)
	w.agree(a, b, 0)
	if v := a.said(ChildFailed); v == nil || !strings.Contains(v.Reason, "child of local 10.1.0.0/16, remote 10.2.0.0/16, which is not within what was offered") ||
		!strings.Contains(v.Remedy, "mirrored selectors") || b.count(ChildDown) != 2 {
		t.Fatal(w.history())
	}
}

func TestNoTwoMessagesHaveOneIV(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	a, b := w.add(ca), w.add(cb)
	seen := map[string]string{}
	w.tap = func(p packet) bool {
		if h, _ := parseHeader(p.b); h.exchange != exchangeInit {
			key := string(p.b[:16]) + p.from.String() + string(p.b[headerLen+4:headerLen+4+gcmIV])
			if m, ok := seen[key]; ok && m != string(p.b) {
				t.Fatal("an IV is used twice")
			}
			seen[key] = string(p.b)
		}
		return true
	}
	a.initiate("b", "net")
	w.run(5 * time.Minute)
	w.agree(a, b, 1)
	if len(seen) < 10 {
		t.Fatalf("%d messages", len(seen))
	}
}
