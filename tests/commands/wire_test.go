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

// send reads "send VLAN PACKET [TIMES]": what comes out, and where, is its
// output; equal ones on one line.
func (s *scene) send(ts *testscript.TestScript, args []string) {
	if len(args) < 2 || len(args) > 3 || s.current == nil {
		ts.Fatalf("usage: send VLAN PACKET [TIMES], to a daemon that runs")
	}
	times, site := 1, s.current.site
	if len(args) == 3 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		times = n
	}
	v, err := site.vlan(args[0])
	ts.Check(err)
	p, err := packet(args[1])
	ts.Check(err)
	for _, l := range site.lines {
		l.drain()
	}
	for range times {
		ts.Check(site.inject(v, p))
	}
	ts.Check(site.settle())
	fmt.Fprint(ts.Stdout(), "") // no output is output, too
	for _, port := range site.config.Ports {
		for _, text := range counted(site.lines[port.Name]) {
			fmt.Fprintf(ts.Stdout(), "%s: %s\n", port.Name, s.steady(text))
		}
	}
}

// meet reads "meet VLAN ADDRESS": the router hears of a host there, so that no
// packet to it waits for ARP.
func (s *scene) meet(args []string) error {
	if len(args) != 2 || s.current == nil {
		return errors.New("usage: meet VLAN ADDRESS, of a daemon that runs")
	}
	v, err := s.current.site.vlan(args[0])
	if err != nil {
		return err
	}
	host, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	return s.current.site.fence(v, host)
}

// counted tells what has come at a port, in its order.
func counted(l *line) (out []string) {
	if l == nil {
		return nil
	}
	times := map[string]int{}
	for _, b := range l.drain() {
		text := told(b)
		if times[text]++; times[text] == 1 {
			out = append(out, text)
		}
	}
	for k, text := range out {
		if n := times[text]; n > 1 {
			out[k] = fmt.Sprintf("%s (%d)", text, n)
		}
	}
	return out
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
