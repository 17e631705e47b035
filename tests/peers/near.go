package peers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"spigate/tests/netns"
)

// The addresses of tunnels that end on spigate: those of the seed's page, and
// of the site's outside.
var (
	NearAddress = netip.MustParsePrefix("203.0.113.1/24") // spigate, outside
	NearInside  = netip.MustParsePrefix("10.2.1.254/24")  // spigate, inside
	NearHost    = netip.MustParsePrefix("10.2.1.1/24")    // the host behind it
	FarHost     = netip.MustParsePrefix("10.1.1.1/24")    // the host behind the other end
)

// The addresses of the page's other example: local users are where the far
// host is otherwise, and reach the one behind the tunnel under another address.
var (
	UserInside = netip.MustParsePrefix("10.1.1.254/24")
	User       = netip.MustParsePrefix("10.1.1.9/24")
	Originator = netip.MustParsePrefix("192.168.15.2/32")
	Translated = netip.MustParseAddr("172.17.1.1")
)

// Near is spigate where tunnels end, and the host behind it.
type Near struct {
	*netns.Daemon
	site *netns.Site // only its router
	host *netns.Namespace
	dir  string

	reloads int
}

// NewNear makes spigate's namespace between the site's outside and a host that
// has inside for its router. They go when the lab closes.
func (s *Site) NewNear(l *netns.Lab, dir string, host, inside netip.Prefix) (*Near, error) {
	n := &Near{site: &netns.Site{}, dir: dir}
	var err error
	if n.site.Router, err = l.Namespace("near"); err != nil {
		return nil, err
	}
	if n.host, err = l.Namespace("host"); err != nil {
		return nil, err
	}
	s.routers++
	wan := fmt.Sprintf("wan%d", s.routers)
	return n, errors.Join(
		l.Wire(netns.End{In: n.site.Router, Device: "wan"}, netns.End{In: s.networks, Device: wan}),
		s.networks.Do(func() error { return enslave(wan, "outside") }),
		l.Wire(netns.End{In: n.host, Device: "eth0"}, netns.End{In: n.site.Router, Device: "lan"}),
		n.host.Address("eth0", host), n.host.NoSegmentation("eth0"),
		n.host.Route(netip.MustParsePrefix("0.0.0.0/0"), inside.Addr()),
	)
}

func (n *Near) template(text string) (string, error) {
	file := filepath.Join(n.dir, "template.toml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// Run starts spigate on a configuration.
func (n *Near) Run(ctx context.Context, binary, text string) error {
	file, err := n.template(text)
	if err != nil {
		return err
	}
	n.Daemon, err = n.site.StartSpigate(ctx, netns.DaemonConfig{Binary: binary, Template: file, Dir: n.dir})
	return err
}

// Reload gives spigate another configuration, as an operator does: the file,
// then SIGHUP. It returns when that is in force.
func (n *Near) Reload(ctx context.Context, text string) error {
	file, err := n.template(text)
	if err == nil {
		err = n.Reconfigure(file)
	}
	if err != nil {
		return err
	}
	n.reloads++
	return n.await(ctx, "the reload", func() error {
		if got := strings.Count(n.log(), "msg=reloaded"); got != n.reloads {
			return fmt.Errorf("%d reloads are logged, expected %d: %s", got, n.reloads, tail(n.log(), 600))
		}
		return nil
	})
}

func (n *Near) log() string { return strings.Join(n.Output(), "\n") }

// await asks until there is no error any more; with the last one it gives up.
func (n *Near) await(ctx context.Context, what string, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	err := netns.Poll(ctx, 200*time.Millisecond, func() bool { last = ask(); return last == nil })
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, err, last)
	}
	return nil
}

// lines returns those of the log that have all of the words, from number n on
// of those that there were.
func (n *Near) lines(from int, words ...string) []string {
	var out []string
	all := n.Output()
	for _, line := range all[min(from, len(all)):] {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			out = append(out, line)
		}
	}
	return out
}

// awaitLine waits for a line of the log, not among the first ones, with all of
// the words.
func (n *Near) awaitLine(ctx context.Context, from int, words ...string) (string, error) {
	var line string
	err := n.await(ctx, "spigate's log", func() error {
		found := n.lines(from, words...)
		if len(found) == 0 {
			return fmt.Errorf("no line has %q", words)
		}
		line = found[0]
		return nil
	})
	return line, err
}

// dropped returns how many packets were dropped for a reason so far.
func (n *Near) dropped(ctx context.Context, reason string) (uint64, error) {
	var rows []netns.DropRow
	if err := n.Show(ctx, &rows, "drops"); err != nil {
		return 0, err
	}
	for _, r := range rows {
		if r.Reason == reason {
			return r.Count, nil
		}
	}
	return 0, nil
}
