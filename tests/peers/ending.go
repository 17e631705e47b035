package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"spigate/tests/netns"
)

// EndRow is a kind of far end and how spigate's policy is applied.
type EndRow struct {
	Kind      Kind
	Interface bool
}

// EndRows are all of them.
func EndRows() []EndRow {
	var all []EndRow
	for _, k := range []Kind{StrongSwan, Libreswan, OpenIKED} {
		all = append(all, EndRow{k, false}, EndRow{k, true})
	}
	return all
}

// Name says what it is in a table.
func (r EndRow) Name() string {
	if r.Interface {
		return fmt.Sprintf("end %v interface", r.Kind)
	}
	return fmt.Sprintf("end %v tunnel", r.Kind)
}

// Ending is one row in one scenario: a tunnel that ends on spigate.
type Ending struct {
	*Site
	Row  EndRow
	Near *Near
	Far  Far
	Say  func(format string, args ...any)

	binary            string
	nearHost, farHost netip.Addr // the hosts at the tunnel's two ends
	lab               *netns.Lab
	ports             atomic.Int32 // of streams so far
}

// EndScenario is something that happens to a tunnel that ends on spigate.
type EndScenario struct {
	Name string
	// NAT puts the far end behind one; Page2 is the page's example of ltm nat.
	NAT, Page2 bool
	Play       func(context.Context, *Ending) error
}

// PlayEnd plays a cell. One that fails is played once more.
func (b *Bed) PlayEnd(ctx context.Context, row EndRow, sc EndScenario) Result {
	st := b.story()
	res := Result{Row: row.Name(), Scenario: sc.Name}
	res.try(ctx, st, func() error { return b.playEnd(ctx, row, sc, st) })
	res.Took = time.Since(st.began)
	return res
}

func (b *Bed) playEnd(ctx context.Context, row EndRow, sc EndScenario, st *story) (err error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioLimit)
	defer cancel()
	lab := netns.New()
	defer func() { err = errors.Join(err, lab.Close()) }()
	dir, err := os.MkdirTemp("", "spigate-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e := &Ending{Site: b.Site, Row: row, Say: st.say, binary: b.Binary, lab: lab,
		Far: Far{Kind: row.Kind, Host: b.Site.Gateway, Seen: b.Site.Gateway.Address.Addr(), Net: FarHost.Masked(), Users: NearHost.Masked()}}
	defer func() { err = errors.Join(err, b.Site.Kill(context.WithoutCancel(ctx), e.Far.Host)) }()
	if err := e.lay(ctx, sc, dir); err != nil {
		return err
	}
	err = sc.Play(ctx, e)
	if err != nil || b.Look {
		e.lookAround(ctx)
	}
	return err
}

// lay makes the two hosts of a scenario and what is between them.
func (e *Ending) lay(ctx context.Context, sc EndScenario, dir string) error {
	host, inside, far := NearHost, NearInside, FarHost
	if sc.Page2 {
		host, inside, far = User, UserInside, Originator
	}
	e.nearHost, e.farHost, e.Far.Net, e.Far.Users = host.Addr(), far.Addr(), far.Masked(), host.Masked()
	if sc.NAT {
		e.Far.Host, e.Far.Seen = e.Clients[0], NATAddress
		router, err := e.NewRouter(e.lab)
		if err == nil {
			err = router.Masquerade(ctx)
		}
		if err != nil {
			return err
		}
	}
	if err := e.Kill(ctx, e.Far.Host); err != nil {
		return err
	}
	var err error
	if e.Near, err = e.NewNear(e.lab, dir, host, inside); err != nil {
		return err
	}
	// The route is only there for the kernel to find one before it encrypts.
	h := e.Far.Host
	_, err = e.VM.Exec(ctx, h.Name, fmt.Sprintf("ip addr flush dev inner; ip addr add %v dev inner; ip addr add %v/%d dev inner; "+
		"ip route flush proto static; ip route replace %v via %v dev eth0 src %v proto static", far, h.Inner, h.InnerNet.Bits(), e.Far.Users, h.Via, far.Addr()))
	return err
}

// config is the configuration of the row with servers.
func (e *Ending) config(servers ...string) nearConfig {
	inside := NearInside
	if e.Far.Users == User.Masked() {
		inside = UserInside
	}
	return nearConfig{Far: e.Far, Interface: e.Row.Interface, Inside: inside, Servers: servers}
}

// begin starts both ends.
func (e *Ending) begin(ctx context.Context, c nearConfig) error {
	if err := e.Near.Run(ctx, e.binary, c.String()); err != nil {
		return err
	}
	return e.startFar(ctx)
}

func (e *Ending) startFar(ctx context.Context) error {
	return e.start(ctx, e.Far.Host, e.Far.Kind, e.Far.daemon())
}

// farBegins lets the far end begin the tunnel; an OpenIKED does so by itself.
func (e *Ending) farBegins(ctx context.Context) error {
	up := e.Far.daemon().up
	if up == "" {
		return nil
	}
	out, err := e.VM.Exec(ctx, e.Far.Host.Name, up)
	if err != nil {
		return fmt.Errorf("the far end begins: %w: %s", err, out)
	}
	return nil
}

// lookAround adds to the story what helps to see why a scenario failed.
func (e *Ending) lookAround(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if e.Near.Daemon != nil {
		for _, view := range []string{"net ipsec sa", "net ipsec peer", "net ipsec selector", "ltm virtual", "flow", "drops"} {
			text, err := e.Near.Text(ctx, strings.Fields(view)...)
			e.Say("show %s (%v):\n%s", view, err, text)
		}
		e.Say("spigate's log:\n%s", e.Near.log())
	}
	text, err := e.VM.Exec(ctx, e.Far.Host.Name, "ip -s xfrm state; ip xfrm policy; grep -v '[^0-9]0$' /proc/net/xfrm_stat; tail -n 150 "+e.Far.daemon().log)
	e.Say("%s (%v):\n%s", e.Far.Host.Name, err, text)
}

// stopFar ends the far end's daemon as a reboot does: it tells spigate.
func (e *Ending) stopFar(ctx context.Context) error {
	if leave := e.Far.daemon().leave; leave != "" {
		// That it is not there, or has nothing to delete, is no fault.
		if _, err := e.VM.Exec(ctx, e.Far.Host.Name, leave+"; true"); err != nil {
			return err
		}
	}
	_, err := e.VM.Exec(ctx, "", fmt.Sprintf(`left() {
		for p in $(ip netns pids %s); do
			[ $(cat /proc/$p/comm) = %s ] && echo $p
		done
	}
	p=$(left); [ -z "$p" ] || kill -TERM $p; %s; cd /run/ns-%[1]s && rm -f *.pid *.ctl *.sock *.vici`, e.Far.Host.Name, e.Far.daemon().binary, waitFor(`[ -z "$(left)" ]`)))
	return err
}
