package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

// onFiles is a configuration of two ports that read empty captures: it runs
// without a kernel port and without privileges.
const onFiles = `version = 1
[control]
socket = "DIR/s.sock"
[port.wan]
driver = "pcap"
device = "DIR/wan.pcap"
mac    = "02:00:00:00:00:02"
[port.lan]
driver = "pcap"
device = "DIR/LAN.pcap"
mac    = "02:00:00:00:00:01"
[vlan.outside]
port      = "wan"
id        = 0
addresses = ["203.0.113.1/24"]
[vlan.second]
port      = "lan"
id        = 7
addresses = ["198.51.100.1/24"]
[vlan.inside]
port      = "lan"
id        = 0
addresses = ["192.0.2.1/24"]
`

// load reads onFiles, whose port lan is the capture named lan.
func load(t *testing.T, lan string) *configs.Config {
	t.Helper()
	dir := t.TempDir()
	// A capture of microseconds, little endian, Ethernet, without a packet.
	empty := []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00")
	file := filepath.Join(dir, "c.toml")
	text := strings.NewReplacer("DIR", dir, "LAN", lan).Replace(onFiles)
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "wan.pcap"), empty, 0o600),
		os.WriteFile(filepath.Join(dir, "lan.pcap"), empty, 0o600),
		os.WriteFile(file, []byte(text), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var silent = slog.New(slog.DiscardHandler)

func TestADaemonIsReadyWhenItsPartsRunAndEndsWithItsContext(t *testing.T) {
	d, err := NewDaemon(load(t, "lan"), silent)
	if err != nil {
		t.Fatal(err)
	}
	if d.views.Status().Ready {
		t.Error("ready before Run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	<-d.Ready()
	if !d.views.Status().Ready {
		t.Error("the status does not say that it is ready")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(d.config.Control.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Error("the control socket is still there")
	}
}

func TestADaemonThatIsToldToEndBeforeItRunsWasNeverReady(t *testing.T) {
	d, err := NewDaemon(load(t, "lan"), silent)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAPortThatCannotBeOpenedLeavesNothingOpen(t *testing.T) {
	c := load(t, "missing")
	_, err := NewDaemon(c, silent)
	if err == nil || !strings.Contains(err.Error(), "port lan: ") {
		t.Fatalf("got %v", err)
	}
	// The socket is free again, and with it everything that came after it.
	l, err := net.Listen("unix", c.Control.Socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestARouterThatCannotBeBuiltGivesThePortsBack(t *testing.T) {
	c := load(t, "lan")
	c.VLANs[1].ID = 0 // a second untagged VLAN on the port, which Load would refuse
	d := &Daemon{config: c, log: silent, views: newViews(c), ports: ports{log: silent}}
	err := d.build()
	if err == nil || !strings.Contains(err.Error(), "router: port lan: vlan inside") {
		t.Fatalf("got %v", err)
	}
	open := d.ports.open
	if err := d.ports.close(); err != nil || len(open) != 2 {
		t.Fatalf("%d ports were open: %v", len(open), err)
	}
	for _, p := range open {
		if _, err := p.Read(make([]frame.Frame, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a port is still open: %v", err)
		}
	}
}

func TestVLANsAreNumberedInTheOrderOfTheFileAndStandOnTheirPorts(t *testing.T) {
	c := load(t, "lan")
	got := netstackPorts(c, make([]link.Driver, 2))
	for i, p := range c.Ports {
		if got[i].Name != p.Name {
			t.Errorf("port %d is %s, want %s", i, got[i].Name, p.Name)
		}
		for _, v := range got[i].VLANs {
			if want := c.VLANs[v.ID-1]; want.Name != v.Name || want.Port != p || want.ID != v.Tag {
				t.Errorf("number %d on port %s is %s with tag %d, want %s", v.ID, p.Name, v.Name, v.Tag, want.Name)
			}
		}
	}
}

func TestTheStateOfPortsDoesNotDependOnTheConfiguration(t *testing.T) {
	dir := stateDir()
	if !strings.HasPrefix(dir, portsDir+"/net-") || strings.ContainsAny(dir, "[]:") {
		t.Errorf("it is kept in %s", dir)
	}
}
