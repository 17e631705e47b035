package peers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// secret is the pre-shared key of all hosts: a gateway that speaks IKEv1 picks
// the key by the address, and behind a NAT that is one address for all.
const secret = "a-test-secret-of-all-hosts"

// Kind is one of the packaged IKE daemons.
type Kind uint8

// The daemons.
const (
	StrongSwan Kind = iota
	Libreswan
	OpenIKED
)

// String returns the daemon's name.
func (k Kind) String() string { return [...]string{"strongSwan", "libreswan", "OpenIKED"}[k] }

// Role says how a host's daemon is to behave.
type Role struct {
	Kind     Kind
	Version  int           // of IKE, 1 or 2; a strongSwan gateway speaks both
	Plain    bool          // no NAT traversal, by the daemon's own switch
	Encap    bool          // libreswan: encapsulation=no instead of nat-ikev1-method=none
	Lifetime time.Duration // after which it rekeys by itself; 0: not during a test
	DPD      time.Duration // between questions whether the peer lives; 0: none
}

// daemon is how to run one kind of daemon; all strings are shell commands that
// run on the host.
type daemon struct {
	files map[string]string // below the host's /run
	start string            // returns when the daemon can take commands
	up    string            // begins the tunnel; empty: it begins by itself
	rekey string            // rekeys the child now; empty: only Lifetime does it
	// rekeyIKE rekeys the IKE SA, leave deletes it where the daemon does not do
	// so when it ends; only the ends of spigate's own tunnels have them.
	rekeyIKE, leave string
	binary          string
	log             string
}

func (s *Site) daemon(h *Host, r Role) daemon {
	switch r.Kind {
	case StrongSwan:
		return s.strongSwan(h, r)
	case Libreswan:
		return s.libreswan(h, r)
	}
	return s.openIKED(h, r)
}

// id is how a host names itself in IKE.
func (h *Host) id() string { return h.Name + "@test" }

// StartDaemon configures and starts a host's daemon.
func (s *Site) StartDaemon(ctx context.Context, h *Host, r Role) error {
	return s.start(ctx, h, r.Kind, s.daemon(h, r))
}

func (s *Site) start(ctx context.Context, h *Host, k Kind, d daemon) error {
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if err := s.VM.WriteFile(ctx, "/run/ns-"+h.Name+"/"+name, d.files[name]); err != nil {
			return err
		}
	}
	if _, err := s.VM.Exec(ctx, h.Name, d.start); err != nil {
		said, lerr := s.VM.Exec(ctx, h.Name, "tail -n 20 "+d.log)
		return fmt.Errorf("start %v: %w: %s", k, errors.Join(err, lerr), said)
	}
	return nil
}

// Up begins a client's tunnel; it is up when Tunnel says so.
func (s *Site) Up(ctx context.Context, h *Host, r Role) error {
	d := s.daemon(h, r)
	if d.up == "" {
		return nil
	}
	if _, err := s.VM.Exec(ctx, h.Name, d.up); err != nil {
		return fmt.Errorf("tunnel of %s: %w", h.Name, err)
	}
	return nil
}

// Kill ends the host's daemon as a loss of power would: it tells nobody, and
// the host forgets its keys and its neighbours.
func (s *Site) Kill(ctx context.Context, hosts ...*Host) error {
	var b strings.Builder
	for _, h := range hosts {
		fmt.Fprintf(&b, `
			for p in $(ip netns pids %[1]s); do
				case $(tr '\0' ' ' </proc/$p/cmdline) in *"xfrm monitor"*) ;; *) kill -9 $p;; esac
			done
			ip -n %[1]s xfrm state flush; ip -n %[1]s xfrm policy flush; ip -n %[1]s route flush table 220 2>/dev/null
			ip -n %[1]s neigh flush all
			rm -f /run/ns-%[1]s/*.pid /run/ns-%[1]s/*.ctl /run/ns-%[1]s/*.sock /run/ns-%[1]s/*.vici`, h.Name)
	}
	b.WriteString("\ntrue")
	_, err := s.VM.Exec(ctx, "", b.String())
	return err
}

// waitFor is a shell loop until a condition holds, for half a minute.
func waitFor(condition string) string {
	return "i=0; until " + condition + "; do i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.05; done"
}
