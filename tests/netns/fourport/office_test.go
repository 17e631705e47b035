package fourport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/tests/netns"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.Remove()
		os.Exit(code)
	}))
}

var built netns.Build

const example = "../../../configs/examples/four-port-switch.toml"

// patience bounds each test; a busy machine needs some.
const patience = 90 * time.Second

// A host is a network namespace with an address at one of the router's ports.
type host struct {
	*netns.Namespace
	name string
	at   netip.Addr
}

// office is the example with hosts: alice and the printer are staff at lan1 and
// lan2, gwen is a guest at lan3, dave (staff) and erin (a guest) are behind a
// switch that has both VLANs, tagged, at lan4. The web is outside.
//
//	alice ── lan1 ┐
//	printer─ lan2 ┤                  ┌─ dave
//	gwen ─── lan3 ┤ router  lan4 ── access
//	web ──── wan  ┘                  └─ erin
type office struct {
	t                                     *testing.T
	ctx                                   context.Context
	lab                                   *netns.Lab
	router, access                        *netns.Namespace
	alice, printer, gwen, dave, erin, web *host
	daemon                                *netns.Daemon
	text                                  string // of the configuration
	dir                                   string
	kind
}

// A kind of switch has its own devices for the same configuration.
type kind struct {
	driver string
	cpu    string   // what the router's own port is called
	taps   []string // ports that are TAP devices; the others are the ends of the cables
	text   func(example string) string
}

// soft is the example as it is shipped.
func soft() kind {
	return kind{
		driver: "soft", cpu: "lan", taps: []string{"lan1", "lan2", "lan3", "lan4", "wan"},
		text: func(example string) string { return example },
	}
}

// kernel is a switch of the kernel at the same cables: its bridge, which obeys
// the same commands whether there is a chip below it or not.
func kernel() kind {
	return kind{driver: "dsa", cpu: "br-lan", taps: []string{"wan"}, text: func(example string) string {
		begin, end := strings.Index(example, "[switch.sw0.port.lan1]"), strings.Index(example, "# SIGHUP takes over")
		return strings.NewReplacer(`driver = "switch"`, "driver = \"raw\"\ndevice = \"br-lan\"", `"soft"`, `"dsa"`).Replace(example[:begin] + example[end:])
	}}
}

// open lays out the office around the switch in software.
func open(t *testing.T) *office { return openWith(t, soft()) }

func openWith(t *testing.T, k kind) *office {
	t.Helper()
	if !netns.Root() {
		t.Fatal("these tests make network namespaces: run them as root")
	}
	binary, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, lab: netns.For(t), text: k.text(string(text)), dir: t.TempDir(), kind: k}
	var cancel context.CancelFunc
	o.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	o.lay()
	o.daemon, err = o.router.StartSpigate(o.ctx, netns.DaemonConfig{Binary: binary, Template: o.template(), Dir: o.dir, Devices: true})
	o.must(err)
	o.settles()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(o.daemon.Output(), "\n"))
			for _, words := range [][]string{{"switch"}, {"net", "vlan"}, {"drops"}} {
				page, err := o.daemon.Text(context.WithoutCancel(o.ctx), words...)
				t.Log(page, err)
			}
		}
	})
	return o
}

// settles waits until every port has link, and the daemon has said so: the
// kernel takes a while to tell of a device that has come up.
func (o *office) settles() {
	o.t.Helper()
	for _, name := range []string{"lan1", "lan2", "lan3", "lan4"} {
		o.logs(0, "port "+name+" is up")
	}
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// lay makes the namespaces and lays the cables.
func (o *office) lay() {
	o.t.Helper()
	for _, n := range []struct {
		name string
		to   **netns.Namespace
	}{{"router", &o.router}, {"access", &o.access}} {
		var err error
		*n.to, err = o.lab.Namespace(n.name)
		o.must(err)
	}
	o.alice = o.host("alice", "10.0.10.11", o.router, "lan1")
	o.printer = o.host("printer", "10.0.10.9", o.router, "lan2")
	o.gwen = o.host("gwen", "10.0.20.11", o.router, "lan3")
	o.web = o.host("web", "203.0.113.254", o.router, "wan")
	o.dave = o.host("dave", "10.0.10.14", o.access, "dave")
	o.erin = o.host("erin", "10.0.20.14", o.access, "erin")
	o.must(o.lab.Wire(netns.End{In: o.access, Device: "uplink"}, netns.End{In: o.router, Device: "lan4"}))
	o.must(o.lab.Trunk(o.access, "uplink", map[uint16]string{10: "dave", 20: "erin"}))
	for _, port := range o.taps {
		o.must(errors.Join(o.router.TAP("tap-"+port), o.router.Bridge("br-"+port, port, "tap-"+port)))
	}
}

// host makes a host whose cable ends at a device of another namespace.
func (o *office) host(name, at string, far *netns.Namespace, device string) *host {
	o.t.Helper()
	n, err := o.lab.Namespace(name)
	o.must(err)
	h := &host{n, name, netip.MustParseAddr(at)}
	o.must(o.lab.Wire(netns.End{In: n, Device: "eth0"}, netns.End{In: far, Device: device}))
	o.must(errors.Join(n.Address("eth0", netip.PrefixFrom(h.at, 24)), n.NoSegmentation("eth0")))
	if gate := h.at.As4(); name != "web" {
		gate[3] = 1
		o.must(n.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.AddrFrom4(gate)))
	}
	return h
}

// template is the example with texts replaced.
func (o *office) template(replace ...string) string {
	o.t.Helper()
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(o.text, replace[i]) {
			o.t.Fatalf("the example has no %q", replace[i])
		}
	}
	path := filepath.Join(o.dir, "template.toml")
	o.must(os.WriteFile(path, []byte(strings.NewReplacer(replace...).Replace(o.text)), 0o600))
	return path
}

// eventually asks until there is no error.
func (o *office) eventually(what string, ask func() error) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.ctx, 15*time.Second)
	defer cancel()
	var last error
	if netns.Poll(ctx, 30*time.Millisecond, func() bool { last = ask(); return last == nil }) != nil {
		o.t.Fatalf("%s: %v", what, last)
	}
}

// logs waits for a line of the daemon's log that was not there before.
func (o *office) logs(before int, parts ...string) {
	o.t.Helper()
	o.eventually("the log", func() error {
		for _, line := range o.daemon.Output()[before:] {
			if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
				return nil
			}
		}
		return fmt.Errorf("no line with %q", parts)
	})
}

// A port is a port of `show switch --json`.
type port struct {
	Port      string   `json:"port"`
	CPU       bool     `json:"cpu"`
	Link      string   `json:"link"`
	Untagged  *string  `json:"untagged"`
	Tagged    []string `json:"tagged"`
	RxFrames  uint64   `json:"rx_frames"`
	TxFrames  uint64   `json:"tx_frames"`
	RxDropped uint64   `json:"rx_dropped"`
}

// ports are those of the switch, by name.
func (o *office) ports() map[string]port {
	o.t.Helper()
	var rows []struct {
		Name  string `json:"name"`
		State string `json:"state"`
		Ports []port `json:"ports"`
	}
	o.must(o.daemon.Show(o.ctx, &rows, "switch"))
	if len(rows) != 1 || rows[0].Name != "sw0" || rows[0].State != "kept" {
		o.t.Fatalf("show switch: %+v", rows)
	}
	out := map[string]port{}
	for _, p := range rows[0].Ports {
		out[p.Port] = p
	}
	return out
}

// vlan is an item of `show net vlan --json`.
type vlan struct {
	Name     string   `json:"name"`
	ID       uint16   `json:"id"`
	Untagged []string `json:"untagged"`
	Tagged   []string `json:"tagged"`
	RxFrames uint64   `json:"rx_frames"`
	TxFrames uint64   `json:"tx_frames"`
}

// vlan returns what the router has of a VLAN.
func (o *office) vlan(name string) vlan {
	o.t.Helper()
	var rows []vlan
	o.must(o.daemon.Show(o.ctx, &rows, "net", "vlan", name))
	if len(rows) != 1 || rows[0].Name != name {
		o.t.Fatalf("show net vlan %s: %+v", name, rows)
	}
	return rows[0]
}
