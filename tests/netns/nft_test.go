package netns

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"spigate/tests/golden"
)

// nft returns the path of nft and installs the package where it is missing.
func nft(t *testing.T) string {
	t.Helper()
	if p, err := exec.LookPath("nft"); err == nil {
		return p
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, args := range [][]string{{"update", "-q"}, {"install", "-y", "-q", "--no-install-recommends", "nftables"}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("apt-get %v: %v\n%s", args, err, out)
		}
	}
	p, err := exec.LookPath("nft")
	if err != nil {
		t.Fatal("the baseline needs nft (package nftables), and it could not be installed")
	}
	return p
}

const masquerade = `
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
}
`

// The baseline that spigate is there to beat, measured in the same harness:
// behind stock masquerading IKE of both clients completes, the first client's
// ESP passes, none of the second client's does in either direction, and what
// the gateway sends to the second client is delivered to the first.
func TestMasqueradeBreaksTheSecondClient(t *testing.T) {
	tool := nft(t)
	for _, p := range pairs() {
		t.Run(p.name, func(t *testing.T) {
			s := site(t)
			ctx := deadline(t)
			if err := s.RouterKernel(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Router.Run(ctx, masquerade, tool, "-f", "-"); err != nil {
				t.Fatal(err)
			}
			first, second, err := Conversations(p.first, p.second, 0)
			if err != nil {
				t.Fatal(err)
			}
			patience := DefaultPatience()
			patience.ESP = 100 * time.Millisecond // nothing here delays a packet
			r, err := s.Run(ctx, Scenario{First: first, Second: second, Patience: patience})
			if err != nil {
				t.Fatal(err)
			}
			t.Log("\n" + r.Summary())
			checkBaseline(t, r, first, second)
		})
	}
}

func checkBaseline(t *testing.T, r *Result, first, second golden.Conversation) {
	t.Helper()
	for _, d := range r.Deliveries {
		if d.GotIKE != d.WantIKE {
			t.Errorf("%s: IKE %d of %d at the %v", d.Conversation, d.GotIKE, d.WantIKE, d.At)
		}
		want := 0
		if d.Conversation == first.Name {
			want = d.WantESP
		}
		if d.GotESP != want {
			t.Errorf("%s: ESP %d of %d at the %v, expected %d", d.Conversation, d.GotESP, d.WantESP, d.At, want)
		}
	}
	sent := second.Count(golden.Gateway, golden.ESP)
	if got := len(r.StraysOf(golden.ESP, second.Name, "client1")); got != sent {
		t.Errorf("%d of the second client's %d inbound ESP packets were delivered to the first client, expected all", got, sent)
	}
	if len(r.Faults()) == 0 {
		t.Error("the harness finds no fault with masquerading: it cannot fail")
	}
}
