package configs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// aHash is one of bcrypt, of nobody's password.
const aHash = "$2a$11$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

func TestWhoMayLogIn(t *testing.T) {
	user := "[web.user.admin]\npassword = \"" + aHash + "\"\n"
	at := `f:3:12: web.user.admin.password: `
	for _, c := range []struct{ name, text, want string }{
		{"off", "", ""},
		{"on loopback, nobody", "[control]\nhttp = \"127.0.0.1:8080\"\n", ""},
		{"on loopback, by name", "[control]\nhttp = \"localhost:8080\"\n[web]\ntls = false\n", ""},
		{"a network", "[control]\nhttp = \":8443\"\n" + user, ""},
		{"a network, nobody", "[control]\nhttp = \"192.0.2.1:8443\"\n", `f:3:8: control.http: "192.0.2.1:8443" is beyond loopback, and nobody may log in: add a [web.user.NAME] with a password from "spigate web password", or write "127.0.0.1:PORT"`},
		{"a network without TLS", "[control]\nhttp = \":8080\"\n[web]\ntls = false\n" + user, `f:5:7: web.tls: must not be false while [control] http is ":8080": passwords would cross the network in the clear; only a loopback address goes without`},
		{"the password itself", "[web.user.admin]\npassword = \"hunter2\"\n", at + `is no hash of bcrypt: write what "spigate web password" prints, never the password itself`},
		{"a hash that costs nothing", "[web.user.admin]\npassword = \"" + strings.Replace(aHash, "11", "04", 1) + "\"\n", at + "the hash's cost is 04, must be from 10 to 14"},
		{"a hash that takes minutes", "[web.user.admin]\npassword = \"" + strings.Replace(aHash, "11", "31", 1) + "\"\n", at + "the hash's cost is 31, must be from 10 to 14"},
		{"no password", "[web.user.admin]\nrole = \"admin\"\n", `f:2:11: web.user.admin.password: is missing: write what "spigate web password" prints, or "file:PATH" of a file with it`},
		{"an empty one", "[web.user.admin]\npassword = \"\"\n", at + `must not be empty: write what "spigate web password" prints`},
		{"a role that there is not", user + "role = \"root\"\n", `f:4:8: web.user.admin.role: "root" is not one of read_only, admin`},
		{"half a pair", "[web]\ncertificate = \"web.crt\"\n", `f:2:2: web.key: is missing: certificate needs it`},
		{"the other half", "[web]\nkey = \"web.key\"\n", `f:2:2: web.certificate: is missing: key needs it`},
		{"a name with a colon", "[web.user.\"a:b\"]\npassword = \"" + aHash + "\"\n", `f:2:11: web.user."a:b": a user's name has no colon: HTTP puts one between name and password`},
		{"a session for ever", "[web]\nsession_timeout = \"48h\"\n", `f:3:19: web.session_timeout: must be from 1m to 720m, not "48h"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, messages := parse("version = 1\n" + c.text)
			if diff := cmp.Diff(c.want, strings.Join(messages, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestThePagesHaveTLSBeyondLoopbackAlone(t *testing.T) {
	for http, want := range map[string]bool{"127.0.0.1:8080": false, "[::1]:8080": false, "localhost:1": false, "192.0.2.1:8443": true, ":8443": true, "0.0.0.0:8443": true} {
		c, messages := parse("version = 1\n[control]\nhttp = \"" + http + "\"\n[web.user.a]\npassword = \"" + aHash + "\"\nrole = \"ADMIN\"\n")
		if c == nil {
			t.Fatalf("%s: %q", http, messages)
		}
		if c.Web.TLS != want || c.Web.Users[0].Role != WebAdmin || string(c.Web.Users[0].Password.Octets()) != aHash {
			t.Errorf("%s: %+v", http, c.Web)
		}
	}
}

func TestAHashIsNoPartOfAShownText(t *testing.T) {
	text, err := Conceal("[web.user.a]\npassword = \"" + aHash + "\" # password = '" + aHash + "'\n[web.user.b]\npassword = \"file:b.hash\"\n")
	if err != nil || strings.Contains(text, "$2a") || !strings.Contains(text, "file:b.hash") {
		t.Errorf("%q %v", text, err)
	}
}

// The configurations that docs/pages.md shows are sound.
func TestThePageOfPagesHasConfigurationsThatAreSound(t *testing.T) {
	text, err := os.ReadFile("../docs/pages.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, b := range blocks {
		dir := t.TempDir()
		whole := "version = 1\n" + strings.ReplaceAll(b[1], "$2a$11$…", aHash)
		for name, text := range map[string]string{"f.toml": whole, "admin.hash": aHash + "\n", "noc.hash": aHash} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, warnings, err := Load(filepath.Join(dir, "f.toml")); err != nil || len(warnings) > 0 {
			t.Errorf("%v %v of:\n%s", err, warnings, b[1])
		}
	}
}
