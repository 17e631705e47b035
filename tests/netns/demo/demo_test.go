package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"spigate/tests/golden"
	"spigate/tests/netns"
)

func TestTheDemoShowsWhatItPromises(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "spigate")
	if err := netns.Compile(binary); err != nil {
		t.Fatal(err)
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
	for _, words := range []string{"IKEv1", "IKEv2", "P2_HELD", "GATE_OPEN", "GATE_MATCH_IN", "GATE_MATCH_OUT", "is held", "OK: both clients",
		"CHILD UP: client2", "plain ESP", "show net ipsec sa", "aes-gcm-128"} {
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
			r := report{Live: goodLive()}
			r.add("act", res, a, b)
			r.settle()
			if r.OK != v.ok {
				t.Errorf("OK=%v, faults %q", r.OK, r.Faults)
			}
		})
	}
	none := report{Live: goodLive()}
	if none.settle(); none.OK {
		t.Error("a run without any act is OK")
	}
	var recorded report
	recorded.add("act", good(), a, b)
	if recorded.settle(); recorded.OK {
		t.Error("a run without the live act is OK")
	}
}

func goodLive() *liveReport {
	c := liveClient{Pings: 6, Answers: 5, BackPings: 5, BackAnswers: 5, BackBytes: 10, Bytes: 10, Rekeys: 1, IKERekeys: 1}
	return &liveReport{Clients: [2]liveClient{c, c}, Back: 0.1, Wire: wire{ESPOut: 10, ESPIn: 10, IKE: 8}}
}

func TestTheVerdictOfTheLiveAct(t *testing.T) {
	for name, spoil := range map[string]func(*liveReport){
		"":                                   func(*liveReport) {},
		"no answer to 6 pings":               func(l *liveReport) { l.Clients[1].Answers = 0 },
		"4 answers to 5 pings of the server": func(l *liveReport) { l.Clients[0].BackAnswers = 4 },
		"TCP did not come through":           func(l *liveReport) { l.Clients[1].Bytes = 0 },
		"10 bytes, 0 of the server":          func(l *liveReport) { l.Clients[1].BackBytes = 0 },
		"its keys were never new":            func(l *liveReport) { l.Clients[0].Rekeys = 0 },
		"its IKE SA was never new":           func(l *liveReport) { l.Clients[1].IKERekeys = 0 },
		"client1 did not come back":          func(l *liveReport) { l.Back = 0 },
		"no plain ESP passed":                func(l *liveReport) { l.Wire.ESPIn = 0 },
		"3 packets on port 4500":             func(l *liveReport) { l.Wire.NATT = 3 },
		"1 packets that are neither":         func(l *liveReport) { l.Wire.Other = 1 },
		"counters":                           func(l *liveReport) { l.extra = []string{"the sessions' counters"} },
	} {
		l := goodLive()
		spoil(l)
		got := strings.Join(l.faults(), "; ")
		if (got == "") != (name == "") || !strings.Contains(got, name) {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// packet is an IPv4 packet that arrived.
func packet(src, dst netip.Addr, proto byte) netns.Captured {
	b := make([]byte, 42)
	b[12], b[23] = 0x08, proto
	copy(b[26:], src.AsSlice())
	copy(b[30:], dst.AsSlice())
	return netns.Captured{Frame: b}
}

func TestTheCableIsSortedOut(t *testing.T) {
	nat, gw, inner := netns.NATAddress, netns.Remote.Addr(), netns.Host1
	onPort := func(f netns.Captured, at int, port uint16) netns.Captured {
		binary.BigEndian.PutUint16(f.Frame[at:], port)
		return f
	}
	sent := packet(nat, gw, protoESP)
	sent.Sent = true
	arp := packet(nat, gw, protoESP)
	arp.Frame[13] = 6
	got := sortOut([]netns.Captured{
		packet(nat, gw, protoESP), packet(gw, nat, protoESP), packet(gw, nat, protoESP), sent, arp,
		onPort(packet(nat, gw, protoUDP), 36, 500), onPort(packet(gw, nat, protoUDP), 34, 500),
		onPort(packet(nat, gw, protoUDP), 36, 4500), packet(nat, gw, protoUDP),
		packet(inner, gw, protoESP), packet(inner, netns.Server, 6),
	})
	if want := (wire{ESPOut: 1, ESPIn: 2, IKE: 2, NATT: 1, Other: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
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
