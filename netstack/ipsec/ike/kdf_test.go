package ike

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// TestPRFsOfRFC4231 are test cases 1 and 6: a short key, and one that is longer
// than a block.
func TestPRFsOfRFC4231(t *testing.T) {
	const larger = "Test Using Larger Than Block-Size Key - Hash Key First"
	for p, want := range map[PRF][2]string{
		PRFSHA256: {"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		PRFSHA384: {"afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
			"4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"},
		PRFSHA512: {"87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
			"80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
	} {
		if got := hex.EncodeToString(p.mac(bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There"))); got != want[0] {
			t.Errorf("%v, case 1: %s", p, got)
		}
		if got := hex.EncodeToString(p.mac(bytes.Repeat([]byte{0xaa}, 131), []byte(larger))); got != want[1] {
			t.Errorf("%v, case 6: %s", p, got)
		}
	}
}

// derivation is one test case of testdata/kdf.txt; its words are explained
// there.
type derivation map[string][]byte

func derivations(t *testing.T) map[string]derivation {
	t.Helper()
	text, err := os.ReadFile("testdata/kdf.txt")
	if err != nil {
		t.Fatal(err)
	}
	all, name := map[string]derivation{}, ""
	for line := range strings.Lines(string(text)) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "#":
		case value == "":
			name = word
			all[name] = derivation{}
		default:
			all[name][word] = unhex(t, value)
		}
	}
	return all
}

// TestKeysAreThoseOfNISTsVectors derives an IKE SA's keys and its children's.
// What SKEYSEED is made of is compared with a real daemon's log
// (TestTheKeysOfARealDaemonAreDerived), with SHA-256 like all that follows.
func TestKeysAreThoseOfNISTsVectors(t *testing.T) {
	all := derivations(t)
	for name, s := range map[string]suite{
		"SHA-384": {cipher: AESGCM128, prf: PRFSHA384},
		"SHA-512": {cipher: AESGCM128, prf: PRFSHA512},
	} {
		d := all[name]
		if d == nil {
			t.Fatalf("%s is not there", name)
		}
		k := s.deriveIKE(d["skeyseed"], d["ni"], d["nr"], binary.BigEndian.Uint64(d["spii"]), binary.BigEndian.Uint64(d["spir"]))
		if want := d["keys"][:len(k.material)]; !bytes.Equal(k.material, want) {
			t.Errorf("%s: the keys of the IKE SA are %x, want %x", name, k.material, want)
		}
		if n := s.prf.size(); !bytes.Equal(k.d, d["keys"][:n]) || !bytes.Equal(k.pr, d["keys"][2*n+40:3*n+40]) {
			t.Errorf("%s: SK_d or SK_pr stands elsewhere", name)
		}
		child := suite{cipher: AESCBC128, integrity: HMACSHA256}
		for what, secret := range map[string][]byte{"child": nil, "pfs": d["new"]} {
			if d[what] == nil {
				continue
			}
			got := child.deriveChild(s.prf, k.d, secret, d["ni"], d["nr"])
			joined := bytes.Join([][]byte{got.fromI.Cipher, got.fromI.Integrity, got.fromR.Cipher, got.fromR.Integrity}, nil)
			if !bytes.Equal(joined, d[what]) {
				t.Errorf("%s, %s: %x, want %x", name, what, joined, d[what])
			}
		}
	}
}
