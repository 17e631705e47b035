package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"spigate/tests/netns"
)

// What happens to tunnels that live longer: their IKE SAs are replaced, and
// clients lose their memory.

// anew has operators replace the IKE SA of each tunnel while its host talks, and
// then its keys once more: the end that did not ask for the IKE SA asks for them,
// and the router has to know the new IKE SA as that client's.
func (f *office) anew(ctx context.Context, l *liveReport) error {
	f.t.say("operators ask for a new IKE SA, client1 and the gateway for client2; then the other ends for new keys")
	return f.each(func(i int, c *tunnel) error {
		peer := []string{"rekey", "net", "ipsec", "peer", "office"}
		keys := []string{"rekey", "net", "ipsec", "selector", c.name}
		asks, answers := c.daemon, f.gateway
		if i == 1 {
			peer[4], keys[4] = c.name, "office"
			asks, answers = f.gateway, c.daemon
		}
		hangUp, err := f.chat(ctx, c)
		if err != nil {
			return err
		}
		was := c.rekeys()
		err = order(ctx, asks, peer)
		if err == nil {
			err = c.await(ctx, func() bool { return c.logged("IKE REKEYED") > 0 })
		}
		if err == nil {
			err = order(ctx, answers, keys)
		}
		if err == nil {
			err = c.await(ctx, func() bool { return c.rekeys() > was })
		}
		if err == nil {
			// A gate whose keys nobody uses is shut only after esp_gate_timeout.
			err = c.await(ctx, func() bool { return f.known(c) })
		}
		slow, cut := hangUp()
		if err = errors.Join(err, cut); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		l.Clients[i].IKERekeys, l.Clients[i].SlowestAnew = c.logged("IKE REKEYED"), seconds(slow)
		f.t.say("%s: the slowest word in %.3f s", c.host.Name, seconds(slow))
		return nil
	})
}

// killed ends client1 without a word, and starts it again, while host2 talks.
func (f *office) killed(ctx context.Context, l *liveReport) error {
	f.t.say("client1 is killed and started again; host2 talks on")
	first, second := &f.clients[0], &f.clients[1]
	hangUp, err := f.chat(ctx, second)
	if err != nil {
		return err
	}
	again := func() error {
		if err := first.daemon.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		<-first.daemon.Done()
		var err error
		begin := netns.Monotonic()
		if first.daemon, err = f.site.Client1.StartSpigate(ctx, first.daemon.Made); err != nil {
			return err
		}
		ready := netns.Monotonic()
		p, err := first.host.ping(ctx, f.server, 5)
		l.Ready, l.Back = seconds(time.Duration(ready-begin)), seconds(p.first)
		return err
	}
	err = again()
	_, cut := hangUp()
	f.t.say("client1 is ready again after %.3f s, and %.3f s later host1 has an answer", l.Ready, l.Back)
	return errors.Join(err, cut)
}

// known reports whether the router has seen packets of a client's newest keys
// both ways.
func (f *office) known(c *tunnel) bool {
	newest := ""
	for _, line := range c.daemon.Output() {
		if l := netns.ParseLogLine(line); l["msg"] == "CHILD UP" {
			newest = l["spi_in"]
		}
	}
	for _, line := range f.router.Output() {
		if l := netns.ParseLogLine(line); l.ALGEvent() == "ESP_CREATED" && l["spiin"] == newest {
			return true
		}
	}
	return false
}

// chat has a client's host talk with the server until somebody hangs up, which
// says how long the slowest word took.
func (f *office) chat(ctx context.Context, c *tunnel) (hangUp func() (time.Duration, error), err error) {
	x, err := c.host.call(ctx, f.server)
	if err != nil {
		return nil, err
	}
	enough, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- x.talk(ctx, func() bool { return enough.Err() != nil }) }()
	return func() (time.Duration, error) {
		stop()
		err := errors.Join(<-ended, x.end())
		return x.slow, err
	}, nil
}

func order(ctx context.Context, d *netns.Daemon, words []string) error {
	_, err := d.Command(ctx, words...)
	return err
}

// await waits until something has been logged.
func (c *tunnel) await(ctx context.Context, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := netns.Poll(ctx, 20*time.Millisecond, ok); err != nil {
		return fmt.Errorf("nothing is logged of new keys: %w", err)
	}
	return nil
}

// logged counts the lines of a client's log with a message.
func (c *tunnel) logged(message string) (n int) {
	for _, line := range c.daemon.Output() {
		if netns.ParseLogLine(line)["msg"] == message {
			n++
		}
	}
	return n
}
