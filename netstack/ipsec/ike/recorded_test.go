package ike

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recordings lists conversations of real daemons, here and beside the packages
// that replay them.
func recordings(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, dir := range []string{"testdata", "../../../alg/ipsec/testdata", "../../../tests/golden"} {
		found, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no recordings in %s: %v", dir, err)
		}
		out = append(out, found...)
	}
	return out
}

// readIKE reads the IKE messages of a recording (libpcap, little endian,
// Ethernet, IPv4, UDP 500 and 4500).
func readIKE(t testing.TB, name string) []packet {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []packet
	for b = b[24:]; len(b) >= 16; {
		n := int(binary.LittleEndian.Uint32(b[8:]))
		f := b[16 : 16+n]
		b = b[16+n:]
		if len(f) < 42 || binary.BigEndian.Uint16(f[12:]) != 0x0800 || f[23] != 17 || f[14] != 0x45 {
			continue
		}
		ip := f[14:]
		p := packet{from: netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:])), binary.BigEndian.Uint16(ip[20:])),
			to: netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:])), binary.BigEndian.Uint16(ip[22:])), b: ip[28 : 20+binary.BigEndian.Uint16(ip[24:])]}
		if p.to.Port() == NATPort || p.from.Port() == NATPort {
			if len(p.b) < 4 || !zero(p.b[:4]) {
				continue
			}
			p.b, p.marker = p.b[4:], true
		}
		if p.marker || p.to.Port() == Port || p.from.Port() == Port {
			out = append(out, p)
		}
	}
	return out
}

func TestEveryRecordedMessageIsRead(t *testing.T) {
	clearOnes, sealed, old := 0, 0, 0
	ca, _ := pairOf()
	e := newWorld(t, 1).add(ca).e
	for _, name := range recordings(t) {
		for i, p := range readIKE(t, name) {
			h, ok := parseHeader(p.b)
			switch {
			case h.major() == 1:
				old++
				out := e.HandleMessage(p.to, p.from, p.b, p.marker, int64(old)*second)
				if len(out) != 1 || out[0].Event.Kind != IKEv1Refused {
					t.Fatalf("%s %d: IKEv1 gives %+v", name, i, out)
				}
			case !ok:
				t.Fatalf("%s %d: the header cannot be read", name, i)
			case h.exchange == exchangeInit:
				clearOnes++
				isRead(t, h, p.b)
			default:
				sealed++
				if c, f := parseChain(h.next, p.b[headerLen:]); f != nil || len(c) != 1 || c[0].kind != payloadSK {
					t.Fatalf("%s %d: %v %v", name, i, c, f)
				}
			}
		}
	}
	if clearOnes < 15 || sealed < 60 || old < 50 {
		t.Fatalf("only %d, %d and %d messages", clearOnes, sealed, old)
	}
	t.Logf("%d in clear, %d encrypted, %d of IKEv1", clearOnes, sealed, old)
}

// isRead reads a message in clear and writes it again.
func isRead(t *testing.T, h header, b []byte) {
	t.Helper()
	c, f := parseContent(h.next, b[headerLen:])
	if f != nil {
		t.Fatal(f)
	}
	list, f := parseChain(h.next, b[headerLen:])
	if f != nil || !bytes.Equal(clearMessage(h, list), b) {
		t.Fatal("the message is written in another way")
	}
	for _, p := range list {
		if p.kind == payloadSA && !bytes.Equal(encodeSA(c.sa), p.body) {
			t.Fatalf("proposals are written in another way:\n%x\n%x", encodeSA(c.sa), p.body)
		}
		if p.kind == payloadKE && !bytes.Equal(c.ke.encode(), p.body) {
			t.Fatal("KE is written in another way")
		}
	}
	if c.sa != nil && describe(c.sa) == "" {
		t.Fatal("proposals cannot be described")
	}
}

// secrets reads what a daemon logged: a list for each name, in order.
func secrets(t *testing.T, name string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, line := range strings.Split(string(b), "\n") {
		key, value, _ := strings.Cut(line, " ")
		out[key] = append(out[key], value)
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// listener follows a recorded conversation with the logged key exchange
// secrets: the other keys are derived and compared with the logged ones.
type listener struct {
	t       *testing.T
	log     map[string][]string
	suite   suite
	used    int
	sas     map[uint64]*ikeKeys // by the initiator's SPI
	prf     map[uint64]PRF
	initI   []byte
	initR   []byte
	ni, nr  []byte
	request *content // the last CREATE_CHILD_SA
	proved  int
	esp     int
	opened  int
}

const recordedSecret = "testpsk-correct-horse"

func TestTheKeysOfARealDaemonAreDerived(t *testing.T) {
	for pcap, want := range map[string]struct{ keys, esp, sas int }{
		"testdata/ikev2-plain-strongswan.pcap":                   {keys: 1, esp: 2, sas: 1},
		"../../../alg/ipsec/testdata/ikev2-natt-strongswan.pcap": {keys: 2, esp: 2, sas: 2},
	} {
		base := strings.TrimSuffix(filepath.Base(pcap), ".pcap")
		l := &listener{t: t, log: secrets(t, "testdata/"+base+".keys"), sas: map[uint64]*ikeKeys{}, prf: map[uint64]PRF{}}
		client := readIKE(t, pcap)[0].from.Addr()
		for _, p := range readIKE(t, pcap) {
			if p.from.Addr() == client || p.to.Addr() == client {
				l.hear(p.b)
			}
		}
		if l.used != want.keys || l.proved != 2 || l.esp != want.esp || len(l.sas) != want.sas || l.opened < 8 {
			t.Errorf("%s: %d key exchanges, %d proofs, %d ESP SAs, %d IKE SAs, %d messages", base, l.used, l.proved, l.esp, len(l.sas), l.opened)
		}
	}
}

func (l *listener) hear(b []byte) {
	l.t.Helper()
	h, ok := parseHeader(b)
	if !ok {
		l.t.Fatal("header")
	}
	if h.exchange == exchangeInit {
		l.init(h, b)
		return
	}
	k := l.sas[h.spiI]
	if k == nil {
		l.t.Fatalf("no keys for %016x", h.spiI)
	}
	p := &protection{suite: l.suite, e: k.ei, a: k.ai}
	if !h.initiator() {
		p = &protection{suite: l.suite, e: k.er, a: k.ar}
	}
	o, err := p.open(h, b)
	if err != nil {
		l.t.Fatalf("%v %d: %v", h.exchange, h.id, err)
	}
	c, f := parseContent(o.first, o.inner)
	if f != nil {
		l.t.Fatal(f)
	}
	l.opened++
	switch h.exchange {
	case exchangeAuth:
		l.auth(h, k, c)
	case exchangeChild:
		l.create(h, k, c)
	}
}

func (l *listener) init(h header, b []byte) {
	c, f := parseContent(h.next, b[headerLen:])
	if f != nil {
		l.t.Fatal(f)
	}
	if !h.response() {
		l.initI, l.ni = b, c.nonce
		return
	}
	l.initR, l.nr = b, c.nonce
	ours := []Proposal{{Ciphers: []Cipher{AESCBC128}, Integrity: []Integrity{HMACSHA256}, PRFs: []PRF{PRFSHA256}, Groups: []Group{MODP2048}}}
	got, ok := choose(c.sa, ours, protocolIKE, 0, true)
	if !ok {
		l.t.Fatal(describe(c.sa))
	}
	l.suite = got.suite
	l.derived(l.suite.seedInitial(unhex(l.t, l.log["shared"][0]), l.ni, l.nr), l.ni, l.nr, h.spiI, h.spiR)
}

// derived makes the keys of an IKE SA and compares each with the log.
func (l *listener) derived(seed, ni, nr []byte, spiI, spiR uint64) {
	l.t.Helper()
	i := l.used
	l.used++
	if hex.EncodeToString(seed) != l.log["skeyseed"][i] {
		l.t.Fatal("SKEYSEED differs")
	}
	k := l.suite.deriveIKE(seed, ni, nr, spiI, spiR)
	for name, key := range map[string][]byte{"d": k.d, "ai": k.ai, "ar": k.ar, "ei": k.ei, "er": k.er, "pi": k.pi, "pr": k.pr} {
		if hex.EncodeToString(key) != l.log[name][i] {
			l.t.Fatalf("SK_%s differs", name)
		}
	}
	l.sas[spiI] = k
}

// auth verifies both proofs and the first child's keys.
func (l *listener) auth(h header, k *ikeKeys, c *content) {
	l.t.Helper()
	message, nonce, key, id := l.initI, l.nr, k.pi, c.idi
	if h.response() {
		message, nonce, key, id = l.initR, l.ni, k.pr, c.idr
	} else {
		l.request = c
	}
	p := &proof{suite: l.suite, octets: l.suite.signedOctets(message, nonce, key, id.body)}
	if err := p.check(&Peer{RemoteAuth: PSK, Secret: Secret(recordedSecret)}, id.id, c.auth, nil, noDate()); err != nil {
		l.t.Fatal(err)
	}
	if p.check(&Peer{RemoteAuth: PSK, Secret: Secret("another")}, id.id, c.auth, nil, noDate()) == nil {
		l.t.Fatal("another secret is taken")
	}
	l.proved++
	if h.response() {
		l.child(k, c, l.ni, l.nr)
	}
}

// create follows rekeying of children and of the IKE SA.
func (l *listener) create(h header, k *ikeKeys, c *content) {
	l.t.Helper()
	if !h.response() {
		l.request = c
		return
	}
	ni, nr := l.request.nonce, c.nonce
	if c.sa[0].protocol == protocolESP {
		l.child(k, c, ni, nr)
		return
	}
	i, r := binary.BigEndian.Uint64(l.request.sa[0].spi), binary.BigEndian.Uint64(c.sa[0].spi)
	l.derived(seedRekey(l.suite.prf, k.d, unhex(l.t, l.log["shared"][l.used]), ni, nr), ni, nr, i, r)
}

// child derives ESP keys and counts those that the kernel had.
func (l *listener) child(k *ikeKeys, c *content, ni, nr []byte) {
	ours := []Proposal{{Ciphers: []Cipher{AESCBC128}, Integrity: []Integrity{HMACSHA256}}}
	got, ok := choose(c.sa, ours, protocolESP, 4, true)
	if !ok {
		l.t.Fatal(describe(c.sa))
	}
	keys := got.deriveChild(l.suite.prf, k.d, nil, ni, nr)
	for _, x := range []struct {
		spi []byte
		k   Keys
	}{{got.spi, keys.fromI}, {l.request.sa[0].spi, keys.fromR}} {
		line := hex.EncodeToString(x.spi) + " " + hex.EncodeToString(x.k.Cipher) + " " + hex.EncodeToString(x.k.Integrity)
		for _, esp := range l.log["esp"] {
			if strings.HasPrefix(esp, line[:8]) {
				if esp != line {
					l.t.Fatalf("the kernel had %s, derived is %s", esp, line)
				}
				l.esp++
			}
		}
	}
}
