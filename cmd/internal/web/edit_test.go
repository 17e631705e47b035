//go:build !noweb

package web

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
	"spigate/configs"
)

// office is what the texts of these tests begin with.
const office = `version = 1 # the office
[port.lan]
driver = "tap"
device = "tap0"
[port.wan]
driver = "tap"
device = "tap1"
[vlan.inside]
port = "lan"
addresses = ["192.0.2.1/24"]
[vlan.external]
port = "wan"
addresses = ["203.0.113.1/24"]
[lsn.client.C]
networks = ["192.0.2.0/24"]
[lsn.pool.P]
addresses = ["203.0.113.3"] # one is enough
[lsn.group.G]
client = "C"
pools = ["P"]
`

// desk is an Editor as the daemon has it, of a text in memory.
type desk struct {
	text string
	last control.ConfigEdit
}

func (d *desk) ConfigObjects(path ...string) (control.ConfigObjects, error) {
	objects, err := configs.Objects([]byte(d.text), path...)
	return control.ConfigObjects{Base: d.text, Objects: objects}, err
}

func (d *desk) EditConfig(e control.ConfigEdit) (out control.ConfigEdited, err error) {
	if e.Base != d.text {
		return out, &control.Error{Message: "another configuration has been applied", Code: control.CodeOutdated}
	}
	text, err := configs.Edit([]byte(d.text), e.Changes)
	if err == nil {
		_, _, err = configs.Parse("office.toml", text)
	}
	if err != nil {
		return out, err
	}
	out.Diff = control.ConfigDiff{Same: d.text == string(text), Text: added(d.text, string(text))}
	if e.Apply {
		left := control.Seconds(e.Confirm.Seconds())
		d.text, d.last, out.Applied = string(text), e, &control.ConfigApplied{Applied: control.AppliedLive, Confirm: &left}
	}
	return out, nil
}

// added are the lines of is that was has not, as a difference has them.
func added(was, is string) (out string) {
	for line := range strings.Lines(is) {
		if !strings.Contains(was, line) {
			out += "+" + line
		}
	}
	return out
}

func newDesk(t *testing.T) (*rig, *desk, string) {
	d := &desk{text: office}
	r := newRig(t, func(c *Config) { c.Editor = d })
	return r, d, r.logIn("admin", adminPassword)
}

var fieldOf = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// send sends a form with what its page has hidden in it.
func (r *rig) send(cookie, page, action string, fields url.Values) (status int, body string) {
	r.t.Helper()
	form := url.Values{"action": {action}}
	for _, f := range fieldOf.FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(f[1], fieldPrefix) {
			form.Add(f[1], unescaped(f[2]))
		} else { // a page has some of its own more than once, as the token
			form.Set(f[1], unescaped(f[2]))
		}
	}
	for name, values := range fields {
		form[name] = values
	}
	w := r.ask(http.MethodPost, "/edit", cookie, form)
	return w.Code, w.Body.String()
}

func unescaped(text string) string {
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&#43;", "+", "&amp;", "&").Replace(text)
}

// page asks for a page and returns its text.
func (r *rig) page(cookie, target string) string {
	r.t.Helper()
	w := r.ask(http.MethodGet, target, cookie, nil)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "</html>") {
		r.t.Fatalf("%s: %d %s\n%s", target, w.Code, w.Body, r.log)
	}
	return w.Body.String()
}

// NetScaler's procedures for its GUI: an application profile that pairs, bound to
// the group; an IPsec ALG profile; that bound to the group.
func TestNetScalersProcedureCanBeFollowed(t *testing.T) {
	r, d, cookie := newDesk(t)
	for _, step := range []struct {
		page   string
		fields url.Values
		want   string
	}{
		{"/edit?kind=lsn.appsprofile", url.Values{"name": {"IKE"}, "f.protocol": {"UDP"}, "f.ip_pooling": {"PAIRED"}, "f.ports": {"500, 4500"}},
			"+[lsn.appsprofile.IKE]\n+protocol = &#34;UDP&#34;"},
		{"/edit?kind=ipsecalg.profile", url.Values{"name": {"IPSECALGPROFILE-1"}, "f.ike_session_timeout": {"45m"}, "f.esp_gate_timeout": {"20s"}},
			"+ike_session_timeout = &#34;45m&#34;"},
		{"/edit?kind=lsn.group&name=G", url.Values{"f.client": {"C"}, "f.pools": {"P"}, "f.apps_profiles": {"IKE"}, "f.ipsecalg_profile": {"IPSECALGPROFILE-1"}},
			"+ipsecalg_profile = &#34;IPSECALGPROFILE-1&#34;"},
	} {
		status, preview := r.send(cookie, r.page(cookie, step.page), "preview", step.fields)
		plain := strings.ReplaceAll(preview, "\n</span>", "\n")
		plain = regexp.MustCompile(`<span class="plus">|</span>`).ReplaceAllString(plain, "")
		if status != http.StatusOK || !strings.Contains(strings.ReplaceAll(plain, "&#43;", "+"), step.want) {
			t.Fatalf("%s: %d, want %q in\n%s", step.page, status, step.want, plain)
		}
		before := d.text
		status, body := r.send(cookie, preview, "apply", url.Values{"confirm": {"5m"}})
		if status != http.StatusSeeOther || d.text == before {
			t.Fatalf("%s: %d\n%s", step.page, status, body)
		}
	}
	want := strings.Replace(office, "pools = [\"P\"]\n", `pools = ["P"]
apps_profiles = ["IKE"]
ipsecalg_profile = "IPSECALGPROFILE-1"
`, 1) + `
[lsn.appsprofile.IKE]
protocol = "UDP"
ip_pooling = "PAIRED"
ports = ["500", "4500"]

[ipsecalg.profile.IPSECALGPROFILE-1]
ike_session_timeout = "45m"
esp_gate_timeout = "20s"
`
	if d.text != want {
		t.Errorf("the text became\n%s\nwant\n%s", d.text, want)
	}
	if d.last.Confirm != 5*time.Minute || d.last.By != "web: admin" || d.last.Comment != "group G edited" {
		t.Errorf("applied with %+v", d.last)
	}
}

// BIG-IP's page: a second server for the other direction, then the VLANs on which
// attempts arrive.
func TestBIGIPsProcedureCanBeFollowed(t *testing.T) {
	r, d, cookie := newDesk(t)
	for _, step := range []struct {
		page   string
		fields url.Values
	}{
		{"/edit?kind=ltm.virtual", url.Values{"name": {"ipsec-2"}, "f.destination": {"10.2.1.0/24:any"}, "f.source": {"10.1.1.0/24"},
			"f.ip_protocol": {"tcp"}, "f.ip_forward": {"true"}, "f.profiles": {"fastL4"}, "f.translate_address": {"false"}, "f.translate_port": {"false"}}},
		{"/edit?kind=ltm.virtual&name=ipsec-2", url.Values{"f.destination": {"10.2.1.0/24:any"}, "f.source": {"10.1.1.0/24"},
			"f.ip_protocol": {"tcp"}, "f.ip_forward": {"true"}, "f.profiles": {"fastL4"}, "f.translate_address": {"false"}, "f.translate_port": {"false"},
			"f.vlans": {"inside", "external"}, "f.vlans_enabled": {"true"}}},
	} {
		_, preview := r.send(cookie, r.page(cookie, step.page), "preview", step.fields)
		if status, body := r.send(cookie, preview, "apply", url.Values{"confirm": {"5m"}}); status != http.StatusSeeOther {
			t.Fatalf("%s: %d\n%s\n%s", step.page, status, preview, body)
		}
	}
	want := office + `
[ltm.virtual.ipsec-2]
destination = "10.2.1.0/24:any"
source = "10.1.1.0/24"
ip_protocol = "tcp"
ip_forward = true
profiles = ["fastL4"]
translate_address = false
translate_port = false
vlans = ["inside", "external"]
vlans_enabled = true
`
	if d.text != want {
		t.Errorf("the text became\n%s\nwant\n%s", d.text, want)
	}
}

func TestAPreviewChangesNothing(t *testing.T) {
	r, d, cookie := newDesk(t)
	r.send(cookie, r.page(cookie, "/edit?kind=lsn.pool&name=P"), "preview", url.Values{"f.addresses": {"203.0.113.9"}})
	r.send(cookie, r.page(cookie, "/edit?kind=lsn.pool&name=P"), "delete", nil)
	if d.text != office {
		t.Errorf("the text is\n%s", d.text)
	}
}

func TestAnObjectIsDeleted(t *testing.T) {
	r, d, cookie := newDesk(t)
	_, page := r.send(cookie, r.page(cookie, "/edit?kind=lsn.group&name=G"), "delete", nil)
	if status, _ := r.send(cookie, page, "apply-delete", url.Values{"confirm": {""}}); status != http.StatusSeeOther || strings.Contains(d.text, "lsn.group") || d.last.Confirm != 0 {
		t.Errorf("%d\n%s", status, d.text)
	}
}

func TestWhatCannotBeAppliedIsToldInTheForm(t *testing.T) {
	r, d, cookie := newDesk(t)
	pool := r.page(cookie, "/edit?kind=lsn.pool&name=P")
	group := r.page(cookie, "/edit?kind=lsn.group&name=G")
	for name, c := range map[string]struct {
		page, action string
		fields       url.Values
		want         string
	}{
		"a fault":             {pool, "preview", url.Values{"f.addresses": {"203.0.113.300"}}, "line 17"},
		"what others need":    {group, "delete", url.Values{"kind": {"lsn.pool"}, "name": {"P"}}, "It cannot be applied"},
		"a time to confirm":   {pool, "apply", url.Values{"f.addresses": {"203.0.113.9"}, "confirm": {"-5m"}}, "confirm"},
		"no name":             {r.page(cookie, "/edit?kind=lsn.pool"), "preview", url.Values{"name": {" "}}, "needs a name"},
		"a name that is used": {r.page(cookie, "/edit?kind=lsn.pool"), "preview", url.Values{"name": {"P"}}, "of this name already"},
		"an unknown action":   {pool, "explode", nil, "no action"},
		"an unknown kind":     {pool, "preview", url.Values{"kind": {"system"}}, "kind of objects"},
		"an old page":         {pool, "preview", url.Values{"base": {"old"}}, "another configuration"},
	} {
		if status, body := r.send(cookie, c.page, c.action, c.fields); !strings.Contains(body, c.want) || status == http.StatusSeeOther {
			t.Errorf("%s: %d, want %q in\n%s", name, status, c.want, body)
		}
	}
	if d.text != office {
		t.Errorf("the text is\n%s", d.text)
	}
}

func TestWhoOnlyReadsDoesNotEdit(t *testing.T) {
	r, d, admin := newDesk(t)
	page, cookie := r.page(admin, "/edit?kind=lsn.pool&name=P"), r.logIn("reader", readerPassword)
	if w := r.ask(http.MethodGet, "/edit", cookie, nil); w.Code != http.StatusForbidden {
		t.Errorf("looks at it: %d", w.Code)
	}
	if status, _ := r.send(cookie, page, "apply", url.Values{"f.addresses": {"203.0.113.9"}}); status != http.StatusForbidden || d.text != office {
		t.Errorf("edits: %d", status)
	}
	// Nor does an admin with the form of somebody else's session.
	if status, _ := r.send(r.logIn("admin", adminPassword), page, "apply", url.Values{"f.addresses": {"203.0.113.9"}}); status != http.StatusForbidden || d.text != office {
		t.Errorf("with another token: %d", status)
	}
}

// A form loses nothing: sent as it came it changes nothing, whatever the object.
func TestAFormThatIsSentAsItCameChangesNothing(t *testing.T) {
	text, err := os.ReadFile("../../../configs/reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	d, seen := &desk{text: string(text)}, 0
	for _, k := range kinds() {
		objects, err := d.ConfigObjects(k.path...)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects.Objects {
			seen++
			form := url.Values{}
			for _, f := range k.filled(o.Values, namesIn(d)) {
				if f.Input == "text" {
					form.Set(f.Key, f.Value)
				}
				for _, c := range f.Options {
					if c.Chosen {
						form.Add(f.Key, c.Value)
					}
				}
			}
			if changes := k.changes(o.Name, &o, k.sent(form)); len(changes) > 0 {
				t.Errorf("%s %s: %+v", k.name(), o.Name, changes)
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d objects were seen", seen)
	}
}

// Every field is a key of its table: a form cannot write what check refuses.
func TestEveryFieldIsAKeyOfTheConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../../configs/reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{} // by the path of the kind
	var path string
	for _, line := range strings.Split(string(text), "\n") {
		line = strings.TrimLeft(strings.TrimPrefix(line, "#"), " ")
		if strings.HasPrefix(line, "[") {
			path = ""
			for _, k := range kinds() {
				if strings.HasPrefix(line, "["+k.name()+".") {
					path = k.name()
				}
			}
		} else if key, _, ok := strings.Cut(line, " ="); ok {
			keys[path] = append(keys[path], key)
		}
	}
	for _, k := range kinds() {
		for _, f := range k.fields {
			if !slices.Contains(keys[k.name()], f.key) {
				t.Errorf("%s has no key %s", k.name(), f.key)
			}
		}
	}
}

func TestOnTheConfigurationsPageAnAdminConfirmsAndRollsBack(t *testing.T) {
	r, _, cookie := newDesk(t)
	token := regexp.MustCompile(`name="token" value="([^"]+)"`).FindStringSubmatch(r.page(cookie, "/config"))[1]
	for _, c := range []struct {
		form url.Values
		want string
		code int
	}{
		{url.Values{"action": {"confirm"}}, "confirm by web: admin", http.StatusSeeOther},
		{url.Values{"action": {"rollback"}}, "roll back to -1 by web: admin", http.StatusSeeOther},
		{url.Values{"action": {"rollback"}, "number": {"3"}}, "roll back to 3 by web: admin", http.StatusSeeOther},
		{url.Values{"action": {"rollback"}, "number": {"-3"}}, "", http.StatusBadRequest},
		{url.Values{"action": {"forget"}}, "", http.StatusBadRequest},
	} {
		c.form.Set("token", token)
		before := len(r.house.doings())
		w := r.ask(http.MethodPost, "/config", cookie, c.form)
		did := strings.Join(r.house.doings()[before:], "")
		if w.Code != c.code || did != c.want {
			t.Errorf("%v: %d, did %q", c.form, w.Code, did)
		}
	}
}

func (h *house) ConfirmConfig(by string) (control.ConfigConfirmed, error) {
	h.did("confirm by %s", by)
	return control.ConfigConfirmed{}, nil
}

func (h *house) RollbackConfig(n int, by string) (control.ConfigApplied, error) {
	h.did("roll back to %d by %s", n, by)
	return control.ConfigApplied{Applied: control.AppliedLive}, nil
}
