package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"spigate/tests/golden"
	"spigate/tests/netns"
)

// act is one part of the demo: a protocol and its two recordings.
type act struct{ name, who, first, second string }

func acts() []act {
	return []act{
		{"IKEv1", "libreswan clients, strongSwan gateway", golden.IKEv1First, golden.IKEv1Second},
		{"IKEv2", "OpenIKED clients, strongSwan gateway", golden.IKEv2First, golden.IKEv2Second},
	}
}

// heldWithin bounds the wait for the second client's phase-2 message to be
// held; it is below the example's esp_gate_timeout.
const heldWithin = 15 * time.Second

// run plays the demo and removes everything again.
func run(ctx context.Context, o options, w io.Writer) (r report, err error) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "spigate-demo-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	lab := netns.New()
	defer func() { err = errors.Join(err, lab.Close()) }()

	t := newTeller(w, o.verbose)
	t.say("laying out: client1 %v and client2 %v, a LAN, the router, gateway %v",
		netns.Client1, netns.Client2, netns.Remote.Addr())
	site, err := netns.NewSite(lab)
	if err != nil {
		return r, err
	}
	t.say("the example's pool is cut to one address, %v: a paired subscriber gets a random", netns.NATAddress)
	t.say("address of its pool, and here both are to share one")
	d, err := startRouter(bounded, site, o, dir, t)
	if err != nil {
		return r, err
	}
	bounded, cancel = d.While(bounded)
	defer cancel()
	for _, a := range acts() {
		if err := r.play(bounded, site, d, a, o.rounds, t); err != nil {
			return r, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	t.say("waiting for the fast path to report its packets to the sessions, which it does every second")
	if err := d.WaitCounted(bounded, r.arrived); err != nil {
		r.Faults = append(r.Faults, fmt.Sprintf("the sessions' counters: %v", err))
	}
	if err := r.views(bounded, d, t); err != nil {
		return r, err
	}
	if err := r.live(bounded, lab, o, dir, t); err != nil {
		return r, fmt.Errorf("live: %w", err)
	}
	r.settle()
	t.verdict(&r)
	if o.keep {
		return r, keep(ctx, site, d, t)
	}
	return r, nil
}

func startRouter(ctx context.Context, site *netns.Site, o options, dir string, t *teller) (*netns.Daemon, error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return nil, err
	}
	d, err := site.StartSpigate(ctx, netns.DaemonConfig{
		Binary: binary, Template: o.template, Dir: dir, OneAddress: true, Line: t.log,
	})
	if err != nil {
		return nil, err
	}
	t.say("spigate runs in the router (pid %d) on ports lan and wan", d.Pid())
	return d, nil
}

// play runs one act and adds what it came to.
func (r *report) play(ctx context.Context, site *netns.Site, d *netns.Daemon, a act, rounds int, t *teller) error {
	first, second, err := netns.Conversations(a.first, a.second, rounds)
	if err != nil {
		return err
	}
	first, second = first.Named(a.name+" client1"), second.Named(a.name+" client2")
	t.title("%s: %s", a.name, a.who)
	t.say("the recorded conversations, then their ESP packets %d times more: sequence numbers stay as", rounds)
	t.say("recorded, a NAT does not look at them once an SPI is bound")
	result, err := site.Run(ctx, netns.Scenario{
		First: first, Second: second, Patience: netns.DefaultPatience(), Event: t.event,
		Overlap: func(ctx context.Context) error { return overlap(ctx, d, t) },
	})
	if err != nil {
		return err
	}
	r.add(a.name, result, first, second)
	t.result(a.name, result, first, second)
	return nil
}

// overlap waits until the second client is held at the first one's gate.
func overlap(ctx context.Context, d *netns.Daemon, t *teller) error {
	ctx, cancel := context.WithTimeout(ctx, heldWithin)
	defer cancel()
	t.say("client1 keeps its ESP back, so its gate stays open; client2 starts now")
	if _, err := d.WaitHeld(ctx, netns.Client2); err != nil {
		return err
	}
	text, err := d.Text(ctx, "ipsecalg", "gate")
	if err != nil {
		return err
	}
	t.say("client2's phase-2 message is held. spigate show ipsecalg gate:")
	t.block(text)
	t.say("client1 sends its ESP now")
	return nil
}

// views prints the router's views of the recorded conversations.
func (r *report) views(ctx context.Context, d *netns.Daemon, t *teller) error {
	t.title("what the router says")
	for _, words := range []string{"ipsecalg session", "ipsecalg gate", "lsn session", "flow", "drops", "status"} {
		text, err := d.Text(ctx, strings.Fields(words)...)
		if err != nil {
			return err
		}
		t.say("spigate show %s", words)
		t.block(text)
	}
	var status []netns.StatusRow
	var drops []netns.DropRow
	if err := errors.Join(d.Show(ctx, &status, "status"), d.Show(ctx, &drops, "drops")); err != nil {
		return err
	}
	for _, s := range status {
		r.FastHits, r.SlowHits = s.FastHits, s.SlowHits
	}
	r.Drops = map[string]uint64{}
	for _, row := range drops {
		if row.Count > 0 {
			r.Drops[row.Reason] = row.Count
		}
	}
	return nil
}

// keep leaves everything as it is until the user has seen enough.
func keep(ctx context.Context, site *netns.Site, d *netns.Daemon, t *teller) error {
	t.title("kept until Ctrl-C")
	for _, n := range []*netns.Namespace{site.Client1, site.Client2, site.Switch, site.Router, site.Gateway} {
		name := "spigate-demo-" + n.Name
		if err := n.Publish(name); err != nil {
			return err
		}
		t.say("ip netns exec %s ip addr", name)
	}
	t.say("bin/spigate show ipsecalg session --socket %s", d.Socket)
	select {
	case <-ctx.Done():
	case <-d.Done():
		return fmt.Errorf("spigate ended: %w", d.Err())
	}
	return nil
}
