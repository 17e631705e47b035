package netns

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spigate/tests/golden"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
