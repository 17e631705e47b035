package ike

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"net/netip"
	"testing"
	"time"
)

func noDate() time.Time { return time.Time{} }

// pi returns floor(2^bits * pi) by Machin's formula.
func pi(bits uint) *big.Int {
	const guard = 64
	one := new(big.Int).Lsh(big.NewInt(1), bits+guard)
	arctan := func(x int64) *big.Int { // of 1/x
		term := new(big.Int).Div(one, big.NewInt(x))
		sum, square := new(big.Int).Set(term), big.NewInt(x*x)
		for n := int64(3); term.Sign() > 0; n += 2 {
			term.Div(term, square)
			part := new(big.Int).Div(term, big.NewInt(n))
			if n%4 == 3 {
				part.Neg(part)
			}
			sum.Add(sum, part)
		}
		return sum
	}
	a, b := arctan(5), arctan(239)
	a.Mul(a, big.NewInt(4)).Sub(a, b).Mul(a, big.NewInt(4))
	return a.Rsh(a, guard)
}

func TestTheGroupsAreThoseOfRFC3526(t *testing.T) {
	for _, x := range []struct {
		g    Group
		n    uint
		more int64
	}{{MODP2048, 2048, 124476}, {MODP3072, 3072, 1690314}, {MODP4096, 4096, 240904}} {
		want := new(big.Int).Lsh(big.NewInt(1), x.n)
		want.Sub(want, new(big.Int).Lsh(big.NewInt(1), x.n-64)).Sub(want, big.NewInt(1))
		digits := pi(x.n - 130)
		digits.Add(digits, big.NewInt(x.more))
		want.Add(want, digits.Lsh(digits, 64))
		if got := prime(x.g); got.Cmp(want) != 0 {
			t.Errorf("%v is another number", x.g)
		}
		half := new(big.Int).Rsh(want, 1)
		if !want.ProbablyPrime(0) || !half.ProbablyPrime(0) {
			t.Errorf("%v is no safe prime", x.g)
		}
	}
	if prime(X25519) != nil || Group(2).known() {
		t.Error("a group that is not known is")
	}
}

// TestKeyExchangesOfTheRFCs plays RFC 5903 section 8 and RFC 7748 section 6.1.
func TestKeyExchangesOfTheRFCs(t *testing.T) {
	for _, x := range []struct {
		g                      Group
		i, gi, r, gr, together string
	}{
		{ECP256, "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
			"DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C37725811805271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
			"C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
			"D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF6356FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
			"D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"},
		{ECP384, "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
			"667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA" +
				"9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
			"41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
			"E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571" +
				"DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
			"11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"},
		{X25519, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
			"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
	} {
		i, err := newKeyPair(x.g, bytes.NewReader(unhex(t, x.i)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := newKeyPair(x.g, bytes.NewReader(unhex(t, x.r)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(i.public, unhex(t, x.gi)) || !bytes.Equal(r.public, unhex(t, x.gr)) {
			t.Errorf("%v: public values differ: %x %x", x.g, i.public, r.public)
		}
		a, err := i.shared(r.public)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.shared(i.public)
		if err != nil || !bytes.Equal(a, unhex(t, x.together)) || !bytes.Equal(a, b) {
			t.Errorf("%v: %x %x %v", x.g, a, b, err)
		}
	}
}

func TestPublicValuesOutsideOfTheGroupAreRefused(t *testing.T) {
	random := newWorld(t, 1).add(first(pairOf())).e.cfg.Random
	for _, g := range []Group{MODP2048, ECP256, ECP384, X25519} {
		k, err := newKeyPair(g, random)
		if err != nil {
			t.Fatal(err)
		}
		size := len(k.public)
		bad := [][]byte{nil, make([]byte, size), make([]byte, size+1), bytes.Repeat([]byte{0xff}, size+1)}
		if g == MODP2048 {
			p := prime(g)
			one := append(make([]byte, size-1), 1)
			bad = append(bad, one, new(big.Int).Sub(p, big.NewInt(1)).Bytes(), p.Bytes(), k.public[1:])
		} else if g != X25519 {
			off := bytes.Clone(k.public)
			off[size-1] ^= 1
			bad = append(bad, off)
		}
		for _, b := range bad {
			if _, err := k.shared(b); err == nil {
				t.Errorf("%v takes %x", g, b)
			}
		}
		k.wipe()
		if k.x != nil || k.curve != nil {
			t.Errorf("%v is not wiped", g)
		}
	}
}

// TestHMACsOfRFC4868 are the vectors of section 2.7.2 for "Hi There".
func TestHMACsOfRFC4868(t *testing.T) {
	for _, x := range []struct {
		p    PRF
		i    Integrity
		want string
	}{
		{PRFSHA256, HMACSHA256, "198a607eb44bfbc69903a0f1cf2bbdc5"},
		{PRFSHA384, HMACSHA384, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"},
		{PRFSHA512, HMACSHA512, "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"},
	} {
		key := bytes.Repeat([]byte{0x0b}, x.i.KeyLen())
		p := protection{suite: suite{integrity: x.i}, a: key}
		if got := hex.EncodeToString(p.icv([]byte("Hi There"))); got != x.want {
			t.Errorf("%v: %s", x.i, got)
		}
		if got := hex.EncodeToString(x.p.mac(key, []byte("Hi "), []byte("There"))[:x.i.icvLen()]); got != x.want {
			t.Errorf("%v: %s", x.p, got)
		}
	}
}

func TestPRFPlusIsOneStreamOfBlocks(t *testing.T) {
	for _, p := range []PRF{PRFSHA256, PRFSHA384, PRFSHA512} {
		long := p.plus([]byte("key"), []byte("seed"), 1000)
		t1 := p.mac([]byte("key"), []byte("seed"), []byte{1})
		t2 := p.mac([]byte("key"), t1, []byte("seed"), []byte{2})
		if !bytes.Equal(long[:2*p.size()], append(t1, t2...)) {
			t.Errorf("%v: the first two blocks are others", p)
		}
		for _, n := range []int{1, p.size(), p.size() + 1, 999} {
			if short := p.plus([]byte("key"), []byte("seed"), n); !bytes.Equal(short, long[:n]) {
				t.Errorf("%v: %d octets are no beginning of 1000", p, n)
			}
		}
	}
}

func TestSealedMessagesOpenAndNoOctetMayChange(t *testing.T) {
	random := newWorld(t, 1).add(first(pairOf())).e.cfg.Random
	for _, s := range []suite{{cipher: AESGCM128}, {cipher: AESGCM256}, {cipher: AESCBC128, integrity: HMACSHA256}, {cipher: AESCBC256, integrity: HMACSHA512}} {
		p := &protection{suite: s, e: bytes.Repeat([]byte{7}, s.cipher.KeyLen()), a: bytes.Repeat([]byte{9}, s.integrity.KeyLen())}
		for n := range 40 {
			inner := bytes.Repeat([]byte{byte(n)}, n)
			for _, total := range []uint16{0, 3} {
				b, err := p.seal(header{spiI: 1, spiR: 2, exchange: exchangeAuth}, 35, inner, min(2, total), total, random)
				if err != nil {
					t.Fatal(err)
				}
				h, ok := parseHeader(b)
				o, err := p.open(h, b)
				if !ok || err != nil || !bytes.Equal(o.inner, inner) || o.first != 35 || o.total != total {
					t.Fatalf("%v %d: %v %v %+v", s, n, ok, err, o)
				}
				bad := bytes.Clone(b)
				bad[int(b[len(b)-1])%len(b)] ^= 1
				if h, ok := parseHeader(bad); ok {
					if _, err := p.open(h, bad); err == nil {
						t.Fatalf("%v %d: a changed message opens", s, n)
					}
				}
			}
		}
	}
}

func TestNATDetectionHashes(t *testing.T) {
	// As a strongSwan 5.9.8 logged it: both SPIs, 192.168.1.11, port 500.
	got := natHash(0x0D7627FDC620BFEE, 0, netip.MustParseAddrPort("192.168.1.11:500"))
	if hex.EncodeToString(got) != "09a0013e2596d97afcf9fb9e07dd7b7f5bc5d4e7" {
		t.Fatalf("%x", got)
	}
}
