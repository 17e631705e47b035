package configs

import (
	"strings"
	"testing"
)

const compared = `version = 1
[net.ipsec.peer.gw1]
remote_address = "198.51.100.1"
psk = "correct horse"
# psk = "the one before"
[net.ipsec.manual_sa]
out1 = { spi = 4096, encrypt_key = "0x0102", auth_key = "0x0304" }
[net.ipsec.peer.gw2]
psk = "file:gw2.psk"
`

func TestADiffShowsThatASecretHasChangedAndNotWhich(t *testing.T) {
	for name, c := range map[string]struct {
		change []string
		want   string
	}{
		"nothing": {nil, ""},
		"a key": {[]string{"correct horse", "battery staple"}, `@@ -1,7 +1,7 @@
 version = 1
 [net.ipsec.peer.gw1]
 remote_address = "198.51.100.1"
-psk = <secret, changed>
+psk = <secret, changed>
 # psk = <secret>
 [net.ipsec.manual_sa]
 out1 = { spi = 4096, encrypt_key = <secret>, auth_key = <secret> }
`},
		"one of two, and the remark": {[]string{"0x0304", "0x0305", "the one before", "older"}, `@@ -2,8 +2,8 @@
 [net.ipsec.peer.gw1]
 remote_address = "198.51.100.1"
 psk = <secret>
-# psk = <secret, changed>
+# psk = <secret, changed>
 [net.ipsec.manual_sa]
-out1 = { spi = 4096, encrypt_key = <secret>, auth_key = <secret, changed> }
+out1 = { spi = 4096, encrypt_key = <secret>, auth_key = <secret, changed> }
 [net.ipsec.peer.gw2]
 psk = "file:gw2.psk"
`},
		"a key goes into a file": {[]string{`"correct horse"`, `"file:gw1.psk"`}, `@@ -1,7 +1,7 @@
 version = 1
 [net.ipsec.peer.gw1]
 remote_address = "198.51.100.1"
-psk = <secret>
+psk = "file:gw1.psk"
 # psk = <secret>
 [net.ipsec.manual_sa]
 out1 = { spi = 4096, encrypt_key = <secret>, auth_key = <secret> }
`},
		"a new one": {[]string{`"file:gw2.psk"`, `"correct horse"`}, `@@ -6,4 +6,4 @@
 [net.ipsec.manual_sa]
 out1 = { spi = 4096, encrypt_key = <secret>, auth_key = <secret> }
 [net.ipsec.peer.gw2]
-psk = "file:gw2.psk"
+psk = <secret>
`},
	} {
		want := c.want
		if want != "" {
			want = "--- running\n+++ new\n" + want
		}
		got, err := Compare(compared, strings.NewReplacer(c.change...).Replace(compared), "running", "new")
		if err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
	if _, err := Compare(compared, "psk = \"open", "running", "new"); err == nil || !strings.HasPrefix(err.Error(), "new: ") {
		t.Errorf("what is not TOML: %v", err)
	}
}

// FuzzCompare: no secret is ever in a diff.
func FuzzCompare(f *testing.F) {
	f.Add(compared, strings.Replace(compared, "horse", "cow", 1))
	f.Add("psk = 'a'", "psk = \"\"\"\na\"\"\"")
	f.Add("", "\ufeff# <secret>")
	f.Fuzz(func(t *testing.T, old, now string) {
		const key = "psk = \"4f2a9c-never-shown\"\n"
		text, err := Compare(key+old, now+"\n"+key, "a", "b")
		if err == nil && (strings.Contains(text, "never-shown") || strings.Contains(text, "\x00")) {
			t.Errorf("%q", text)
		}
	})
}
