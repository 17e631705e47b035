package ipsec

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"spigate/netstack/frame"
)

// lines reads a file of testdata: fields in hex, # begins a remark.
func lines(t *testing.T, name string, fields int) (out [][][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) != fields {
			t.Fatalf("%s: %d fields in %q", name, len(words), line)
		}
		var row [][]byte
		for _, w := range words {
			row = append(row, unhex(t, w))
		}
		out = append(out, row)
	}
	return out
}

func TestGCMAsTheTestCasesOfItsDraftHaveIt(t *testing.T) {
	cases := lines(t, "gcm.txt", 6)
	if len(cases) != 14 {
		t.Fatalf("%d cases", len(cases))
	}
	for i, row := range cases {
		key, nonce, aad, plain, ciphertext, icv := row[0], row[1], row[2], row[3], row[4], row[5]
		s := Suite{Cipher: AESGCM, Bits: 8 * len(key)}
		c, err := newCrypt(s, Keys{Encrypt: append(bytes.Clone(key), nonce[:4]...)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		esn, hi := len(aad) == 12, uint32(0)
		if esn {
			hi = binary.BigEndian.Uint32(aad[4:])
		}
		l := c.take()
		esp := bytes.Join([][]byte{aad[:4], aad[len(aad)-4:], nonce[4:], plain, make([]byte, 16)}, nil)
		c.seal(l, esp, hi, esn)
		want := bytes.Join([][]byte{aad[:4], aad[len(aad)-4:], nonce[4:], ciphertext, icv}, nil)
		if !bytes.Equal(esp, want) {
			t.Errorf("case %d: sealed % x, want % x", i, esp, want)
		}
		if body, ok := c.open(l, esp, hi, esn); !ok || !bytes.Equal(body, plain) {
			t.Errorf("case %d: opened %v % x", i, ok, body)
		}
	}
}

// The same packets by the way that received ones take: the window knows where
// the extended number is, and transport mode shows what is inside.
func TestGCMTestCasesAreReceived(t *testing.T) {
	for i, row := range lines(t, "gcm.txt", 6) {
		key, nonce, aad, plain := row[0], row[1], row[2], row[3]
		spi := binary.BigEndian.Uint32(aad)
		if spi < reservedSPIs {
			continue // case 3 has the SPI 0
		}
		sa := makeSA(t, SAConfig{
			SPI: spi, Mode: Transport, Local: addr("10.0.0.1"), Remote: addr("10.0.0.2"), Scope: wide(),
			Suite: Suite{Cipher: AESGCM, Bits: 8 * len(key)}, Keys: Keys{Encrypt: append(bytes.Clone(key), nonce[:4]...)},
			ESN: len(aad) == 12,
		})
		if sa.ESN {
			number := uint64(binary.BigEndian.Uint32(aad[4:]))<<32 | uint64(binary.BigEndian.Uint32(aad[8:]))
			sa.window.top.Store(number - 1)
		}
		esp := bytes.Join([][]byte{aad[:4], aad[len(aad)-4:], nonce[4:], row[4], row[5]}, nil)
		p := append(inner{src: "10.0.0.2", dst: "10.0.0.1", proto: frame.ProtoESP, size: 20}.packet(), esp...)
		patch(p, frame.ProtoESP)
		got, v := sa.Open(p, 0)
		pad := int(plain[len(plain)-2])
		if v != Pass || !bytes.Equal(got[20:], plain[:len(plain)-2-pad]) || got[9] != plain[len(plain)-1] {
			t.Errorf("case %d: %v % x", i, v, got)
		}
	}
}

func TestCBCPacketsOfRFC3602(t *testing.T) {
	const k56, k78 = "90d382b410eeba7ad938c46cec1a82bf", "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		key, payload, esp string
		next              uint8
	}{
		"case 5": {k56, "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
			"0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6", 1},
		"case 6": {k56, "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
			"000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75", 1},
		"case 7": {k78, "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
			"0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d", 4},
		"case 8": {k78, "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
			"000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892", 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := Suite{AESCBC, 128, HMACSHA256}
			keys := Keys{Encrypt: unhex(t, c.key), Auth: someKeys(s, 1).Auth}
			esp, payload := unhex(t, c.esp), unhex(t, c.payload)
			mode := Tunnel
			if c.next != protoIPv4 {
				mode = Transport
			}
			out := makeSA(t, SAConfig{SPI: binary.BigEndian.Uint32(esp), Outbound: true, Mode: mode, Suite: s, Keys: keys, Local: addr("192.168.123.3"), Remote: addr("192.168.123.100")})

			// Ours, with the RFC's number and IV: what is before the ICV is the RFC's.
			mine := append(append(bytes.Clone(esp[:24]), payload...), make([]byte, 64)...)
			f := form{payload: 24, trailer: 24 + len(payload), next: c.next, padding: out.padding(len(payload))}
			for i := range f.padding {
				mine[f.trailer+i] = byte(i + 1)
			}
			f.end = f.trailer + f.padding + 2
			mine[f.end-2], mine[f.end-1] = byte(f.padding), c.next
			mine = mine[:f.end+16]
			out.crypt.seal(out.crypt.take(), mine, 0, false)
			if !bytes.Equal(mine[:len(mine)-16], esp) {
				t.Fatalf("sealed % x\nwant % x", mine, esp)
			}

			// And received, with that ICV.
			in := makeSA(t, SAConfig{SPI: out.SPI, Mode: mode, Suite: s, Keys: keys, Local: addr("192.168.123.100"), Remote: addr("192.168.123.3")})
			p := append(inner{src: "192.168.123.3", dst: "192.168.123.100", size: 20}.packet(), mine...)
			patch(p, frame.ProtoESP)
			got, v := in.Open(p, 0)
			if mode == Transport && v == Pass {
				got = got[20:]
			}
			if v != Pass || !bytes.Equal(got, payload) {
				t.Errorf("opened %v % x", v, got)
			}
		})
	}
}

// RFC 3602 section 4, cases 1 to 4: one to four blocks.
func TestCBCBlocksOfRFC3602(t *testing.T) {
	for _, c := range []struct{ key, iv, plain, want string }{
		{"06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
			"53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a"},
		{"c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
			"000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f",
			"d296cd94c2cccf8a3a863028b5e1dc0a 7586602d253cfff91b8266bea6d61ab1"},
		{"6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81",
			"5468697320697320612034382d627974 65206d65737361676520286578616374 6c7920332041455320626c6f636b7329",
			"d0a02b3836451753d493665d33f0e886 2dea54cdb293abc7506939276772f8d5 021c19216bad525c8579695d83ba2684"},
		{"56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
			"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf b0b1b2b3b4b5b6b7b8b9babbbcbdbebf c0c1c2c3c4c5c6c7c8c9cacbcccdcecf d0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
			"c30e32ffedc0774e6aff6af0869f71aa 0f3af07a9a31a9c684db207eb0ef8e4e 35907aa632c3ffdf868bb7b29d3d46ad 83ce9f9a102ee99d49a53e87f4c3da55"},
	} {
		s := Suite{AESCBC, 128, HMACSHA256}
		k, err := newCrypt(s, Keys{Encrypt: unhex(t, c.key), Auth: someKeys(s, 3).Auth}, bytes.NewReader(make([]byte, 16)))
		if err != nil {
			t.Fatal(err)
		}
		esp := bytes.Join([][]byte{make([]byte, 8), unhex(t, c.iv), unhex(t, c.plain), make([]byte, 16)}, nil)
		k.seal(k.take(), esp, 0, false)
		if got := esp[24 : len(esp)-16]; !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("% x, want %s", got, c.want)
		}
		if body, ok := k.open(k.take(), esp, 0, false); !ok || !bytes.Equal(body, unhex(t, c.plain)) {
			t.Errorf("opened %v % x", ok, body)
		}
	}
}

// NIST SP 800-38A F.2: four blocks under each length of key.
func TestCBCWithLongerKeys(t *testing.T) {
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710")
	for key, want := range map[string]string{
		"2b7e151628aed2a6abf7158809cf4f3c":                                 "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2 73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
		"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b":                 "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a 571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
		"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4": "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d 39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
	} {
		s := Suite{AESCBC, len(key) * 4, HMACSHA512}
		c, err := newCrypt(s, Keys{Encrypt: unhex(t, key), Auth: someKeys(s, 3).Auth}, bytes.NewReader(make([]byte, 16)))
		if err != nil {
			t.Fatal(err)
		}
		esp := bytes.Join([][]byte{make([]byte, 8), unhex(t, "000102030405060708090a0b0c0d0e0f"), plain, make([]byte, 32)}, nil)
		c.seal(c.take(), esp, 0, false)
		if got := esp[24 : len(esp)-32]; !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%d bits: % x", s.Bits, got)
		}
		if body, ok := c.open(c.take(), esp, 0, false); !ok || !bytes.Equal(body, plain) {
			t.Errorf("%d bits: opened %v % x", s.Bits, ok, body)
		}
	}
}

// RFC 4868 section 2.7.2: cases 1 to 4 of AUTH256, AUTH384 and AUTH512. The ICV
// is the first half of what stands there.
func TestHMACsOfRFC4868(t *testing.T) {
	rep := func(s string, n int) []byte { return []byte(strings.Repeat(s, n)) }
	upTo := func(n int) (b []byte) { // 1, 2, 3, …
		for i := range n {
			b = append(b, byte(i+1))
		}
		return b
	}
	const hi, jefe = "Hi There", "what do ya want for nothing?"
	for _, c := range []struct {
		auth Auth
		key  []byte
		data []byte
		want string
	}{
		{HMACSHA256, rep("\x0b", 32), []byte(hi), "198a607eb44bfbc69903a0f1cf2bbdc5 ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"},
		{HMACSHA256, rep("Jefe", 8), []byte(jefe), "167f928588c5cc2eef8e3093caa0e87c 9ff566a14794aa61648d81621a2a40c6"},
		{HMACSHA256, rep("\xaa", 32), rep("\xdd", 50), "cdcb1220d1ecccea91e53aba3092f962 e549fe6ce9ed7fdc43191fbde45c30b0"},
		{HMACSHA256, upTo(32), rep("\xcd", 50), "372efcf9b40b35c2115b1346903d2ef4 2fced46f0846e7257bb156d3d7b30d3f"},
		{HMACSHA384, rep("\x0b", 48), []byte(hi), "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973 7a959796489bddbc4c5df61d5b3297b4fb68dab9f1b582c2"},
		{HMACSHA384, rep("Jefe", 12), []byte(jefe), "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d a86a368e9b8e16f5349524ca4e82400cbde0686d403371c9"},
		{HMACSHA384, rep("\xaa", 48), rep("\xdd", 50), "809f439be00274321d4a538652164b53554a508184a0c316 0353e3428597003d35914a18770f9443987054944b7c4b4a"},
		{HMACSHA384, append(upTo(32), upTo(25)[9:]...), rep("\xcd", 50), "5b540085c6e6358096532b2493609ed1cb298f774f87bb5c 2ebf182c83cc7428707fb92eab2536a5812258228bc96687"},
		{HMACSHA512, rep("\x0b", 64), []byte(hi), "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8 ac2878ebd5803f6f0b61dbce5e251ff8789a4722c1be65aea45fd464e89f8f5b"},
		{HMACSHA512, rep("Jefe", 16), []byte(jefe), "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454 6aa334ae9fb9afc2184932d8695e397bfa0ffb93466cfcceaae38c833b7dba38"},
		{HMACSHA512, rep("\xaa", 64), rep("\xdd", 50), "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8 623c7b55cebefccf02d5581acc1c9d5fb1ff68a1de45509fbe4da9a433922655"},
		{HMACSHA512, upTo(64), rep("\xcd", 50), "5e6688e5a3daec826ca32eaea224eff5e700628947470e13ad01302561bab108 b8c48cbc6b807dcfbd850521a685babc7eae4a2a2e660dc0e86b931d65503fd2"},
	} {
		s := Suite{Cipher: Null, Auth: c.auth}
		k, err := newCrypt(s, Keys{Auth: c.key}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := unhex(t, c.want)
		if s.icvLen() != len(want)/2 {
			t.Errorf("%v: the ICV has %d bytes", c.auth, s.icvLen())
		}
		for range 2 { // the second time on the saved state
			if got := k.take().hash(c.data, 0, false); !bytes.Equal(got, want) {
				t.Errorf("%v: % x", c.auth, got)
			}
		}
		// An extended number counts as if it stood behind the data.
		with := append(bytes.Clone(c.data), 1, 2, 3, 4)
		if a, b := bytes.Clone(k.take().hash(c.data, 0x01020304, true)), k.take().hash(with, 0, false); !bytes.Equal(a, b) {
			t.Errorf("%v: extended number: % x, want % x", c.auth, a, b)
		}
	}
}

func TestStrongSwansPacketsAreOpenedAndSealedAgain(t *testing.T) {
	sas, packets := map[uint32]*SA{}, 0
	s := Suite{AESCBC, 128, HMACSHA256}
	for _, row := range lines(t, "strongswan.txt", 3) {
		p := row[2]
		goodHeader(t, p)
		spi, ok := SPIOf(p)
		if !ok {
			t.Fatalf("no ESP: % x", p)
		}
		if sas[spi] == nil {
			sas[spi] = makeSA(t, SAConfig{SPI: spi, Mode: Tunnel, Suite: s, Keys: Keys{Encrypt: row[0], Auth: row[1]}, Local: frame.Addr(p[16:20]), Remote: frame.Addr(p[12:16])})
		}
		in := sas[spi]
		got, v := open(in, p, 0)
		if v != Pass {
			t.Fatalf("%08x: %v", spi, v)
		}
		goodHeader(t, got)
		if got[9] != frame.ProtoICMP || len(got) != 84 {
			t.Errorf("%08x: not the ping that was sent: % x", spi, got)
		}
		if _, v := open(in, p, 0); v != Replay {
			t.Errorf("%08x: the same again: %v", spi, v)
		}
		esp, _, _, _ := locate(p)
		b, off := room(got)
		f, v := in.plan(b, off, len(got), 0, 0)
		if v != Pass {
			t.Fatal(v)
		}
		in.write(b, off, f)
		copy(b[f.esp:], esp[:24]) // its SPI, number and IV
		in.crypt.seal(in.crypt.take(), b[f.esp:f.end], 0, false)
		if !bytes.Equal(b[f.esp:f.end], esp) {
			t.Errorf("%08x: sealed again\n% x\nwant\n% x", spi, b[f.esp:f.end], esp)
		}
		packets++
	}
	if packets != 10 || len(sas) < 5 {
		t.Errorf("%d packets of %d SAs", packets, len(sas))
	}
}
