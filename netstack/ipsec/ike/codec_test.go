package ike

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestHeadersThatLieAreNotRead(t *testing.T) {
	good := clearMessage(header{spiI: 1, exchange: exchangeInit}, chain{{payloadNonce, make([]byte, 32)}})
	if _, ok := parseHeader(good); !ok {
		t.Fatal("a good one is not read")
	}
	for what, b := range map[string][]byte{"short": good[:27], "cut": good[:len(good)-1], "longer": append(bytes.Clone(good), 0), "no SPI": append(make([]byte, 8), good[8:]...)} {
		if _, ok := parseHeader(b); ok {
			t.Errorf("%s: it is read", what)
		}
	}
}

func TestPayloadsThatLieAreNotRead(t *testing.T) {
	for what, x := range map[string]struct {
		first uint8
		b     []byte
	}{
		"no header":               {payloadNonce, []byte{0, 0, 0}},
		"length 3":                {payloadNonce, []byte{0, 0, 0, 3}},
		"longer than the message": {payloadNonce, append([]byte{0, 0, 0, 21}, make([]byte, 16)...)},
		"octets after the last":   {payloadNonce, append([]byte{0, 0, 0, 20}, make([]byte, 17)...)},
		"short nonce":             {payloadNonce, append([]byte{0, 0, 0, 19}, make([]byte, 15)...)},
		"two nonces":              {payloadNonce, append(append([]byte{payloadNonce, 0, 0, 20}, make([]byte, 16)...), append([]byte{0, 0, 0, 20}, make([]byte, 16)...)...)},
		"notify without type":     {payloadNotify, []byte{0, 0, 0, 6, 0, 0}},
		"notify with a long SPI":  {payloadNotify, []byte{0, 0, 0, 8, 3, 9, 0, 0}},
		"delete with odd SPIs":    {payloadDelete, []byte{0, 0, 0, 11, 3, 4, 0, 1, 1, 2, 3}},
		"delete of IKE with SPI":  {payloadDelete, []byte{0, 0, 0, 12, 1, 4, 0, 1, 1, 2, 3, 4}},
		"no selector":             {payloadTSi, []byte{0, 0, 0, 8, 0, 0, 0, 0}},
		"selector cut":            {payloadTSi, []byte{0, 0, 0, 16, 1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 255, 255}},
		"selector backwards":      {payloadTSi, []byte{0, 0, 0, 24, 1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 2, 10, 0, 0, 1}},
		"SK inside":               {payloadSK, []byte{0, 0, 0, 8, 1, 2, 3, 4}},
		"empty SA":                {payloadSA, []byte{0, 0, 0, 4}},
		"proposal cut":            {payloadSA, []byte{0, 0, 0, 12, 0, 0, 0, 9, 1, 1, 0, 0}},
		"transforms missing":      {payloadSA, []byte{0, 0, 0, 12, 0, 0, 0, 8, 1, 1, 0, 1}},
		"SPI too long":            {payloadSA, []byte{0, 0, 0, 12, 0, 0, 0, 8, 1, 1, 9, 0}},
		"empty AUTH":              {payloadAuth, []byte{0, 0, 0, 8, 2, 0, 0, 0}},
		"empty KE":                {payloadKE, []byte{0, 0, 0, 8, 0, 14, 0, 0}},
		"IPv4 identity of three":  {payloadIDi, []byte{0, 0, 0, 11, 1, 0, 0, 0, 1, 2, 3}},
	} {
		if _, f := parseContent(x.first, x.b); f == nil || f.kind != notifyInvalidSyntax || f.why == "" {
			t.Errorf("%s: %v", what, f)
		}
	}
	long := bytes.Repeat([]byte{payloadVendor, 0, 0, 4}, maxPayloads+1)
	long[len(long)-4] = 0
	if _, f := parseChain(payloadVendor, long); f == nil {
		t.Error("too many payloads are read")
	}
}

func TestProposalsAreChosenAsTheRFCSays(t *testing.T) {
	cbc := option{kind: transformCipher, id: idAESCBC, bits: 128}
	sha, esn := option{kind: transformIntegrity, id: 12}, option{kind: transformESN}
	offered := func(more ...option) []proposal {
		return []proposal{{number: 3, protocol: protocolESP, spi: []byte{1, 2, 3, 4}, options: append([]option{cbc, sha, esn}, more...)}}
	}
	ours := []Proposal{{Ciphers: []Cipher{AESGCM128}}, {Ciphers: []Cipher{AESCBC256, AESCBC128}, Integrity: []Integrity{HMACSHA256}}}
	got, ok := choose(offered(), ours, protocolESP, 4, true)
	if !ok || got.cipher != AESCBC128 || got.integrity != HMACSHA256 || got.number != 3 {
		t.Fatalf("%v %+v", ok, got)
	}
	for what, list := range map[string][]proposal{
		"a transform type to come":  offered(option{kind: 6, id: 35}),
		"a group that is not ours":  offered(option{kind: transformGroup, id: 19}),
		"another protocol":          {{protocol: protocolAH, spi: []byte{1, 2, 3, 4}, options: []option{sha, esn}}},
		"no ESN transform":          {{protocol: protocolESP, spi: []byte{1, 2, 3, 4}, options: []option{cbc, sha}}},
		"no integrity":              {{protocol: protocolESP, spi: []byte{1, 2, 3, 4}, options: []option{cbc, esn}}},
		"no key length":             {{protocol: protocolESP, spi: []byte{1, 2, 3, 4}, options: []option{{kind: transformCipher, id: idAESCBC}, sha, esn}}},
		"an attribute to come":      {{protocol: protocolESP, spi: []byte{1, 2, 3, 4}, options: []option{{kind: transformCipher, id: idAESCBC, bits: 128, odd: true}, sha, esn}}},
		"an SPI of eight octets":    {{protocol: protocolESP, spi: make([]byte, 8), options: []option{cbc, sha, esn}}},
		"extended numbers only":     {{protocol: protocolESP, spi: []byte{1, 2, 3, 4}, options: []option{cbc, sha, {kind: transformESN, id: 1}}}},
		"AES-GCM and integrity too": {{protocol: protocolESP, spi: []byte{1, 2, 3, 4}, options: []option{{kind: transformCipher, id: idAESGCM, bits: 128}, sha, esn}}},
	} {
		if got, ok := choose(list, ours, protocolESP, 4, true); ok {
			t.Errorf("%s: %v is chosen", what, got.suite)
		}
	}
	// NONE beside groups, and the group that IKE_AUTH does not ask for.
	if _, ok := choose(offered(option{kind: transformGroup, id: 19}, option{kind: transformGroup}), ours, protocolESP, 4, true); !ok {
		t.Error("NONE is not taken")
	}
	if _, ok := choose(offered(option{kind: transformGroup, id: 19}), ours, protocolESP, 4, false); !ok {
		t.Error("in IKE_AUTH groups do not count")
	}
	back, f := parseSA(encodeSA(offered()))
	if f != nil || len(back) != 1 || len(back[0].options) != 3 {
		t.Error(back, f)
	}
}

func TestSelectorsIntersect(t *testing.T) {
	s := func(from, to string, protocol uint8, ports ...uint16) Selector {
		return Selector{netip.MustParseAddr(from), netip.MustParseAddr(to), protocol, ports[0], ports[1]}
	}
	a := s("10.0.0.5", "10.0.0.20", 6, 80, 90)
	for _, x := range []struct {
		b    Selector
		want string
	}{
		{s("10.0.0.0", "10.0.0.10", 0, 0, 65535), "10.0.0.5-10.0.0.10[6]:80-90"},
		{s("10.0.0.8", "10.0.0.8", 6, 85, 100), "10.0.0.8/32[6]:85-90"},
		{s("10.0.0.8", "10.0.0.8", 17, 85, 100), ""},
		{s("10.0.0.21", "10.0.0.30", 6, 85, 100), ""},
		{s("10.0.0.5", "10.0.0.30", 6, 1, 79), ""},
		{s("2001:db8::", "2001:db8::1", 6, 1, 79), ""},
	} {
		got, ok := a.intersect(x.b)
		if ok != (x.want != "") || ok && got.String() != x.want {
			t.Errorf("%v: %v %v; want %s", x.b, got, ok, x.want)
		}
		if back, ok2 := x.b.intersect(a); ok2 != ok || ok && back != got {
			t.Errorf("%v: the other way round it is %v", x.b, back)
		}
	}
	if got := selectorText(narrowSelectors(append(net4("10.0.0.7/32"), net4("10.0.0.0/8")...), net4("10.0.0.0/16"))); got != "10.0.0.0/16" {
		t.Errorf("%s", got)
	}
	if subset(nil, net4("0.0.0.0/0")) || subset(net4("10.0.0.0/8"), net4("10.0.0.0/16")) || !subset(net4("10.0.0.0/16"), net4("10.0.0.0/8")) {
		t.Error("subset is wrong")
	}
	if PrefixSelector(netip.MustParsePrefix("2001:db8::/33")).String() != "2001:db8::/33" {
		t.Error("IPv6 prefix")
	}
}

func TestIdentitiesAreReadAndWritten(t *testing.T) {
	for in, want := range map[string]Identity{
		"192.0.2.1": {IDIPv4, "\xc0\x00\x02\x01"}, "gw.example": {IDFQDN, "gw.example"}, "@gw": {IDFQDN, "gw"}, "me@example": {IDRFC822, "me@example"}, "": {},
	} {
		id, err := ParseIdentity(in)
		if err != nil || id != want {
			t.Errorf("%q: %v %v", in, id, err)
		}
	}
	dn := ident("CN=gw, O=Example, C=DE")
	if back := ident(dn.String()); !back.equal(dn) || dn.String() != "CN=gw, O=Example, C=DE" {
		t.Errorf("%v", dn)
	}
	for _, bad := range []string{"2001:db8::1", "XY=gw", "CN=gw, =", "CN"} {
		if id, err := ParseIdentity(bad); err == nil && bad != "CN" {
			t.Errorf("%q: %v", bad, id)
		}
	}
	if got := (Identity{IDFQDN, "gw\n\x1b[31m"}).String(); got != `gw\n\x1b[31m` {
		t.Errorf("%q goes to the log", got)
	}
	if ident("GW.example") == ident("gw.example") || !ident("GW.example").equal(ident("gw.example")) || ident("gw.example").equal(ident("me@example")) {
		t.Error("names are compared wrongly")
	}
}

func TestFragmentsArePutTogether(t *testing.T) {
	piece := func(n, total uint16, b string) opened {
		return opened{first: uint8(34 * boolInt(n == 1)), inner: []byte(b), number: n, total: total}
	}
	var g gathering
	for _, o := range []opened{piece(2, 3, "b"), piece(2, 3, "x"), piece(3, 3, "c")} {
		if _, _, done := g.add(5, o); done {
			t.Fatal("it is done too early")
		}
	}
	if _, _, done := g.add(5, piece(1, 2, "a")); done {
		t.Fatal("an old cut counts")
	}
	first, inner, done := g.add(5, piece(1, 3, "a"))
	if !done || first != 34 || string(inner) != "abc" || g.pieces != nil {
		t.Fatal(first, inner, done)
	}
	g.add(6, piece(1, 2, "a"))
	if _, _, done := g.add(6, piece(2, 3, "b")); done || g.total != 3 || g.have != 1 {
		t.Fatal("a finer cut does not begin anew")
	}
	if _, _, done := g.add(7, piece(1, maxFragments+1, "a")); done || g.id == 7 {
		t.Fatal("too many pieces are taken")
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
