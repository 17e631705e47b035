package netns

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"spigate/tests/golden"
)

// The main job, end to end, in the harness in which masquerading fails.
func TestTwoClientsShareOneAddress(t *testing.T) {
	for _, p := range pairs() {
		t.Run(p.name+" on raw ports", func(t *testing.T) { shareOneAddress(t, p.first, p.second, DaemonConfig{}) })
		t.Run(p.name+" on TAP devices", func(t *testing.T) { shareOneAddress(t, p.first, p.second, DaemonConfig{TAP: true}) })
	}
}

func shareOneAddress(t *testing.T, one, other string, c DaemonConfig) {
	t.Helper()
	s := site(t)
	if c.TAP {
		if err := s.RouterTAPs(); err != nil {
			t.Fatal(err)
		}
	}
	c.Dir = t.TempDir()
	d := routerIn(t, s, c)
	ctx, cancel := d.While(deadline(t))
	defer cancel()
	first, second, err := Conversations(one, other, 10)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(ctx, Scenario{
		First: first, Second: second, Patience: DefaultPatience(),
		Overlap: func(ctx context.Context) error {
			_, err := d.WaitHeld(ctx, Client2)
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + r.Summary())
	for _, f := range r.Faults() {
		t.Error(f)
	}
	checkShared(t, r, first, second)
	counted := uint64(0)
	for _, e := range r.Deliveries {
		counted += uint64(e.GotESP)
	}
	if err := d.WaitCounted(ctx, counted); err != nil {
		t.Error(err)
	}
	checkSessions(t, ctx, d, first, second)
	checkFastPath(t, ctx, d)
	if err := d.Stop(); err != nil || d.Err() != nil {
		t.Errorf("SIGTERM: %v, exit %v", err, d.Err())
	}
}

func checkShared(t *testing.T, r *Result, first, second golden.Conversation) {
	t.Helper()
	a, b := r.Delivery(first.Name, golden.Gateway).Peer, r.Delivery(second.Name, golden.Gateway).Peer
	if a.Addr() != NATAddress || b.Addr() != NATAddress || a == b {
		t.Errorf("the gateway saw the clients at %v and %v, expected two ports of %v", a, b, NATAddress)
	}
}

// checkSessions compares the router's sessions with the SPIs of the recording.
func checkSessions(t *testing.T, ctx context.Context, d *Daemon, convs ...golden.Conversation) {
	t.Helper()
	var rows []SessionRow
	if err := d.Show(ctx, &rows, "ipsecalg", "session"); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, r := range rows {
		if r.SPIIn == nil || r.SPIOut == nil {
			t.Errorf("half a session: %+v", r)
			continue
		}
		if r.NATIP != NATAddress || r.DestIP != Remote.Addr() || r.Profile == "" || r.Group == "" {
			t.Errorf("row %+v", r)
		}
		got = append(got, fmt.Sprint(r.SourceIP, " ", *r.SPIIn, " ", *r.SPIOut))
	}
	for _, c := range convs {
		in, out := c.SPIs(golden.Gateway), c.SPIs(golden.Client)
		for i := range in {
			want = append(want, fmt.Sprintf("%v %08x %08x", c.Client, in[i], out[i]))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("sessions\n got %v\nwant %v", got, want)
	}
}

func checkFastPath(t *testing.T, ctx context.Context, d *Daemon) {
	t.Helper()
	var status []StatusRow
	if err := d.Show(ctx, &status, "status"); err != nil {
		t.Fatal(err)
	}
	if len(status) != 1 || status[0].FastHits < 100 {
		t.Errorf("status %+v: established ESP should take the fast path", status)
	}
	var flows []FlowRow
	if err := d.Show(ctx, &flows, "flow"); err != nil {
		t.Fatal(err)
	}
	esp := 0
	for _, f := range flows {
		if f.Protocol == "ESP" {
			esp++
		}
	}
	if esp != 8 { // two clients, two generations, two directions
		t.Errorf("%d ESP flows, want 8", esp)
	}
}

// One client alone, with what the pairs do not have: rekeys that the client
// begins, IKE SA rekeys, deletes, other daemons.
func TestOneClientWithEveryKindOfRekey(t *testing.T) {
	for _, name := range []string{golden.IKEv1, golden.IKEv2, golden.IKEv2Libreswan} {
		t.Run(name, func(t *testing.T) {
			s := site(t)
			d := router(t, s)
			ctx, cancel := d.While(deadline(t))
			defer cancel()
			c, err := golden.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.RunOne(ctx, c.Rebase(Client1, Remote.Addr()).Repeat(1), DefaultPatience())
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Faults() {
				t.Error(f)
			}
			checkSessions(t, ctx, d, c.Rebase(Client1, Remote.Addr()))
		})
	}
}

// ESP without a gate dies with its reason, counted, and none leaves the router.
func TestESPWithoutAGateIsDroppedAndCounted(t *testing.T) {
	isIKE := func(st golden.Step) bool { return st.Kind == golden.IKE }
	phase2 := func(_ int, st *golden.Step) bool { return st.IsPhase2() }
	whole, err := golden.Load(golden.IKEv2First)
	if err != nil {
		t.Fatal(err)
	}
	esp := slices.DeleteFunc(slices.Clone(whole.Steps), isIKE)
	for _, v := range []struct {
		name   string
		before []golden.Step
		reason string
	}{
		{"no IKE at all", nil, "esp_no_nat_address"},
		{"IKE without phase 2", whole.Until(phase2).Steps, "esp_no_gate_out"},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := site(t)
			d := router(t, s)
			ctx, cancel := d.While(deadline(t))
			defer cancel()
			c := whole.Rebase(Client1, Remote.Addr())
			c.Steps = slices.Concat(v.before, esp)
			patience := DefaultPatience()
			patience.ESP = 1
			r, err := s.RunOne(ctx, c, patience)
			if err != nil {
				t.Fatal(err)
			}
			if at := r.Delivery(c.Name, golden.Gateway); at.GotESP != 0 || at.GotIKE != at.WantIKE {
				t.Errorf("%d ESP and %d of %d IKE packets reached the gateway", at.GotESP, at.GotIKE, at.WantIKE)
			}
			checkDropped(t, ctx, d, v.reason, uint64(c.Count(golden.Client, golden.ESP)))
		})
	}
}

// checkDropped waits until a reason has its count; the hosts are done, but the
// router may not be.
func checkDropped(t *testing.T, ctx context.Context, d *Daemon, reason string, count uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var seen []DropRow
	if Poll(ctx, 50*time.Millisecond, func() bool {
		var rows []DropRow
		if err := d.Show(ctx, &rows, "drops"); err != nil {
			return false
		}
		seen = slices.DeleteFunc(rows, func(r DropRow) bool { return r.Count == 0 })
		return slices.Contains(seen, DropRow{reason, count})
	}) != nil {
		t.Errorf("%s is not %d: %+v", reason, count, seen)
	}
}
