package configs

import (
	"strings"
	"testing"
)

func TestATextIsShownWithoutItsSecrets(t *testing.T) {
	const text = "\ufeffversion = 1\n# psk = \"out of use\", auth_key='file:a' # AUTH_KEY: yes\n" +
		"[net.ipsec.peer.gw1]\npsk = \"correct horse\" # of gw1\nlife = \"8h\"\n" +
		"[net.ipsec.peer.gw2]\npsk = \"file:gw2.psk\"\n" +
		"[net.ipsec.peer.gw3]\n\"p\\u0073k\" = \"\"\"\ncorrect\nhorse\"\"\"\n" +
		"[net.ipsec.manual_sa]\nout1 = { spi = 4096, encrypt_key = '0x0102', auth_key = 'file:/etc/auth', psk = 7 }\n" +
		"net.ipsec.peer.gw4.psk = 'x'"
	const want = "\ufeffversion = 1\n# psk = <secret>, auth_key='file:a' # AUTH_KEY: yes\n" +
		"[net.ipsec.peer.gw1]\npsk = <secret> # of gw1\nlife = \"8h\"\n" +
		"[net.ipsec.peer.gw2]\npsk = \"file:gw2.psk\"\n" +
		"[net.ipsec.peer.gw3]\n\"p\\u0073k\" = <secret>\n" +
		"[net.ipsec.manual_sa]\nout1 = { spi = 4096, encrypt_key = <secret>, auth_key = 'file:/etc/auth', psk = <secret> }\n" +
		"net.ipsec.peer.gw4.psk = <secret>"
	got, err := Conceal(text)
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
	if _, _, err := Parse("shown.toml", []byte(got)); err == nil || !strings.HasPrefix(err.Error(), "shown.toml:4:") {
		t.Errorf("what was shown can be applied: %v", err)
	}
	if _, err := Conceal("psk = \"open"); err == nil {
		t.Error("what is not TOML is shown")
	}
	for _, text := range []string{IPsecPassthrough(), CarrierNAT()} {
		if got, err := Conceal(text); got != text || err != nil {
			t.Errorf("a text without secrets is another: %v", err)
		}
	}
}

// Every value that is read as a secret is concealed.
func TestWhatIsReadAsASecretIsConcealed(t *testing.T) {
	shown, err := Conceal(tunnelled)
	if err != nil || strings.Contains(shown, "0x00010203") || strings.Contains(shown, "correct horse") || strings.Count(shown, concealed) != 6 {
		t.Errorf("%v\n%s", err, shown)
	}
}

// A text to be compared may be anybody's.
func TestAHostileTextIsConcealedOrRefused(t *testing.T) {
	deep := strings.Repeat("[", 1<<19)
	if _, err := Conceal("x = " + deep); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("a deep one: %v", err)
	}
	if _, err := Conceal(strings.Repeat("# x\n", 1<<19)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a long one: %v", err)
	}
	many := "x = [" + strings.Repeat("{psk=1},", 100_000) + "]"
	if got, err := Conceal(many); err != nil || strings.Count(got, concealed) != 100_000 {
		t.Errorf("many secrets: %v, %d", err, strings.Count(got, concealed))
	}
	for text, want := range map[string]string{
		`psk = {psk = "aaaaaaaaaaaaaaaaaaaaaa"}`:       "psk = <secret>",
		"[[x]]\npsk = 'A'\n[[x]]\npsk = 'B' # both":    "[[x]]\npsk = <secret>\n[[x]]\npsk = <secret> # both",
		"x = [{psk = 'A'}, {psk = 'B', auth_key = 1}]": "x = [{psk = <secret>}, {psk = <secret>, auth_key = <secret>}]",
	} {
		if got, err := Conceal(text); err != nil || got != want {
			t.Errorf("%q became %q (%v)", text, got, err)
		}
	}
}

func TestAWordThatLooksConcealedIsCompared(t *testing.T) {
	was, is := "x = \"\"\"\npsk = <secret>\n\"\"\"\n", "x = 1\npsk = 'A'\n"
	if text, err := Compare(was, is, "was", "is"); err != nil || strings.Contains(text, "'A'") {
		t.Errorf("%v\n%s", err, text)
	}
}
