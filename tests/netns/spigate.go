package netns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"

	"spigate/board/flash"
)

// NATAddress is the one address of the pool in a daemon with OneAddress.
var NATAddress = netip.MustParseAddr("203.0.113.3")

// DaemonConfig says how to start spigate in the router's namespace.
type DaemonConfig struct {
	Binary   string // of spigate
	Template string // configuration to start from, with ports lan and wan
	Dir      string // for the configuration and the control socket
	// OneAddress cuts each pool to NATAddress: a paired subscriber gets a
	// random address of the pool, and the clients are to share one.
	HTTP       string // ADDRESS:PORT of the web pages; "": none
	OneAddress bool
	TAP        bool              // on the devices of Site.RouterTAPs
	StateDir   string            // run on the slots here; if none is confirmed, the configuration is. "": on its file
	XDP        bool              // the kernel forwards every flow that has had a packet
	Devices    bool              // as the template has them, in place of lan and wan
	Line       func(line string) // each line of the daemon's log, may be nil
	CPUs       []int             // that it may run on; nil: all
}

// Daemon is spigate running in a router's namespace.
type Daemon struct {
	*Process
	Socket string
	Config string // the file that it runs on
	Made   DaemonConfig
}

// StartSpigate starts the daemon on the site's router, as StartSpigate of a
// namespace does.
func (s *Site) StartSpigate(ctx context.Context, c DaemonConfig) (*Daemon, error) {
	return s.Router.StartSpigate(ctx, c)
}

// StartSpigate starts the daemon in a namespace with devices lan and wan, and
// waits until its control socket says that it is ready.
func (n *Namespace) StartSpigate(ctx context.Context, c DaemonConfig) (*Daemon, error) {
	d := &Daemon{Socket: filepath.Join(c.Dir, "spigate.sock"), Config: filepath.Join(c.Dir, "spigate.toml"), Made: c}
	if err := writeConfig(c, d); err != nil {
		return nil, err
	}
	args := []string{"run", "--config", d.Config}
	if c.StateDir != "" {
		args = []string{"run", "--state-dir", c.StateDir}
		if err := confirm(c.StateDir, d.Config); err != nil {
			return nil, err
		}
	}
	var err error
	d.Process, err = n.Start(Command{Path: c.Binary, Args: args, Line: c.Line, CPUs: c.CPUs})
	if err != nil {
		return nil, err
	}
	if err := d.waitReady(ctx); err != nil {
		return nil, fmt.Errorf("spigate did not get ready: %w\n%s", err, strings.Join(d.Output(), "\n"))
	}
	return d, nil
}

// confirm puts a file into the confirmed slot, unless that has something.
func confirm(stateDir, file string) error {
	store, err := flash.Open(stateDir, flash.OS{})
	if err != nil {
		return err
	}
	if _, err := store.Read(flash.Confirmed); err == nil {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = store.Write(flash.Confirmed, text, flash.Note{})
	return err
}

// writeConfig makes the daemon's file of the template: the site's devices, a
// socket of its own, web pages where they are asked for.
func writeConfig(c DaemonConfig, d *Daemon) error {
	var doc map[string]any
	if _, err := toml.DecodeFile(c.Template, &doc); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	for _, port := range []string{"lan", "wan"} {
		if c.Devices {
			break
		}
		p, ok := table(doc, "port")[port].(map[string]any)
		if !ok {
			return fmt.Errorf("template %s: no [port.%s]", c.Template, port)
		}
		p["device"] = port
		if c.TAP {
			p["driver"], p["device"] = "tap", "tap"+port
		}
		if c.XDP {
			p["driver"] = "xdp"
		}
	}
	if c.XDP {
		table(doc, "offload")["after"] = 1
	}
	control := table(doc, "control")
	control["socket"], control["http"] = d.Socket, c.HTTP
	table(doc, "system")["state_dir"] = filepath.Join(c.Dir, "state")
	if c.OneAddress {
		for _, p := range table(table(doc, "lsn"), "pool") {
			if pool, ok := p.(map[string]any); ok {
				pool["addresses"] = []string{NATAddress.String()}
			}
		}
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(doc); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return os.WriteFile(d.Config, b.Bytes(), 0o600)
}

// table returns a table of the document, an empty one if it was not there.
func table(doc map[string]any, name string) map[string]any {
	t, ok := doc[name].(map[string]any)
	if !ok {
		t = map[string]any{}
		doc[name] = t
	}
	return t
}

// waitReady polls the control socket until the daemon is ready, has ended, or
// the context has.
func (d *Daemon) waitReady(ctx context.Context) error {
	var last error
	err := Poll(ctx, 50*time.Millisecond, func() bool {
		select {
		case <-d.Done():
			last = fmt.Errorf("it ended: %w", errors.Join(d.Err(), last))
			return true
		default:
		}
		var st []StatusRow
		if last = d.Show(ctx, &st, "status"); last == nil && (len(st) != 1 || !st[0].Ready) {
			last = errors.New("status: not ready")
		}
		return last == nil
	})
	return errors.Join(last, err)
}

// Reconfigure puts another configuration into the daemon's file, made of a
// template as the first one was, and sends SIGHUP.
func (d *Daemon) Reconfigure(template string) error {
	c := d.Made
	c.Template = template
	if err := writeConfig(c, d); err != nil {
		return err
	}
	return d.Signal(syscall.SIGHUP)
}

// Text runs `spigate show WORDS` and returns what it prints.
func (d *Daemon) Text(ctx context.Context, words ...string) (string, error) {
	return d.Command(ctx, append([]string{"show"}, words...)...)
}

// Command runs `spigate WORDS` and returns what it prints.
func (d *Daemon) Command(ctx context.Context, words ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.Made.Binary, append(words, "--socket", d.Socket)...)
	cmd.WaitDelay = time.Second
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("spigate %s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(talk.String()))
	}
	return out.String(), nil
}

// Show runs `spigate show WORDS --json` and decodes the items into rows, a
// pointer to a slice.
func (d *Daemon) Show(ctx context.Context, rows any, words ...string) error {
	text, err := d.Text(ctx, append(words, "--json")...)
	if err != nil {
		return err
	}
	answer := struct {
		Version int `json:"version"`
		Items   any `json:"items"`
	}{Items: rows}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return fmt.Errorf("spigate show %s --json: %w", strings.Join(words, " "), err)
	}
	if answer.Version != 1 {
		return fmt.Errorf("spigate show %s --json: version %d, expected 1", strings.Join(words, " "), answer.Version)
	}
	return nil
}

// WaitHeld returns once a phase-2 message of the client is held at a gate.
func (d *Daemon) WaitHeld(ctx context.Context, client netip.Addr) (GateRow, error) {
	var found GateRow
	var last error
	err := Poll(ctx, 20*time.Millisecond, func() bool {
		var gates []GateRow
		if last = d.Show(ctx, &gates, "ipsecalg", "gate"); last != nil {
			return false
		}
		for _, g := range gates {
			for _, w := range g.Waiters {
				if w.SourceIP == client {
					found = g
					return true
				}
			}
		}
		last = fmt.Errorf("no phase-2 message of %s is held", client)
		return false
	})
	if err != nil {
		return found, errors.Join(err, last)
	}
	return found, nil
}

// WaitCounted returns once the ESP sessions have counted so many packets, both
// ways together. The fast path tells them what it forwarded once a second
// (rule R22).
func (d *Daemon) WaitCounted(ctx context.Context, packets uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var last error
	err := Poll(ctx, 50*time.Millisecond, func() bool {
		var rows []SessionRow
		if last = d.Show(ctx, &rows, "ipsecalg", "session"); last != nil {
			return false
		}
		counted := uint64(0)
		for _, r := range rows {
			counted += r.RxPackets + r.TxPackets
		}
		if counted != packets {
			last = fmt.Errorf("%d ESP packets are counted, expected %d", counted, packets)
		}
		return last == nil
	})
	return errors.Join(err, last)
}

// The rows below are what scripts may rely on; they are written down here
// again so that a changed name or type fails a test.

// SessionRow is an item of `show ipsecalg session --json`.
type SessionRow struct {
	SourceIP  netip.Addr `json:"source_ip"`
	NATIP     netip.Addr `json:"nat_ip"`
	DestIP    netip.Addr `json:"dest_ip"`
	SPIIn     *string    `json:"spi_in"`
	SPIOut    *string    `json:"spi_out"`
	State     string     `json:"state"`
	RxPackets uint64     `json:"rx_packets"`
	TxPackets uint64     `json:"tx_packets"`
	Profile   string     `json:"profile"`
	Group     string     `json:"group"`
	TD        uint16     `json:"td"`
}

// GateRow is an item of `show ipsecalg gate --json`.
type GateRow struct {
	NATIP   netip.Addr `json:"nat_ip"`
	DestIP  netip.Addr `json:"dest_ip"`
	State   string     `json:"state"`
	Holder  *string    `json:"holder"`
	Waiters []struct {
		SourceIP netip.Addr `json:"source_ip"`
	} `json:"waiters"`
	SPIs []string `json:"spis"`
}

// LSNRow is an item of `show lsn session --json`.
type LSNRow struct {
	SubscriberIP   netip.Addr `json:"subscriber_ip"`
	SubscriberPort uint16     `json:"subscriber_port"`
	DestIP         netip.Addr `json:"dest_ip"`
	DestPort       uint16     `json:"dest_port"`
	NATIP          netip.Addr `json:"nat_ip"`
	NATPort        uint16     `json:"nat_port"`
	Protocol       string     `json:"protocol"`
}

// FlowRow is an item of `show flow --json`.
type FlowRow struct {
	SourceIP netip.Addr `json:"source_ip"`
	DestIP   netip.Addr `json:"dest_ip"`
	Protocol string     `json:"protocol"`
	SPI      *string    `json:"spi"`
	Packets  uint64     `json:"packets"`

	Offloaded bool `json:"offloaded"`
}

// DropRow is an item of `show drops --json`.
type DropRow struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// StatusRow is an item of `show status --json`.
type StatusRow struct {
	Ready    bool   `json:"ready"`
	FastHits uint64 `json:"fast_hits"`
	SlowHits uint64 `json:"slow_hits"`
	Flows    uint64 `json:"flows"`

	Offload struct {
		Flows    uint64 `json:"flows"`
		Capacity uint64 `json:"capacity"`
		Packets  uint64 `json:"packets"`
		Refused  uint64 `json:"refused"`

		Left []struct {
			Reason string `json:"reason"`
			Frames uint64 `json:"frames"`
		} `json:"left"`
	} `json:"offload"`
	Ports []struct {
		Port       string `json:"port"`
		RxFrames   uint64 `json:"rx_frames"`
		TxFrames   uint64 `json:"tx_frames"`
		Offload    string `json:"offload"`
		OffloadWhy string `json:"offload_why"`
	} `json:"ports"`
}
