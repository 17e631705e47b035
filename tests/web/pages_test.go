package web

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"golang.org/x/crypto/bcrypt"

	"spigate/tests/golden"
	"spigate/tests/netns"
)

const (
	bound    = 4 * time.Minute
	password = "a password of the test"
	maxBytes = 100_000 // of all that a browser loads for a page
)

// more is what the router of the pages has beside the NetScaler page's example:
// users, and BIG-IP's objects.
const more = `
[web.user.admin]
password = %q
role = "admin"

[ltm.virtual.ipsec-0]
destination = "10.1.1.0/24:any"
source = "192.0.2.0/24"
ip_protocol = "tcp"
ip_forward = true
profiles = ["fastL4"]
translate_address = false
translate_port = false
[ltm.virtual.ipsec-2]
destination = "10.2.1.0/24:any"
ip_forward = true
[ltm.nat.NAT-1]
originating_address = "192.168.15.2"
translation_address = "203.0.113.77"
`

// bench is a router between two clients and a gateway, and a browser at its pages.
type bench struct {
	*testing.T
	*browser
	site   *netns.Site
	daemon *netns.Daemon
	base   string
	ctx    context.Context
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if !netns.Root() {
		t.Fatal("network namespaces need root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	site, err := netns.NewSite(netns.For(t))
	if err != nil {
		t.Fatal(err)
	}
	binary, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := &bench{T: t, site: site, ctx: ctx}
	b.daemon, err = site.StartSpigate(ctx, netns.DaemonConfig{Binary: binary, Template: template(t, dir), Dir: dir, OneAddress: true, HTTP: "0.0.0.0:8443"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(b.daemon.Output(), "\n"))
		}
	})
	f, err := forward(site.Router, "127.0.0.1:8443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	b.base = "https://" + f.Address()
	if b.browser, err = open(ctx, filepath.Join(root(t), "bin", "web-pages"), filepath.Join(dir, "profile")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.end)
	return b
}

// template is the shipped example with more in it.
func template(t *testing.T, dir string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(root(t), "configs", "examples", "ipsec-passthrough.toml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "template.toml")
	if err := os.WriteFile(path, append(example, fmt.Sprintf(more, hash)...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// must is do, and the end of the test if it fails.
func (b *bench) must(what string, steps ...step) {
	b.Helper()
	if err := b.do(steps...); err != nil {
		b.picture("failed")
		b.Fatalf("%s: %v; the browser says: %v", what, err, b.complaints())
	}
}

// becomes waits until something is true of the page.
func (b *bench) becomes(what, expression string) {
	b.Helper()
	_, err := read(b.browser, chromedp.Poll[bool](`Boolean(`+expression+`)`, chromedp.WithPollingInterval(100*time.Millisecond)))
	if err != nil {
		b.picture("failed")
		b.Fatalf("%s: %v; the browser says: %v", what, err, b.complaints())
	}
}

func (b *bench) goTo(path string) {
	b.Helper()
	b.must("go to "+path, chromedp.Navigate(b.base+path), chromedp.WaitVisible(chromedp.CSS("main")))
}

func (b *bench) logIn() {
	b.Helper()
	b.goTo("/ipsec")
	b.must("log in", chromedp.SendKeys(chromedp.CSS(`input[name=name]`), "admin"), chromedp.SendKeys(chromedp.CSS(`input[name=password]`), password),
		chromedp.Click(chromedp.CSS(`form.login button`)), chromedp.WaitVisible(chromedp.CSS(`nav a[aria-current]`)))
}

// paths are the pages in the menu, and some questions to them.
func (b *bench) paths() []string {
	b.Helper()
	out, err := read(b.browser, chromedp.Evaluate[[]string](`Array.from(document.querySelectorAll("nav a")).map(a => a.getAttribute("href"))`))
	if err != nil || len(out) < 8 {
		b.Fatalf("the menu is %q: %v", out, err)
	}
	return append(out, "/explain?in=inside&protocol=udp&source=192.0.2.11&source_port=500&destination=203.0.113.254&destination_port=500")
}

func TestAGateOpensAndClosesBeforeTheEyes(t *testing.T) {
	b := newBench(t)
	b.goTo("/")
	for _, d := range devices() {
		b.look(d, "login")
	}
	b.logIn()
	b.must("the page is live", chromedp.WaitVisible(chromedp.CSS(`.live.on`)))
	b.watch()
	for _, d := range devices() {
		b.Run(d.name, func(t *testing.T) { b.lookAtAll(d) })
	}
	for _, d := range devices() {
		for _, path := range []string{"/", "/ipsec", "/drops"} {
			b.goTo(path)
			b.look(d.inTheDark(), nameOf(path))
		}
	}
	b.withoutScripts()
	b.logOut()
}

// watch plays two clients that ask for the same gateway at once, while the page
// of gates is open and nobody touches it.
func (b *bench) watch() {
	b.Helper()
	first, second, err := netns.Conversations(golden.IKEv2First, golden.IKEv2Second, 10)
	if err != nil {
		b.Fatal(err)
	}
	has := func(text string) string {
		return fmt.Sprintf(`document.querySelector("[data-live]").innerText.includes(%q)`, text)
	}
	opened := func(ctx context.Context) error {
		if _, err := b.daemon.WaitHeld(ctx, netns.Client2); err != nil {
			return err
		}
		// The row is that of a lock: who holds it, and who waits.
		holder := `document.querySelector("tr.gate [data-label='Held by']")`
		b.becomes("the gate opens", holder+` && `+holder+`.innerText.includes("192.0.2.11") && document.querySelector("tr.gate [data-label=Waiting]").innerText.includes("192.0.2.12")`)
		for _, d := range devices() {
			b.look(d, "gate-open")
		}
		return nil
	}
	ctx, cancel := b.daemon.While(b.ctx)
	defer cancel()
	result, err := b.site.Run(ctx, netns.Scenario{First: first, Second: second, Patience: netns.DefaultPatience(), Overlap: opened})
	if err != nil {
		b.Fatal(err)
	}
	for _, fault := range result.Faults() {
		b.Error(fault)
	}
	b.becomes("the gate closes and the tunnels stand",
		`!document.querySelector("tr.gate.confirmed, tr.gate.provisional") && document.querySelectorAll("[data-live] .tag.good").length >= 2 && `+has("192.0.2.11")+` && `+has("192.0.2.12"))
}

// lookAtAll takes a picture of every page: it fits the window, is small, comes
// from here alone, and the browser finds nothing wrong.
func (b *bench) lookAtAll(d device) {
	if err := b.use(d); err != nil {
		b.Fatal(err)
	}
	for _, path := range b.paths() {
		b.complaints()
		b.goTo(path)
		took, err := b.loaded()
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%s %s: %d bytes", d.name, path, took.Bytes)
		if took.Bytes > maxBytes || took.Bytes < 1000 {
			b.Errorf("%s: a browser loads %d bytes, at most %d", path, took.Bytes, maxBytes)
		}
		for _, from := range took.From {
			if from != b.base {
				b.Errorf("%s: something is loaded from %s", path, from)
			}
		}
		b.look(d, nameOf(path))
		if said := b.complaints(); len(said) > 0 {
			b.Errorf("%s: the browser says %q", path, said)
		}
	}
}

// nameOf is the picture's name of a page.
func nameOf(path string) string {
	name, query, _ := strings.Cut(strings.TrimPrefix(path, "/"), "?")
	switch {
	case name == "":
		return "overview"
	case query != "":
		return name + "-answer"
	}
	return name
}

// look takes a picture and sees that nothing sticks out of the window.
func (b *bench) look(d device, name string) {
	b.Helper()
	if err := b.use(d); err != nil {
		b.Fatal(err)
	}
	over, err := b.overflow()
	if err != nil {
		b.Fatal(err)
	}
	if over > 0 {
		b.Errorf("%s on a %s is %d pixels wider than the window", name, d.name, over)
	}
	if err := b.picture(name + "-" + d.name); err != nil {
		b.Fatal(err)
	}
}

// withoutScripts: the page says the same to a browser that runs none.
func (b *bench) withoutScripts() {
	b.Helper()
	b.must("no scripts", command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.goTo("/ipsec")
	text, err := read(b.browser, chromedp.Text(chromedp.CSS("main")))
	if err != nil {
		b.Fatal(err)
	}
	for _, want := range []string{"192.0.2.11", "192.0.2.12", "established"} {
		if !strings.Contains(text, want) {
			b.Errorf("without scripts the page lacks %q:\n%s", want, text)
		}
	}
	b.must("scripts again", command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}))
}

func (b *bench) logOut() {
	b.Helper()
	b.goTo("/drops")
	b.must("log out", chromedp.Click(chromedp.CSS(`form.who button`)), chromedp.WaitVisible(chromedp.CSS(`form.login`)), chromedp.Navigate(b.base+"/drops"), chromedp.WaitVisible(chromedp.CSS(`form.login`)))
}
