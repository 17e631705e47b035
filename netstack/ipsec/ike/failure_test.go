package ike

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// fails checks that nothing is up, and that an end says why and what to do.
func fails(t *testing.T, w *world, h *host, k EventKind, reason ...string) {
	t.Helper()
	v := h.said(k)
	if v == nil || v.Remedy == "" {
		t.Fatalf("no event %v with a remedy\n%s", k, w.history())
	}
	for _, part := range reason {
		if !strings.Contains(v.String(), part) {
			t.Fatalf("%v does not say %q", v, part)
		}
	}
	for _, x := range w.hosts {
		if len(x.children) != 0 || len(x.e.list) != 0 {
			t.Fatalf("%v keeps %d children and %d IKE SAs\n%s", x.addr, len(x.children), len(x.e.list), w.history())
		}
		x.sound()
	}
}

func TestAWrongSecretIsNamedAtBothEnds(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *Config) { a.Peers[0].Secret = Secret("another secret") })
	fails(t, w, a, IKEFailed, "AUTHENTICATION_FAILED", "same pre-shared key")
	fails(t, w, b, IKEFailed, "pre-shared keys of the two ends differ", "same pre-shared key")
	for _, h := range w.hosts {
		for _, v := range h.events {
			if strings.Contains(v.String(), "secret of both") || strings.Contains(v.String(), "another secret") {
				t.Fatal("an event tells the secret")
			}
		}
	}
}

func TestAResponderThatCannotProveItselfIsRejected(t *testing.T) {
	w, a, b := tunnel(t, func(a, b *Config) {
		a.Peers[0].RemoteID = ident("c.example")
		b.Peers[0].LocalID = ident("b.example")
	})
	// b is not c: it says so itself.
	fails(t, w, a, IKEFailed, "AUTHENTICATION_FAILED")
	fails(t, w, b, IKEFailed, "no peer is configured for a.example that wants to talk to c.example")
}

func TestProposalsThatDoNotFitAreNamed(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *Config) {
		a.Peers[0].Proposals = []Proposal{{Ciphers: []Cipher{AESCBC256}, Integrity: []Integrity{HMACSHA512}, PRFs: []PRF{PRFSHA512}, Groups: []Group{MODP4096}}}
	})
	// The refusal is not authenticated: it is told at once, with what to do about
	// it, and believed when nothing else has come.
	if v := a.said(Ignored); v == nil || !strings.Contains(v.Remedy, "configure one of these for the peer at the other end") || a.said(IKEFailed) != nil {
		t.Fatalf("%v", v)
	}
	w.run(3 * time.Minute)
	fails(t, w, a, IKEFailed, "NO_PROPOSAL_CHOSEN", "offered was aes256-cbc-sha512-prfsha512-modp4096", "configure one of these for the peer at the other end")
	fails(t, w, b, IKEFailed, "offers aes256-cbc-sha512-prfsha512-modp4096; configured is aes128-gcm-prfsha256-x25519")
	w, a, b = tunnel(t, func(a, _ *Config) {
		a.Peers[0].Children[0].Proposals = []Proposal{{Ciphers: []Cipher{NullCipher}, Integrity: []Integrity{HMACSHA256}}}
	})
	fails(t, w, a, ChildFailed, "NO_PROPOSAL_CHOSEN", "null-sha256")
	fails(t, w, b, ChildFailed, "offers null-sha256; configured is aes128-gcm")
}

// The other end may refuse the first child with its error alone, and not say who
// it is.
func TestAnAnswerThatIsOnlyTheChildsErrorIsNamed(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	a, b := w.add(ca), w.add(cb)
	w.tap = func(p packet) bool {
		h, _ := parseHeader(p.b)
		return h.exchange != exchangeAuth || h.response()
	}
	a.initiate("b", "net")
	w.run(time.Second)
	sa := b.e.list[0]
	b.e.begin(w.now)
	sa.refuse(exchangeAuth, notifyNoProposal, nil)
	sa.bury()
	b.do(b.e.finish())
	w.run(time.Second)
	fails(t, w, a, IKEFailed, "NO_PROPOSAL_CHOSEN: offered was aes128-gcm", "configure one of these for the child at the other end")
}

func TestSelectorsThatDoNotFitAreNamed(t *testing.T) {
	w, a, b := tunnel(t, func(a, _ *Config) { a.Peers[0].Children[0].Local = net4("10.9.0.0/16") })
	fails(t, w, a, ChildFailed, "TS_UNACCEPTABLE", "local 10.9.0.0/16", "mirrored")
	fails(t, w, b, ChildFailed, "remote 10.9.0.0/16", "configured is local 10.2.0.0/16, remote 10.1.0.0/16")
}

func TestAPeerThatNobodyKnowsIsNamed(t *testing.T) {
	w, _, b := tunnel(t, func(_, b *Config) { b.Peers[0].Remote = netip.MustParseAddr("192.0.2.99") })
	w.run(3 * time.Minute)
	fails(t, w, b, Refused, "no peer is configured for this address")
}

func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t, 1)
	ca, _ := pairOf()
	a := w.add(ca)
	a.initiate("b", "net")
	w.run(3 * time.Minute)
	fails(t, w, a, IKEFailed, "no answer", "UDP 500")
	if a.sent != 6 {
		t.Fatalf("%d messages; want 1 and 5 repeats", a.sent)
	}
}

func TestAForgedRefusalIsIgnored(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	a, b := w.add(ca), w.add(cb)
	for _, kind := range []notifyType{notifyNoProposal, notifyAuthFailed, notifyInvalidSyntax, notifyTemporary} {
		w.tap = func(p packet) bool {
			h, _ := parseHeader(p.b)
			if h.exchange == exchangeInit && !h.response() {
				var c chain
				c.notify(kind, nil)
				forged := clearMessage(header{spiI: h.spiI, spiR: 7, exchange: exchangeInit, flags: flagResponse}, c)
				w.queue = append(w.queue, packet{at: w.now, from: p.to, to: p.from, b: forged})
			}
			return true
		}
		a.initiate("b", "net")
		w.run(10 * time.Second)
		w.agree(a, b, 1)
		if a.said(Ignored) == nil {
			t.Fatal("nothing was said about it")
		}
		a.do(a.e.Close("b", w.now))
		w.run(10 * time.Second)
		a.events = nil
	}
}

func TestAForgedOrChangedMessageDoesNothing(t *testing.T) {
	w, a, b := tunnel(t, nil)
	w.tap = func(p packet) bool {
		for i := range p.b {
			bad := bytes.Clone(p.b)
			bad[i] ^= 0x10
			if i != 24 && i != 25 && i != 26 && i != 27 && i != 17 {
				w.queue = append(w.queue, packet{at: w.now, from: p.from, to: p.to, b: bad})
			}
		}
		return true
	}
	a.do(a.e.RekeyChild(one(a).In, w.now))
	w.run(time.Second)
	b.do(b.e.Rekey("a", w.now))
	w.run(time.Second)
	w.agree(a, b, 1)
	if a.e.BadIntegrity == 0 || b.e.BadIntegrity == 0 || a.count(ChildFailed)+b.count(ChildFailed)+a.count(Refused)+b.count(Refused) != 0 {
		t.Fatalf("%+v\n%s", a.e.Counters, w.history())
	}
}

func TestIKEv1IsRefusedWithAClearLine(t *testing.T) {
	w := newWorld(t, 1)
	ca, _ := pairOf()
	a := w.add(ca)
	m := clearMessage(header{spiI: 5, exchange: 2}, chain{{1, make([]byte, 40)}})
	m[17] = 0x10
	for range 100 {
		a.do(a.e.HandleMessage(netip.AddrPortFrom(addrA, 500), netip.AddrPortFrom(addrB, 500), m, false, w.now))
	}
	fails(t, w, a, IKEv1Refused, "RFC 9395", "IKEv2")
	if a.sent != 0 || a.count(IKEv1Refused) != loudest {
		t.Fatalf("%d answers, %d events", a.sent, a.count(IKEv1Refused))
	}
	m[17] = 0x30
	m[18] = uint8(exchangeInit)
	a.do(a.e.HandleMessage(netip.AddrPortFrom(addrA, 500), netip.AddrPortFrom(addrB, 500), m, false, w.now))
	if a.sent != 1 || len(w.queue) != 1 {
		t.Fatal("a version to come is not answered with INVALID_MAJOR_VERSION")
	}
	if c, f := parseContent(w.queue[0].b[16], w.queue[0].b[headerLen:]); f != nil || c.find(notifyMajorVersion) == nil {
		t.Fatal("another answer")
	}
}

func TestUnknownCriticalPayloadsAreRefusedAndOthersSkipped(t *testing.T) {
	w, a, b := tunnel(t, nil)
	sa := a.e.list[0]
	for _, critical := range []byte{0, 0x80} {
		_, inner := chain{{200, []byte("what is this")}}.encode()
		inner[1] = critical
		m, err := sa.out.seal(sa.header(exchangeInformational, sa.nextOut, false), 200, inner, 0, 0, a.e.cfg.Random)
		if err != nil {
			t.Fatal(err)
		}
		a.e.begin(w.now)
		sa.await(exchangeInformational, [][]byte{m}, &task{kind: taskProbe})
		a.do(a.e.finish())
		var got *content
		w.tap = func(p packet) bool {
			h, _ := parseHeader(p.b)
			o, err := sa.in.open(h, p.b)
			if err == nil && h.response() {
				got, _ = parseContent(o.first, o.inner)
			}
			return true
		}
		w.run(time.Second)
		n := got.find(notifyCritical)
		if (critical != 0) != (n != nil && bytes.Equal(n.data, []byte{200})) {
			t.Fatalf("critical %02x: %+v", critical, got)
		}
		w.agree(a, b, 1)
	}
}

func TestNonsenseFromAnAuthenticPeerEndsTheSA(t *testing.T) {
	w, a, b := tunnel(t, nil)
	a.e.begin(w.now)
	a.e.list[0].request(exchangeInformational, chain{{payloadDelete, []byte{3, 4, 0, 9}}}, &task{kind: taskProbe})
	a.do(a.e.finish())
	w.run(5 * time.Minute)
	fails(t, w, b, Refused, "INVALID_SYNTAX")
	if a.said(PeerDead) == nil && a.said(IKEDown) == nil {
		t.Fatal(w.history())
	}
}

func TestHalfOpenOnesAreFewAndEnd(t *testing.T) {
	w := newWorld(t, 1)
	ca, cb := pairOf()
	cb.CookiesFrom, cb.MaxHalfOpenOf = 1000, 3
	cb.Peers[0].Remote = netip.Addr{}
	a, b := w.add(ca), w.add(cb)
	a.e.begin(w.now)
	for range 10 {
		a.e.startSA(a.e.peers[0], &a.e.peers[0].Children[0])
	}
	a.off = true // it never finishes any
	a.do(a.e.finish())
	w.run(time.Second)
	if len(b.e.list) != 3 || b.e.HalfOpenRefused != 7 {
		t.Fatalf("%d half open, %d refused", len(b.e.list), b.e.HalfOpenRefused)
	}
	w.run(time.Minute)
	if len(b.e.list) != 0 || len(b.e.inits) != 0 || b.count(IKEFailed) != 3 {
		t.Fatal(w.history())
	}
}

func TestFaultsOfAConfigurationComeAllAtOnce(t *testing.T) {
	c, _ := pairOf()
	c.Peers[0].Secret, c.Peers[0].LocalID = nil, Identity{}
	c.Peers[0].Proposals[0].Groups = []Group{2}
	c.Peers[0].Children[0].Proposals[0].Ciphers = []Cipher{AESGCM128, AESCBC128}
	c.Peers = append(c.Peers, c.Peers[0])
	_, err := New(c)
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"no source of random numbers", "no pre-shared key", "no local identity", "a group is not known", "AES-GCM and other ciphers", "not the only one"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s, k := Secret("hunter2"), Keys{Cipher: []byte("hunter2"), Integrity: []byte("hunter2")}
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	more, err := k.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := pairOf()
	c.Peers[0].Secret = s
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%s %x %q %v %+v %#v", s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", k, k, k), string(text), string(more),
		fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", ChildSA{KeysIn: k, KeysOut: k})} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, "68756e746572") || strings.Contains(out, "104 117") || strings.Contains(out, "0x68, 0x75") {
			t.Error(out)
		}
	}
}
