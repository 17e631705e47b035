package ike

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

// seedMessages are the recorded messages in clear, and what two engines say
// to each other inside of their encryption.
func seedMessages(f *testing.F) (clearOnes [][]byte, inner []chain) {
	for _, name := range recordings(f) {
		for _, p := range readIKE(f, name) {
			clearOnes = append(clearOnes, p.b)
		}
	}
	w := newWorld(f, 1)
	ca, cb := pairOf()
	a, b := w.add(ca), w.add(cb)
	w.tap = func(p packet) bool {
		h, _ := parseHeader(p.b)
		for _, sa := range b.e.list {
			for _, x := range []*protection{sa.in, sa.out} {
				if o, err := x.open(h, p.b); err == nil {
					c, _ := parseChain(o.first, o.inner)
					inner = append(inner, c)
				}
			}
		}
		return true
	}
	a.initiate("b", "net")
	w.run(time.Second)
	a.do(a.e.RekeyChild(one(a).In, w.now))
	w.run(time.Second)
	a.do(a.e.Rekey("b", w.now))
	w.run(time.Second)
	if len(inner) < 8 {
		f.Fatalf("only %d encrypted messages", len(inner))
	}
	return clearOnes, inner
}

// FuzzMessage gives an engine any datagram, at both of its ports.
func FuzzMessage(f *testing.F) {
	messages, _ := seedMessages(f)
	for _, b := range messages {
		f.Add(b, false)
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, marked bool) {
		w := newWorld(t, 1)
		ca, cb := pairOf()
		cb.Peers[0].Remote = netip.Addr{}
		a, h := w.add(ca), w.add(cb)
		a.initiate("b", "net")
		keep := bytes.Clone(b)
		h.do(h.e.HandleMessage(netip.AddrPortFrom(addrB, Port), netip.MustParseAddrPort("203.0.113.5:500"), b, marked, w.now))
		if len(h.e.list) > 1 || h.sent > 1 || !bytes.Equal(b, keep) {
			t.Fatalf("%d SAs, %d answers", len(h.e.list), h.sent)
		}
		// The tunnel that is being made comes up whatever a stranger sends.
		w.run(time.Second)
		h.sound()
		if len(a.children) != 1 {
			t.Fatal(w.history())
		}
	})
}

// FuzzPayloads reads any chain of payloads; what is read can be written, and
// is then read as the same.
func FuzzPayloads(f *testing.F) {
	messages, inner := seedMessages(f)
	for _, b := range messages {
		if len(b) > headerLen {
			f.Add(b[16], b[headerLen:])
		}
	}
	for _, c := range inner {
		first, b := c.encode()
		f.Add(first, b)
	}
	f.Fuzz(func(t *testing.T, first uint8, b []byte) {
		c, fault := parseContent(first, b)
		if fault != nil {
			if fault.kind != notifyInvalidSyntax && fault.kind != notifyCritical {
				t.Fatal(fault)
			}
			return
		}
		if len(c.sa) > 0 {
			describe(c.sa)
			if again, f := parseSA(encodeSA(c.sa)); f != nil || len(again) != len(c.sa) {
				t.Fatalf("proposals: %v", f)
			}
		}
		for _, s := range [][]Selector{c.tsi, c.tsr} {
			if again, f := parseSelectors(encodeSelectors(s)); len(s) > 0 && (f != nil || selectorText(again) != selectorText(s)) {
				t.Fatalf("selectors: %v", f)
			}
		}
		for _, id := range []*idPayload{c.idi, c.idr} {
			if id != nil && bytes.ContainsAny([]byte(id.id.String()), "\n\x1b") {
				t.Fatal("an identity breaks a log line")
			}
		}
	})
}

// FuzzInside gives an established SA any payloads that an authentic peer may
// send, in any exchange. It may end the SA, but never break the tables.
func FuzzInside(f *testing.F) {
	_, inner := seedMessages(f)
	for _, c := range inner {
		first, b := c.encode()
		for _, x := range []exchange{exchangeAuth, exchangeChild, exchangeInformational} {
			f.Add(uint8(x), first, b, false)
			f.Add(uint8(x), first, b, true)
		}
	}
	f.Fuzz(func(t *testing.T, x, first uint8, b []byte, half bool) {
		w := newWorld(t, 1)
		ca, cb := pairOf()
		a, h := w.add(ca), w.add(cb)
		if half {
			w.tap = func(p packet) bool { m, _ := parseHeader(p.b); return m.exchange == exchangeInit }
		}
		a.initiate("b", "net")
		w.run(time.Second / 4)
		w.tap = nil
		sa := a.e.list[0]
		id := uint32(2)
		if half {
			id = 1
		}
		m, err := sa.out.seal(sa.header(exchange(x), id, false), first, b, 0, 0, a.e.cfg.Random)
		if err != nil {
			return
		}
		h.do(h.e.HandleMessage(sa.remote, sa.local, m, sa.marker, w.now))
		h.sound()
		w.run(400 * time.Second)
		h.sound()
		a.sound()
	})
}
