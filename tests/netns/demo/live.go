package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"spigate/tests/netns"
)

// The last act: no recordings. Two clients and a gateway are routers with IKE of
// their own, and the router between knows nothing of their secrets.

//go:embed live/*.toml
var liveConfigs embed.FS

// liveLimit bounds the act.
const liveLimit = 60 * time.Second

// office is the live site while it runs.
type office struct {
	site    *netns.Live
	router  *netns.Daemon
	gateway *netns.Daemon
	clients [2]tunnel
	server  host
	cable   [2]*netns.Capture // what arrives at its ends: the router's, the gateway's
	t       *teller
}

// tunnel is a VPN client and the host behind it.
type tunnel struct {
	name   string
	daemon *netns.Daemon
	host   host
}

// live plays the act.
func (r *report) live(ctx context.Context, lab *netns.Lab, o options, dir string, t *teller) error {
	ctx, cancel := context.WithTimeout(ctx, liveLimit)
	defer cancel()
	t.title("IKEv2, live: spigate clients, spigate gateway, without NAT traversal")
	f := &office{t: t}
	if err := f.open(ctx, lab, o, dir); err != nil {
		return err
	}
	l := &liveReport{}
	r.Live = l
	e, err := f.server.serve()
	if err != nil {
		return err
	}
	defer e.close()
	steps := []struct {
		what string
		do   func(context.Context, *liveReport) error
	}{
		{"both clients at once", f.begin},
		{"from the office to the clients", f.back},
		{"new keys under traffic", f.renew},
		{"new IKE SAs under traffic", f.anew},
		{"a client that was killed", f.killed},
		{"what passed the router", f.passed},
	}
	for _, s := range steps {
		if err := s.do(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", s.what, errors.Join(err, f.show(context.WithoutCancel(ctx))))
		}
	}
	for _, fault := range l.faults() {
		r.Faults = append(r.Faults, "live: "+fault)
	}
	return f.show(ctx)
}

// open lays the site out and starts the four daemons.
func (f *office) open(ctx context.Context, lab *netns.Lab, o options, dir string) (err error) {
	if f.site, err = netns.NewLive(lab); err != nil {
		return err
	}
	for _, d := range []struct {
		in       *netns.Namespace
		to       **netns.Daemon
		template string
		secrets  []string
	}{
		{f.site.Router, &f.router, o.template, nil},
		{f.site.Gateway, &f.gateway, "", []string{"client1", "client2"}},
		{f.site.Client1, &f.clients[0].daemon, "", []string{"office"}},
		{f.site.Client2, &f.clients[1].daemon, "", []string{"office"}},
	} {
		if *d.to, err = f.start(ctx, d.in, o, filepath.Join(dir, "live", d.in.Name), d.template, d.secrets); err != nil {
			return fmt.Errorf("%s: %w", d.in.Name, err)
		}
	}
	f.clients[0].name, f.clients[0].host = "client1", host{f.site.Host1, netns.Host1}
	f.clients[1].name, f.clients[1].host = "client2", host{f.site.Host2, netns.Host2}
	f.server = host{f.site.Server, netns.Server}
	for i, n := range []*netns.Namespace{f.site.Router, f.site.Gateway} {
		if f.cable[i], err = n.Capture("wan"); err != nil {
			return err
		}
	}
	f.t.say("host1 %v - client1 %v -+", netns.Host1, netns.Client1)
	f.t.say("                              +- router, NAT address %v - gateway %v - server %v", netns.NATAddress, netns.Remote.Addr(), netns.Server)
	f.t.say("host2 %v - client2 %v -+", netns.Host2, netns.Client2)
	return nil
}

// start starts a daemon on a template, or on the configuration of its
// namespace's name, with its pre-shared keys beside it.
func (f *office) start(ctx context.Context, n *netns.Namespace, o options, dir, template string, secrets []string) (*netns.Daemon, error) {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, s := range secrets {
		// What client1 shares with the office is the same in both their files.
		text := "shared by the office and " + n.Name
		if s != "office" {
			text = "shared by the office and " + s
		}
		if err := os.WriteFile(filepath.Join(dir, s+".psk"), []byte(text+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	if template == "" {
		template = filepath.Join(dir, "written.toml")
		text, err := liveConfigs.ReadFile("live/" + n.Name + ".toml")
		if err == nil {
			err = os.WriteFile(template, text, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	return n.StartSpigate(ctx, netns.DaemonConfig{
		Binary: binary, Template: template, Dir: dir, OneAddress: true, Line: f.t.logOf(n.Name),
	})
}

// each does something with both clients at once.
func (f *office) each(do func(i int, c *tunnel) error) error {
	var all sync.WaitGroup
	var errs [len(f.clients)]error
	for i := range f.clients {
		all.Go(func() { errs[i] = do(i, &f.clients[i]) })
	}
	all.Wait()
	return errors.Join(errs[:]...)
}

// begin pings the server from both hosts in the same moment: nobody has spoken
// to anybody, so each ping waits for a tunnel, and one client for the other
// one's gate.
func (f *office) begin(ctx context.Context, l *liveReport) error {
	f.t.say("host1 and host2 ping the server in the same moment: there is no tunnel yet")
	return f.each(func(i int, c *tunnel) (err error) {
		p, err := c.host.ping(ctx, f.server, 5)
		l.Clients[i] = liveClient{Client: c.name, FirstPing: seconds(p.first), Pings: p.asked, Answers: p.answered}
		if err == nil {
			f.t.say("%s: first answer after %.3f s, %d answers to %d pings", c.host.Name, seconds(p.first), p.answered, p.asked)
		}
		return err
	})
}

// back lets the server begin: pings, then TCP.
func (f *office) back(ctx context.Context, l *liveReport) error {
	return f.each(func(i int, c *tunnel) error {
		p, err := f.server.ping(ctx, c.host, 5)
		if err != nil {
			return err
		}
		e, err := c.host.serve()
		if err != nil {
			return err
		}
		defer e.close()
		x, err := f.server.call(ctx, c.host)
		if err != nil {
			return err
		}
		if err := errors.Join(x.say(100_000), x.end()); err != nil {
			return err
		}
		l.Clients[i].BackPings, l.Clients[i].BackAnswers, l.Clients[i].BackBytes = p.asked, p.answered, x.sent
		f.t.say("the server to %s: %d answers to %d pings, %d bytes of TCP there and back", c.host.Name, p.answered, p.asked, x.sent)
		return nil
	})
}

// moreWords are said on new keys.
const moreWords = 40

// renew sends a file through each tunnel, and then talks until both have had
// new keys, and a while longer. Client1 asks for its own by itself; for client2
// the gateway does.
func (f *office) renew(ctx context.Context, l *liveReport) error {
	f.t.say("a file of 500 KB through both tunnels, then 64 KB/s until the keys are new: client1 asks")
	f.t.say("for them after 7/8 of a megabyte, and the gateway asks client2")
	return f.each(func(i int, c *tunnel) error {
		x, err := c.host.call(ctx, f.server)
		if err != nil {
			return err
		}
		if err := x.say(500_000); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		file, left := x.slow, moreWords
		x.slow = 0
		err = x.talk(ctx, func() bool {
			if c.rekeys() > 0 {
				left--
			}
			return left == 0
		})
		if err = errors.Join(err, x.end()); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		k := &l.Clients[i]
		k.Bytes, k.Rekeys, k.FileSeconds, k.SlowestWord = x.sent, c.rekeys(), seconds(file), seconds(x.slow)
		f.t.say("%s: %d bytes there and back, the file in %.3f s, the slowest word in %.3f s, keys new %d times",
			c.host.Name, k.Bytes, k.FileSeconds, k.SlowestWord, k.Rekeys)
		return nil
	})
}

// rekeys is how often a tunnel has had new keys.
func (c *tunnel) rekeys() int { return c.logged("CHILD UP") - 1 }

// passed says what was on the cable between the router and the gateway, and
// compares it with what the router counted.
func (f *office) passed(ctx context.Context, l *liveReport) error {
	l.Wire = sortOut(append(f.cable[0].Stop(), f.cable[1].Stop()...))
	f.t.say("on the cable to the gateway: plain ESP %d packets out, %d in; IKE on 500 %d; ESP or IKE on 4500 %d; anything else %d",
		l.Wire.ESPOut, l.Wire.ESPIn, l.Wire.IKE, l.Wire.NATT, l.Wire.Other)
	if err := f.router.WaitCounted(ctx, uint64(l.Wire.ESPOut+l.Wire.ESPIn)); err != nil {
		l.extra = append(l.extra, fmt.Sprintf("the sessions' counters: %v", err))
	}
	return nil
}

// show prints the views of all four daemons.
func (f *office) show(ctx context.Context) error {
	var errs []error
	page := func(who string, d *netns.Daemon, views ...string) {
		for _, words := range views {
			text, err := d.Text(ctx, strings.Fields(words)...)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", who, err))
				continue
			}
			f.t.say("%s: spigate show %s", who, words)
			f.t.block(text)
		}
	}
	page("router", f.router, "ipsecalg session", "lsn session", "drops", "status")
	page("gateway", f.gateway, "net ipsec sa", "net ipsec peer", "drops")
	for _, c := range f.clients {
		page(c.name, c.daemon, "net ipsec sa")
	}
	return errors.Join(errs...)
}
