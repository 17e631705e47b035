package netns

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/tests/golden"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.Remove()
		os.Exit(code)
	}))
}

var built Build

func spigate(t *testing.T) string {
	t.Helper()
	path, err := built.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const example = "../../configs/examples/ipsec-passthrough.toml"

// router starts spigate on the site's router, on the shipped example with a
// pool of one address.
func router(t *testing.T, s *Site) *Daemon {
	t.Helper()
	return routerIn(t, s, DaemonConfig{Dir: t.TempDir()})
}

// routerIn is router with what c says otherwise: its files in a directory where
// an earlier one may have left some, or other ports.
func routerIn(t *testing.T, s *Site, c DaemonConfig) *Daemon {
	t.Helper()
	c.OneAddress = true
	if c.Binary == "" {
		c.Binary = spigate(t)
	}
	if c.Template == "" {
		c.Template = example
	}
	d, err := s.StartSpigate(deadline(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(d.Output(), "\n"))
		}
	})
	return d
}

// bound is how long one scenario may take; a good one takes about a second.
const bound = 60 * time.Second

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	t.Cleanup(cancel)
	return ctx
}

func site(t *testing.T) *Site {
	t.Helper()
	if !Root() {
		t.Fatal("network namespaces need root")
	}
	s, err := NewSite(For(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pair is a scenario's name and the recordings of its two clients.
type pair struct{ name, first, second string }

func pairs() []pair {
	return []pair{
		{"IKEv1", golden.IKEv1First, golden.IKEv1Second},
		{"IKEv2", golden.IKEv2First, golden.IKEv2Second},
	}
}
