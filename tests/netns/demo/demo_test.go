package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"spigate/tests/golden"
	"spigate/tests/netns"
)

func TestTheDemoShowsWhatItPromises(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "spigate")
	if out, err := exec.Command("go", "build", "-o", binary, "spigate/cmd/spigate").CombinedOutput(); err != nil {
		t.Fatalf("build spigate: %v\n%s", err, out)
	}
	var talk bytes.Buffer
	r, err := run(context.Background(), options{
		binary: binary, template: "../../../configs/examples/ipsec-passthrough.toml", rounds: 3,
	}, &talk)
	if err != nil || !r.OK {
		t.Fatalf("%v, faults %q\n%s", err, r.Faults, talk.String())
	}
	if len(r.Items) != 8 || r.FastHits == 0 || r.SlowHits == 0 {
		t.Errorf("%d items, %d fast, %d slow", len(r.Items), r.FastHits, r.SlowHits)
	}
	for _, words := range []string{"IKEv1", "IKEv2", "P2_HELD", "GATE_OPEN", "GATE_MATCH_IN", "GATE_MATCH_OUT", "is held", "OK: both clients"} {
		if !strings.Contains(talk.String(), words) {
			t.Errorf("the output does not say %q", words)
		}
	}
	if t.Failed() {
		t.Log(talk.String())
	}
}

func TestADemoWithoutARouterFails(t *testing.T) {
	r, err := run(context.Background(), options{
		binary: "/bin/false", template: "../../../configs/examples/ipsec-passthrough.toml",
	}, &bytes.Buffer{})
	if err == nil || r.OK {
		t.Errorf("OK=%v err=%v", r.OK, err)
	}
}

// conversations returns what two clients were sent, as the report sees it.
func conversations(t *testing.T) (golden.Conversation, golden.Conversation) {
	t.Helper()
	a, b, err := netns.Conversations(golden.IKEv2First, golden.IKEv2Second, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestTheVerdict(t *testing.T) {
	a, b := conversations(t)
	nat := netip.MustParseAddr("203.0.113.3")
	good := func() *netns.Result {
		return &netns.Result{Deliveries: []netns.Delivery{
			{Conversation: a.Name, At: golden.Gateway, Peer: netip.AddrPortFrom(nat, 1000)},
			{Conversation: b.Name, At: golden.Gateway, Peer: netip.AddrPortFrom(nat, 2000)},
		}}
	}
	for name, v := range map[string]struct {
		spoil func(*netns.Result)
		ok    bool
	}{
		"everything arrived":     {func(*netns.Result) {}, true},
		"a packet is missing":    {func(r *netns.Result) { r.Deliveries[0].Missing = a.Steps[:1] }, false},
		"a packet came twice":    {func(r *netns.Result) { r.Deliveries[1].Duplicates = 1 }, false},
		"a packet went astray":   {func(r *netns.Result) { r.Strays = []netns.Stray{{Owner: b.Name}} }, false},
		"the time ran out":       {func(r *netns.Result) { r.TimedOut = true }, false},
		"two NAT addresses":      {func(r *netns.Result) { r.Deliveries[1].Peer = netip.MustParseAddrPort("203.0.113.4:1") }, false},
		"one port for two peers": {func(r *netns.Result) { r.Deliveries[1].Peer = r.Deliveries[0].Peer }, false},
	} {
		t.Run(name, func(t *testing.T) {
			res := good()
			v.spoil(res)
			var r report
			r.add("act", res, a, b)
			r.settle()
			if r.OK != v.ok {
				t.Errorf("OK=%v, faults %q", r.OK, r.Faults)
			}
		})
	}
	var none report
	if none.settle(); none.OK {
		t.Error("a run without any act is OK")
	}
}

func TestAFailedRunListsWhatIsMissing(t *testing.T) {
	a, b := conversations(t)
	res := &netns.Result{Deliveries: []netns.Delivery{
		{Conversation: a.Name, At: golden.Gateway, Peer: netip.MustParseAddrPort("203.0.113.3:1"), Missing: a.Repeat(10).Steps},
		{Conversation: b.Name, At: golden.Gateway, Peer: netip.MustParseAddrPort("203.0.113.3:2")},
	}}
	var r report
	r.add("act", res, a, b)
	r.settle()
	var out bytes.Buffer
	newTeller(&out, false).verdict(&r)
	for _, words := range []string{"FAULT act: " + a.Name + ": missing at the gateway: client ESP spi=c97c56a5 seq=1", "more", "FAILED"} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("it does not say %q:\n%s", words, out.String())
		}
	}
	if n := strings.Count(out.String(), "\n"); n > maxFaults+10 {
		t.Errorf("%d lines", n)
	}
}

func TestTheJSONHasItsListsEvenWhenEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := (&report{}).write(&b); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["version"] != 1.0 || doc["items"] == nil || doc["faults"] == nil || doc["ok"] != false {
		t.Errorf("%s", b.String())
	}
}

func TestTheRoutersEventsInWords(t *testing.T) {
	for line, want := range map[string]string{
		`msg=ipsecalg event=P2_HELD src=192.0.2.12 nat=203.0.113.3 dst=203.0.113.254`:    "P2_HELD: a phase-2 message of client2 waits for the gate",
		`msg=ipsecalg event=GATE_MATCH_OUT src=192.0.2.11 spiin=- spiout=c84efe4e`:       "GATE_MATCH_OUT: SPI c84efe4e towards the gateway belongs to client1",
		`msg=ipsecalg event=GATE_RELEASE src=192.0.2.11 reason=two-way`:                  "GATE_RELEASE: client1 (two-way)",
		`msg=ipsecalg event=ESP_CREATED src=192.0.2.99 spiin=00000001 spiout=00000002 x`: "ESP_CREATED: session of 192.0.2.99, SPIs in 00000001 out 00000002",
		`msg=ready`: "",
	} {
		if got := algWords(netns.ParseLogLine(line)); got != want {
			t.Errorf("%s\n got %q\nwant %q", line, got, want)
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
