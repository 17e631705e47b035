package ipsec

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/netstack/frame"
)

func spis(all []*SA) (out []uint32) {
	for _, sa := range all {
		out = append(out, sa.SPI)
	}
	return out
}

func TestAReloadLeavesSAsOfTheSameSelectorsAlone(t *testing.T) {
	moved := rioConfig(false)
	moved.Policies[0].Remote = ip("198.51.100.201")
	wider := rioConfig(false)
	wider.Selectors[0].Source = pfx("10.1.0.0/16")
	renamed := rioConfig(false)
	renamed.Selectors[0].Name = "office"
	reordered := rioConfig(false)
	reordered.Selectors[0].Order = 99
	reordered.Selectors = append(reordered.Selectors, protect("new", 1, "10.5.0.0/16", "10.6.0.0/16"))
	bypass := rioConfig(false)
	bypass.Selectors[0].Action, bypass.Selectors[0].Policy = ActBypass, ""
	transport := rioConfig(false)
	transport.Policies[0].Mode = Transport
	for name, c := range map[string]struct {
		next Config
		gone []uint32
	}{
		"the same":                 {rioConfig(false), nil},
		"another order and others": {reordered, nil},
		"another remote end":       {moved, []uint32{0x1001, 0x2002}},
		"a wider selector":         {wider, []uint32{0x1001, 0x2002}},
		"another name":             {renamed, []uint32{0x1001, 0x2002}},
		"bypassed":                 {bypass, []uint32{0x1001, 0x2002}},
		"another mode":             {transport, []uint32{0x1001, 0x2002}},
		"nothing":                  {Config{}, []uint32{0x1001, 0x2002}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, false)
			out, in := g.add(g.config(0x2002, true), 0), g.add(g.config(0x1001, false), 0)
			g.send(udpPacket(60), 0)
			old := g.selector("lan")
			if d := cmp.Diff(c.gone, spis(g.apply(c.next, 0))); d != "" {
				t.Error(d)
			}
			if c.gone == nil {
				if r, _ := g.send(udpPacket(60), 0); r.Verdict != Pass || r.SA != out || out.sent.Load() != 2 {
					t.Errorf("its numbers go on: %+v, %d", r, out.sent.Load())
				}
				if g.db.Find(0x1001, in.Local) != in {
					t.Error("the inbound one is not found")
				}
				return
			}
			if len(g.db.List(0)) != 0 || g.db.Find(0x1001, in.Local) != nil {
				t.Error("they are still there")
			}
			b, off := room(udpPacket(60))
			if r := g.db.Send(old, udpFlow("10.1.1.9", "192.168.15.2"), b, off, 60, 0, 0, 0); r.Verdict != NoSA {
				t.Errorf("somebody who looked it up before: %v", r.Verdict)
			}
		})
	}
}

// Q21: the label changes, the SA does not.
func TestAPolicyBecomesAnInterfaceLive(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.add(near.config(0x1001, true), 0)
	far.add(far.config(0x1001, false), 0)
	_, one := near.send(udpPacket(60), 0)
	_, two := near.send(udpPacket(60), 0)
	if r := far.receive(one, 0); r.Verdict != Pass || r.Interface != 0 {
		t.Errorf("tunnel mode: %+v", r)
	}
	c := rioConfig(true)
	c.Policies[0].Mode, c.Tunnels = Interface, []TunnelInterface{{"ipsec-tunnel", 9, "Rio"}}
	if gone := far.apply(c, 0); gone != nil {
		t.Errorf("gone: %v", spis(gone))
	}
	if r := far.receive(two, 0); r.Verdict != Pass || r.Interface != 9 {
		t.Errorf("interface mode: %+v", r)
	}
	far.apply(rioConfig(true), 0)
	_, three := near.send(udpPacket(60), 0)
	if r := far.receive(three, 0); r.Verdict != Pass || r.Interface != 0 {
		t.Errorf("and back: %+v", r)
	}
}

var cbc256 = Suite{AESCBC, 256, HMACSHA256}

// manualConfig is Rio without IKE (VR36), from either side.
func manualConfig(far bool) Config {
	c := rioConfig(far)
	a, b := ip("198.51.100.1"), ip("198.51.100.200")
	c.Manual = []ManualSA{
		{Name: "there", Policy: "Rio", Source: a, Destination: b, SPI: 0x3001, Suite: cbc256, Keys: someKeys(cbc256, 1)},
		{Name: "back", Policy: "Rio", Source: b, Destination: a, SPI: 0x3002, Suite: cbc256, Keys: someKeys(cbc256, 2)},
	}
	return c
}

func TestManualSAsAreUsedLikeNegotiatedOnes(t *testing.T) {
	near, far := newGate(t, false), newGate(t, true)
	near.apply(manualConfig(false), 0)
	far.apply(manualConfig(true), 0)
	r, sealed := near.send(udpPacket(60), 0)
	if got := far.receive(sealed, 0); r.Verdict != Pass || got.Verdict != Pass || got.SPI != 0x3001 {
		t.Fatalf("%+v %+v", r, got)
	}
	if got := far.receive(sealed, 0); got.Verdict != Pass {
		t.Errorf("a manual SA has no window: %v", got.Verdict)
	}
	answer := inner{src: "192.168.15.2", dst: "10.1.1.9", proto: 17, size: 60}.packet()
	r, sealed = far.send(answer, 0)
	if got := near.receive(sealed, 0); r.Verdict != Pass || got.Verdict != Pass || got.SPI != 0x3002 {
		t.Fatalf("%+v %+v", r, got)
	}
	b, off := room(inner{src: "10.2.2.2", dst: "192.168.15.2", proto: 17, size: 60}.packet())
	start, end, _ := near.selector("lan").Choice(udpFlow("10.1.1.9", "192.168.15.2")).Seal(b, off, 60, 0, 0)
	if got := far.receive(b[start:end], 0); got.Verdict != SelectorReject {
		t.Errorf("outside its policy's selectors: %v", got.Verdict)
	}

	// A reload that leaves them as they are leaves their numbers, too.
	more := manualConfig(false)
	more.Selectors = append(more.Selectors, protect("more", 20, "10.2.0.0/16", "192.168.15.0/24"))
	if gone := near.apply(more, 0); gone != nil {
		t.Errorf("gone: %v", spis(gone))
	}
	r, _ = near.send(inner{src: "10.2.2.2", dst: "192.168.15.2", proto: 17, size: 60}.packet(), 0)
	if r.Verdict != Pass || r.SA.sent.Load() != 3 {
		t.Errorf("the policy's new selector: %+v, number %d", r, r.SA.sent.Load())
	}
	for _, i := range near.db.List(0) {
		if d := cmp.Diff([]string{"lan", "more"}, i.Selectors); d != "" || i.Left != -1 || !i.Manual || i.Window != 0 {
			t.Errorf("%+v %s", i, d)
		}
	}

	// Other keys make another one, in the place of the old.
	other := manualConfig(false)
	other.Manual[1].Keys.Auth = someKeys(cbc256, 3).Auth
	if d := cmp.Diff([]uint32{0x3002}, spis(near.apply(other, 0))); d != "" {
		t.Error(d)
	}
	r, sealed = far.send(answer, 0)
	if got := near.receive(sealed, 0); got.Verdict != ICV {
		t.Errorf("the far end has the old key: %v", got.Verdict)
	}
	if d := cmp.Diff([]uint32{0x3001, 0x3002}, spis(near.apply(Config{}, 0))); d != "" {
		t.Error(d)
	}
}

func TestWithoutAManualSAThereIsNobodyToAsk(t *testing.T) {
	c := manualConfig(false)
	c.Manual = c.Manual[1:] // only the inbound one
	g := newGate(t, false)
	g.apply(c, 0)
	if r, _ := g.send(udpPacket(60), 0); r.Verdict != NoSA || r.Acquire {
		t.Errorf("%+v", r)
	}
}

func TestAnErrorInAReloadChangesNothing(t *testing.T) {
	g := newGate(t, false)
	g.add(g.config(0x3002, false), 0) // IKE was quicker
	before := g.db.Policies()
	if _, err := g.db.Apply(policies(t, manualConfig(false)), 0); err == nil || !strings.Contains(err.Error(), "00003002") {
		t.Error(err)
	}
	if g.db.Policies() != before || len(g.db.List(0)) != 1 {
		t.Error("something changed")
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	gcmManual := manualConfig(false).Manual[0]
	gcmManual.Name, gcmManual.SPI, gcmManual.Suite, gcmManual.Keys = "gcm", 0x100, gcm128, someKeys(gcm128, 1)
	c := manualConfig(false)
	c.Policies = append(c.Policies, Policy{Name: "Rio", Mode: Tunnel, Local: ip("1.2.3.4"), Remote: ip("1.2.3.4")}, Policy{Mode: Tunnel}, Policy{Name: "six", Local: ip("::1")})
	port := protect("port", 1, "10.0.0.0/8", "10.0.0.0/8")
	port.Protocol, port.DestinationPort = frame.ProtoICMP, 80
	lost := protect("lost", 1, "10.0.0.0/8", "10.0.0.0/8")
	lost.Policy = "São"
	six := protect("six", 1, "::/0", "10.0.0.0/8")
	c.Selectors = append(c.Selectors, port, lost, six, protect("lan", 1, "10.0.0.0/8", "10.0.0.0/8"), TrafficSelector{Source: pfx("10.0.0.0/8"), Destination: pfx("10.0.0.0/8"), Action: ActBypass})
	c.Tunnels = []TunnelInterface{{"a", 9, "Rio"}, {"b", 9, "none"}, {}}
	bad := gcmManual
	bad.Name, bad.Destination = "bad", ip("198.51.100.7")
	twice := c.Manual[0]
	twice.Name = "twice"
	low := c.Manual[0]
	low.Name, low.SPI = "low", 255
	c.Manual = append(c.Manual, gcmManual, bad, twice, low, ManualSA{Policy: "none"})
	_, err := NewPolicies(c)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`ipsec policy "Rio": the name is used twice`, "both ends are 1.2.3.4", "ipsec policy: has no name", `ipsec policy "six": tunnel-local-address`,
		`traffic selector "port": protocol 1 has no ports`, `there is no ipsec policy "São"`, `traffic selector "six": source-address`,
		`traffic selector "lan": the name is used twice`, "traffic selector: has no name",
		`the mode of ipsec policy "Rio" is tunnel`, `tunnels "a" and "b"`, `tunnel "b": there is no ipsec policy`, "has no name or no interface",
		"aes-gcm must not be used with manual keys", `"bad": 198.51.100.1 and 198.51.100.7 are not the ends`, `"there" and "twice"`,
		`"low": spi 0xff is reserved`, "manual security association: has no name", `there is no ipsec policy "none"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if n := len(strings.Split(err.Error(), "\n")); n > 30 {
		t.Errorf("%d lines for these faults:\n%v", n, err)
	}
	c = Config{Policies: []Policy{rio()}}
	for i := range MaxSelectors + 1 {
		c.Selectors = append(c.Selectors, protect(fmt.Sprint(i), i, "10.0.0.0/8", "10.0.0.0/8"))
	}
	if _, err := NewPolicies(c); err == nil {
		t.Error("no bound on selectors")
	}
}

func TestSuitesThatDoNotFitTogether(t *testing.T) {
	for _, s := range []Suite{
		{AESGCM, 128, HMACSHA256}, {AESGCM, 0, AuthNone}, {AESGCM, 129, AuthNone}, {AESCBC, 128, AuthNone}, {AESCBC, 64, HMACSHA256},
		{Null, 128, HMACSHA256}, {Null, 0, AuthNone}, {Null + 1, 128, AuthNone}, {AESCBC, 128, HMACSHA512 + 1},
	} {
		if s.Check() == nil {
			t.Errorf("%d %d %d", s.Cipher, s.Bits, s.Auth)
		}
	}
	var names []string
	for _, s := range suites() {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		e, a := s.KeyLengths()
		names = append(names, fmt.Sprint(s, " ", e, " ", a))
	}
	slices.Sort(names)
	want := []string{
		"aes-cbc-128+hmac-sha2-256-128 16 32", "aes-cbc-128+hmac-sha2-384-192 16 48", "aes-cbc-128+hmac-sha2-512-256 16 64",
		"aes-cbc-192+hmac-sha2-256-128 24 32", "aes-cbc-192+hmac-sha2-384-192 24 48", "aes-cbc-192+hmac-sha2-512-256 24 64",
		"aes-cbc-256+hmac-sha2-256-128 32 32", "aes-cbc-256+hmac-sha2-384-192 32 48", "aes-cbc-256+hmac-sha2-512-256 32 64",
		"aes-gcm-128 20 0", "aes-gcm-192 28 0", "aes-gcm-256 36 0",
		"null+hmac-sha2-256-128 0 32", "null+hmac-sha2-384-192 0 48", "null+hmac-sha2-512-256 0 64",
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
}
