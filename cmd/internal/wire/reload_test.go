package wire

import (
	"strings"
	"testing"

	"spigate/configs"
	"spigate/netstack/vserver"
)

// reloaded is the example with replacements in its text.
func reloaded(t *testing.T, replace ...string) *configs.Config {
	t.Helper()
	text := strings.NewReplacer(replace...).Replace(configs.IPsecPassthrough())
	c, _, err := configs.Parse("example.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatTakesARestartIsNamed(t *testing.T) {
	was := reloaded(t)
	for _, tc := range []struct{ name, from, to, want string }{
		{"nothing", "version = 1", "version = 1", ""},
		{"a gate timeout", `esp_gate_timeout    = "20s"`, `esp_gate_timeout = "3s"`, ""},
		{"a group without its profile", `ipsecalg_profile = "IPSECALGPROFILE-1"`, "", ""},
		{"a pool", "203.0.113.3-203.0.113.9", "203.0.113.3", ""},
		{"a port and an address", "eth0", "eth7", "port, vlan"},
		{"a route", "203.0.113.254", "203.0.113.253", "route"},
		{"the name", "gw1", "gw2", "system"},
		{"a virtual server", "version = 1\n", "version = 1\n[ltm.virtual.v]\ndestination = \"any:any\"\nip_forward = true\n", ""},
		{"a variable", "version = 1\n", "version = 1\nsys.db.tm.rejectunmatched = false\n", ""},
		{"a size", "version = 1\n", "version = 1\nlimits.connections = 1000\n", "limits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(fixedChanges(was, reloaded(t, tc.from, tc.to)), ", "); got != tc.want {
				t.Errorf("tables %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAReloadedProfileIsTheOneThatIsShownAndUsed(t *testing.T) {
	c := reloaded(t)
	d := &Daemon{views: newViews(c), chassis: newOperated(t).router.Chassis, log: silent}
	if err := d.Reload(reloaded(t, `"40m"`, `"10m"`)); err != nil {
		t.Fatal(err)
	}
	if got := d.views.config.Load().ALG[0].ESPSessionTimeout.Minutes(); got != 10 {
		t.Errorf("shown: %v minutes", got)
	}
}

func TestReloadedPoolsAreThoseOfTheRouterAtOnce(t *testing.T) {
	c := reloaded(t)
	r := newOperated(t).router
	d := &Daemon{views: newViews(c), chassis: r.Chassis, log: silent}
	if err := d.Reload(reloaded(t, "203.0.113.3-203.0.113.9", "203.0.113.3-203.0.113.5")); err != nil {
		t.Fatal(err)
	}
	if n := len(r.LSN().Addresses()); n != 3 {
		t.Errorf("%d NAT addresses, want 3", n)
	}
	err := d.Reload(reloaded(t, "203.0.113.3-203.0.113.9", "203.0.113.3", "gw1", "gw2"))
	if err == nil || !strings.Contains(err.Error(), "system: changed in the file") {
		t.Errorf("a changed name: %v", err)
	}
	if n := len(r.LSN().Addresses()); n != 3 {
		t.Errorf("a refused reload left %d NAT addresses", n)
	}
}

func TestReloadedListenersAreThoseOfTheRouterAtOnce(t *testing.T) {
	o := operatedBy(t, configs.Office())
	d := &Daemon{views: newViews(o.config), chassis: o.router.Chassis, log: silent}
	names := func() (out []string) {
		for _, l := range o.router.Connections().Listeners().All() {
			if l.Kind != vserver.KindSelf {
				out = append(out, l.Kind.String()+" "+l.Name)
			}
		}
		return out
	}
	before := names()
	if want := "virtual server servers-tcp, virtual server staff-out, virtual server no-mail, virtual server no-inside, virtual server no-guests, " +
		"nat mail, snat servers, lsn group guests"; strings.Join(before, ", ") != want {
		t.Errorf("at the start %v, want %s", before, want)
	}
	text := configs.Office()
	i, j := strings.Index(text, "[ltm.virtual.no-mail]"), strings.Index(text, "# staff-out, the SNAT")
	text = strings.Replace(text[:i]+text[j:], "[ltm.nat.mail]", "[ltm.nat.post]", 1)
	if err := d.Reload(parsed(t, text)); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(names(), ", "), "virtual server servers-tcp, virtual server staff-out, virtual server no-inside, virtual server no-guests, "+
		"nat post, snat servers, lsn group guests"; got != want {
		t.Errorf("reloaded %s, want %s", got, want)
	}
}
