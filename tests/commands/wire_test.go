package commands

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/configs"
	"spigate/netstack/frame"
	"spigate/tests/golden"
)

// vlan returns a VLAN by its name.
func (s *site) vlan(name string) (*configs.VLAN, error) {
	for _, v := range s.config.VLANs {
		if v.Name == name && s.lines[v.Port.Name] != nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("no VLAN %q with a line at its port", name)
}

// send reads "send VLAN PACKET": what comes out, and where, is its output.
func (s *scene) send(ts *testscript.TestScript, args []string) {
	if len(args) != 2 || s.current == nil {
		ts.Fatalf("usage: send VLAN PACKET, to a daemon that runs")
	}
	site := s.current.site
	v, err := site.vlan(args[0])
	ts.Check(err)
	p, err := packet(args[1])
	ts.Check(err)
	for _, l := range site.lines {
		l.drain()
	}
	ts.Check(site.inject(v, p))
	ts.Check(site.settle())
	for _, port := range site.config.Ports {
		if l := site.lines[port.Name]; l != nil {
			for _, b := range l.drain() {
				fmt.Fprintf(ts.Stdout(), "%s: %s\n", port.Name, s.steady(told(b)))
			}
		}
	}
}

// replay reads "replay RECORDING INSIDE OUTSIDE CLIENT GATEWAY [STEPS]": a
// recorded conversation between a client on the VLAN INSIDE and a gateway on
// OUTSIDE. Each step must come out at the other end as it was recorded but for
// addresses and ports.
func (s *scene) replay(args []string) error {
	if len(args) < 5 || len(args) > 6 || s.current == nil {
		return errors.New("usage: replay RECORDING INSIDE OUTSIDE CLIENT GATEWAY [STEPS], to a daemon that runs")
	}
	c, err := golden.Load(args[0])
	if err != nil {
		return err
	}
	client, gateway, err := ends(args[3], args[4])
	if err != nil {
		return err
	}
	if len(args) == 6 {
		n, err := strconv.Atoi(args[5])
		if err != nil || n > len(c.Steps) {
			return fmt.Errorf("%s has %d steps: %q", args[0], len(c.Steps), args[5])
		}
		c.Steps = c.Steps[:n]
	}
	return s.current.site.replay(c.Rebase(client.Addr(), gateway.Addr()), args[1], args[2])
}

func (s *site) replay(c golden.Conversation, in, out string) error {
	inside, err := s.vlan(in)
	if err != nil {
		return err
	}
	outside, err := s.vlan(out)
	if err != nil {
		return err
	}
	client, gateway := netip.AddrPortFrom(c.Client, golden.Port), netip.AddrPortFrom(c.Gateway, golden.Port)
	var nat netip.AddrPort // as the gateway sees the client's IKE
	for i := range c.Steps {
		step := &c.Steps[i]
		from, to, packet := inside, outside, step.Packet(client, gateway)
		if step.From != golden.Client {
			from, to, packet = outside, inside, step.Packet(gateway, nat)
		}
		got, err := s.across(from, to, packet, step)
		if err != nil {
			return fmt.Errorf("step %d, %s: %w", i, step, err)
		}
		if step.From == golden.Client && step.Kind == golden.IKE {
			nat = netip.AddrPortFrom(frame.Addr(got[12:16]).Netip(), binary.BigEndian.Uint16(got[header.IPv4(got).HeaderLength():]))
		}
	}
	return nil
}

// across sends a step's packet and returns it as it came out at the other side.
func (s *site) across(from, to *configs.VLAN, packet []byte, step *golden.Step) ([]byte, error) {
	l := s.lines[to.Port.Name]
	l.drain()
	if err := s.inject(from, packet); err != nil {
		return nil, err
	}
	if err := s.settle(); err != nil {
		return nil, err
	}
	came := l.drain()
	for _, b := range came {
		if bytes.HasSuffix(b, step.Payload) {
			return b, nil
		}
	}
	return nil, fmt.Errorf("it does not come out on %s, where %d others do", to.Name, len(came))
}
