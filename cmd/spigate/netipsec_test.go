package main

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/cmd/internal/control"
)

func word(text string) *string { return &text }

func in(s control.Seconds) *control.Seconds { return &s }

// tunnelErrors are all words of errors, some of them counted.
func tunnelErrors(counted control.NetIPsecErrors) control.NetIPsecErrors {
	out := control.NetIPsecErrors{"frame_too_big": 0, "fragment": 0, "sa_expired": 0, "seq_exhausted": 0, "esp_malformed": 0, "replay": 0, "icv": 0,
		"esp_padding": 0, "esp_next_header": 0, "inner_malformed": 0, "ecn_invalid": 0, "selector_reject": 0}
	maps.Copy(out, counted)
	return out
}

func (h *house) NetIPsecSAs() []control.NetIPsecSA {
	if h.empty || h.idle {
		return nil
	}
	natt, left := uint16(4500), uint64(123_456_789)
	out := control.NetIPsecSA{
		SPI: 0xc3a1b2d4, Direction: control.DirectionOut, State: control.StateMature, Selectors: control.Words{"my-nat-selector"}, Policy: "Rio", Peer: word("gw2"), Mode: "tunnel",
		LocalIP: ip("198.51.100.1"), LocalPort: &natt, RemoteIP: ip("198.51.100.200"), RemotePort: &natt, Suite: "aes-gcm-128", ESN: true,
		Traffic: []control.NetIPsecPair{{Local: "10.1.1.0/24", LocalPort: "any", Remote: "192.168.15.2/32", RemotePort: "80", Protocol: "TCP"},
			{Local: "10.1.1.0/24", LocalPort: "any", Remote: "192.168.15.3-192.168.15.9", RemotePort: "any", Protocol: "any"}},
		Age: 725, Idle: 0.3, Rekey: in(2300), Expires: in(2875), Packets: 120_345, Bytes: 98_765_432, BytesLeft: &left, Sequence: 4_294_967_300,
		Errors: tunnelErrors(control.NetIPsecErrors{"frame_too_big": 3}), Dummies: 0,
	}
	back := out
	back.SPI, back.Direction, back.Window, back.Sequence, back.Packets, back.Bytes = 0x1000, control.DirectionIn, 64, 99, 98, 12_345
	back.Errors, back.Dummies = tunnelErrors(control.NetIPsecErrors{"replay": 7, "icv": 2}), 1
	old := back
	old.SPI, old.State, old.Age, old.Idle, old.Rekey = 0xdeadbeef, control.StateDying, 3600, 75, nil
	manual := control.NetIPsecSA{
		SPI: 0x3001, Direction: control.DirectionOut, State: control.StateMature, Selectors: control.Words{"branch-1", "branch-2"}, Policy: "By-hand", Mode: "transport",
		LocalIP: ip("203.0.113.1"), RemoteIP: ip("203.0.113.200"), Suite: "aes-cbc-256+hmac-sha2-256-128", Manual: true,
		Traffic: []control.NetIPsecPair{{Local: "203.0.113.1/32", LocalPort: "any", Remote: "203.0.113.200/32", RemotePort: "any", Protocol: "any"}},
		Age:     90061, Idle: 90061, TD: 7, Errors: tunnelErrors(nil),
	}
	return []control.NetIPsecSA{out, back, old, manual}
}

func (h *house) NetIPsecSelectors() []control.NetIPsecSelector {
	if h.empty {
		return nil
	}
	lan := control.NetIPsecSelector{
		Name: "my-nat-selector", Order: 10, Source: "10.1.1.0/24", SrcPort: "any", Dest: "192.168.15.2/32", DstPort: "80", Protocol: "TCP", Direction: "both", Action: "protect",
		State: word(control.StateUp), Policy: word("Rio"), Mode: word("tunnel"), Peer: word("gw2"), SPIsIn: []control.SPI{0x1000, 0xdeadbeef}, SPIsOut: []control.SPI{0xc3a1b2d4},
		PacketsIn: 98, BytesIn: 12_345, PacketsOut: 120_345, BytesOut: 98_765_432, NoSA: 4, SelectorReject: 5, Errors: tunnelErrors(control.NetIPsecErrors{"replay": 7, "icv": 2}),
	}
	if h.idle {
		lan.State, lan.SPIsIn, lan.SPIsOut = word(control.StateNegotiating), nil, nil
	}
	if h.up != nil && h.up() {
		lan.State = word(control.StateUp)
	}
	return []control.NetIPsecSelector{
		lan,
		{Name: "all", Order: 20, Source: "0.0.0.0/0", SrcPort: "any", Dest: "0.0.0.0/0", DstPort: "any", Protocol: "any", Direction: "both", Action: "protect",
			State: word(control.StateDown), Policy: word("Rio-if"), Mode: word("interface"), Peer: word("gw3"), Tunnel: word("ipsec-tunnel"), Waits: true, NoSA: 1, Errors: tunnelErrors(nil)},
		{Name: "open", Order: 30, Source: "10.0.0.0/8", SrcPort: "any", Dest: "10.0.0.0/8", DstPort: "any", Protocol: "any", Direction: "out", Action: "bypass", Bypassed: 77, Errors: tunnelErrors(nil)},
		{Name: "shut", Order: 40, Source: "10.0.0.0/8", SrcPort: "any", Dest: "172.16.0.0/12", DstPort: "any", Protocol: "any", Direction: "in", Action: "discard", Discarded: 6, Errors: tunnelErrors(nil)},
		{Name: "branch-1", Source: "203.0.113.1/32", SrcPort: "any", Dest: "203.0.113.200/32", DstPort: "any", Protocol: "any", Direction: "both", Action: "protect", TD: 7,
			State: word(control.StateDown), Policy: word("By-hand"), Mode: word("transport"), Manual: true, SPIsOut: []control.SPI{0x3001}, Errors: tunnelErrors(nil)},
	}
}

func (h *house) NetIPsecPeers() []control.NetIPsecPeer {
	if h.empty {
		return nil
	}
	up := control.NetIPsecIKE{
		State: control.StateUp, Role: "initiator", SPIi: "0011223344556677", SPIr: "8899aabbccddeeff", LocalIP: ip("198.51.100.1"), LocalPort: 4500,
		RemoteIP: ip("198.51.100.200"), RemotePort: 4500, Identity: word("gw2.example"), Suite: word("aes128-gcm-prfsha256-x25519"), NATHere: true,
		Age: 730, Rekey: in(11_000), Expires: in(13_670), Quiet: 12, Children: []control.NetIPsecChild{
			{Selector: "my-nat-selector", State: control.StateUp, SPIIn: 0x1000, SPIOut: 0xc3a1b2d4, Suite: "aes-gcm-128", UDP: true, Rekey: in(2300), Expires: in(2875)},
			{Selector: "my-nat-selector", State: "closing", SPIIn: 0xdeadbeef, SPIOut: 0x2001, Suite: "aes-gcm-128"}},
	}
	refused := &control.NetIPsecLastError{Event: "IKE FAILED", Reason: "the other end says AUTHENTICATION_FAILED",
		Remedy: "use the same pre-shared key on both ends, and check that the other end expects gw1.example and is gw3.example", Ago: 3.2}
	if h.broken != nil {
		refused = h.broken
	}
	return []control.NetIPsecPeer{
		{Name: "gw2", State: control.StateUp, LocalIP: control.Addr{Addr: ip("198.51.100.1")}, RemoteIP: control.Addr{Addr: ip("198.51.100.200")}, LocalID: "gw1.example", RemoteID: "gw2.example",
			Selectors: control.Words{"my-nat-selector"}, IKESAs: []control.NetIPsecIKE{up},
			LastError: &control.NetIPsecLastError{Event: "CHILD FAILED", Selector: word("my-nat-selector"), Reason: "the other end says TS_UNACCEPTABLE", Remedy: "compare the selectors of both ends", Ago: 740, Over: true}},
		{Name: "gw3", State: control.StateNegotiating, LocalIP: control.Addr{Addr: ip("198.51.100.1")}, RemoteIP: control.Addr{Addr: ip("198.51.100.201")}, LocalID: "gw1.example", RemoteID: "gw3.example",
			Selectors: control.Words{"all"}, LastError: refused,
			IKESAs: []control.NetIPsecIKE{{State: "init", Role: "initiator", SPIi: "0123456789abcdef", SPIr: "0000000000000000", LocalIP: ip("198.51.100.1"), LocalPort: 500,
				RemoteIP: ip("198.51.100.201"), RemotePort: 500, Age: 1, Quiet: 1}}},
		{Name: "road", TD: 7, State: control.StateDown, LocalIP: control.Addr{Addr: ip("203.0.113.1")}, LocalID: "gw1.example", RemoteID: "any", Passive: true, Selectors: control.Words{"branch-9"}},
	}
}

func (h *house) NetIPsecStats() []control.NetIPsecStat {
	if h.empty {
		return nil
	}
	return []control.NetIPsecStat{{SAs: 3, Selectors: 4, IKESAs: 2,
		Out: map[string]uint64{"sealed": 120_345, "held": 2, "no_sa": 3, "frame_too_big": 3, "fragment": 0, "inner_malformed": 0, "sa_expired": 0, "seq_exhausted": 0, "selector_discard": 0},
		In: map[string]uint64{"opened": 98, "no_sa": 12, "esp_malformed": 0, "replay": 7, "icv": 2, "esp_padding": 0, "esp_next_header": 0, "inner_malformed": 0, "ecn_invalid": 0,
			"esp_dummy": 1, "selector_reject": 0, "undecided": 0, "sa_expired": 0},
		Clear: map[string]uint64{"bypassed": 77, "selector_miss": 8, "selector_discard": 6, "selector_reject": 5},
		IKE: map[string]uint64{"received": 40, "sent": 41, "lost": 0, "malformed": 0, "unknown": 1, "bad_integrity": 0, "duplicates": 0, "retransmits": 2, "cookies_asked": 0,
			"half_open_refused": 0, "ike_ups": 1, "child_ups": 2, "ike_rekeys": 0, "child_rekeys": 1, "failures": 1},
	}, {TD: 7, SAs: 1, Selectors: 1}}
}

func (h *house) asked(what string, f control.Filter) (control.NetIPsecAsked, error) {
	h.flushed = append(h.flushed, what+" "+f.Values().Encode())
	switch {
	case h.refuses != nil:
		return control.NetIPsecAsked{}, h.refuses
	case f.Selector != "":
		return control.NetIPsecAsked{Selectors: control.Words{f.Selector}}, nil
	case f.Name == "gw2":
		return control.NetIPsecAsked{Peers: control.Words{"gw2"}}, nil
	case f.Name != "":
		return control.NetIPsecAsked{Selectors: control.Words{f.Name}}, nil
	case h.empty:
		return control.NetIPsecAsked{}, nil
	}
	return control.NetIPsecAsked{Peers: control.Words{"gw2", "gw3"}}, nil
}

func (h *house) FlushNetIPsec(f control.Filter) (control.NetIPsecAsked, error) {
	return h.asked("flush", f)
}

func (h *house) RekeyNetIPsecPeer(f control.Filter) (control.NetIPsecAsked, error) {
	return h.asked("rekey peer", f)
}

func (h *house) RekeyNetIPsecSelector(f control.Filter) (control.NetIPsecAsked, error) {
	return h.asked("rekey", f)
}

func (h *house) InitiateNetIPsec(f control.Filter) (control.NetIPsecAsked, error) {
	return h.asked("initiate", f)
}

func TestTunnelsWithAllTheirProperties(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for name, words := range map[string]string{
		"net-ipsec-sa-all.txt":   "show net ipsec ipsec-sa --all-properties",
		"net-ipsec-peer-all.txt": "show net ipsec ike-sa --all-properties",
		"net-ipsec-stat-all.txt": "show net ipsec stat --all",
		"net-ipsec-sa-in.txt":    "show net ipsec sa --selector my-nat-selector --dest-ip 198.51.100.200 --spi 1000 --peer gw2 --td 0",
	} {
		code, stdout, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, stderr %q", words, code, stderr)
		}
		golden(t, name, stdout)
	}
}

func TestEveryCounterOfTunnelsIsExplained(t *testing.T) {
	for _, s := range (&house{}).NetIPsecStats()[:1] {
		for _, l := range tunnelLines(&s) {
			if l.counts == "" {
				t.Errorf("%s counts what?", l.name)
			}
		}
	}
}

func TestTheWordsOfTmshAreUnderstood(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for ours, theirs := range map[string]string{
		"show net ipsec sa":       "show net ipsec ipsec-sa",
		"show net ipsec selector": "show net ipsec traffic-selector",
		"show net ipsec peer":     "show net ipsec ike-sa",
		"show net ipsec stat":     "show net ipsec ipsec-stat",
	} {
		_, a, _ := spigate(t, append(strings.Fields(ours), "--socket", socket)...)
		code, b, _ := spigate(t, append(strings.Fields(theirs), "--socket", socket)...)
		if a != b || code != exitOK {
			t.Errorf("%s, exit %d: %s", theirs, code, cmp.Diff(a, b))
		}
	}
}

func TestWithoutTunnelsAMessageSaysWhatIsMissing(t *testing.T) {
	nothing, _ := daemon(t, &house{empty: true})
	idle, _ := daemon(t, &house{idle: true})
	for _, c := range []struct{ socket, words, says string }{
		{nothing, "show net ipsec sa", "no IPsec tunnel is configured"},
		{nothing, "show net ipsec selector", "no IPsec tunnel is configured"},
		{nothing, "show net ipsec peer", "no IPsec tunnel is configured"},
		{idle, "show net ipsec sa", `"spigate show net ipsec peer" tells why`},
		{nothing, "show net ipsec sa --json", ""},
	} {
		code, stdout, stderr := spigate(t, append(strings.Fields(c.words), "--socket", c.socket)...)
		if code != exitOK || stdout == "" || !strings.Contains(stderr, c.says) || (c.says == "") != (stderr == "") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", c.words, code, stdout, stderr)
		}
	}
}

func TestNamesOfTunnelsThatAreNotThereAreExit4(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for words, says := range map[string]string{
		"show net ipsec sa --selector my-nat-selectr": `no net ipsec selector "my-nat-selectr"; did you mean "my-nat-selector"?`,
		"show net ipsec sa --peer gw9":                "no net ipsec peer",
		"show net ipsec selector gw2":                 "no net ipsec selector",
		"show net ipsec peer my-nat-selector":         "no net ipsec peer",
		"show net ipsec peer road --td 0":             "no net ipsec peer",
		"flush net ipsec sa --peer gw9":               "no net ipsec peer",
		"rekey net ipsec peer gw9":                    "no net ipsec peer",
		"rekey net ipsec selector gw2":                "no net ipsec selector",
		"initiate net ipsec selector gw2":             "no net ipsec selector",
	} {
		code, stdout, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...)
		if code != exitNotFound || stdout != "" || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit %d, %q, %q", words, code, stdout, stderr)
		}
	}
	for _, words := range []string{"show net ipsec sa --spi xyz", "rekey net ipsec peer", "initiate net ipsec selector a b", "flush net ipsec sa gw2",
		"show net ipsec", "flush net ipsec sa --peer gw2 --selector all", "show net ipsec sas"} {
		if code, _, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...); code != exitUsage {
			t.Errorf("%s: exit %d, %q", words, code, stderr)
		}
	}
}

func TestWhatAnOperatorDoesToTunnelsIsAskedAndTold(t *testing.T) {
	for _, c := range []struct{ words, asked, text string }{
		{"flush net ipsec sa", "flush ", "flushed: SAs of peers gw2, gw3\n"},
		{"flush net ipsec ipsec-sa --selector all --td 0", "flush selector=all&td=0", "flushed: SAs of selector all\n"},
		{"rekey net ipsec peer gw2", "rekey peer name=gw2", "rekeying: peer gw2\n"},
		{"rekey net ipsec selector all", "rekey name=all", "rekeying: selector all\n"},
		{"initiate net ipsec selector all --wait 0s", "initiate name=all", "initiating: selector all\n"},
		{"initiate net ipsec selector my-nat-selector", "initiate name=my-nat-selector", "up: selector my-nat-selector\n"},
	} {
		h := &house{}
		socket, _ := daemon(t, h)
		code, stdout, stderr := spigate(t, append(strings.Fields(c.words), "--socket", socket)...)
		if code != exitOK || stdout != c.text || stderr != "" || !slices.Equal(h.flushed, []string{c.asked}) {
			t.Errorf("%s: exit %d, %q, stderr %q, asked %q", c.words, code, stdout, stderr, h.flushed)
		}
	}
	socket, _ := daemon(t, &house{})
	if _, text, _ := spigate(t, "rekey", "net", "ipsec", "peer", "gw2", "--json", "--socket", socket); text != "{\"version\":1,\"items\":[\n{\"peers\":[\"gw2\"],\"selectors\":[]}\n]}\n" {
		t.Errorf("--json: %s", text)
	}
	quiet, _ := daemon(t, &house{empty: true})
	if code, text, _ := spigate(t, "flush", "net", "ipsec", "sa", "--socket", quiet); code != exitOK || text != "flushed: SAs of nobody: no peer negotiates any\n" {
		t.Errorf("a flush of nothing: exit %d, %q", code, text)
	}
}

func TestInitiateWaitsUntilTheTunnelIsUpOrTellsWhatToDo(t *testing.T) {
	looks := 0
	later := &house{idle: true, up: func() bool { looks++; return looks > 4 }}
	socket, _ := daemon(t, later)
	if code, stdout, stderr := spigate(t, "initiate", "net", "ipsec", "selector", "my-nat-selector", "--socket", socket); code != exitOK || stdout != "up: selector my-nat-selector\n" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	// What failed before was not this time's.
	wrong := &house{idle: true}
	socket, _ = daemon(t, wrong)
	code, stdout, stderr := spigate(t, "initiate", "net", "ipsec", "selector", "my-nat-selector", "--wait", "300ms", "--socket", socket)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "is not up after 300ms") {
		t.Errorf("in vain: exit %d, %q, %q", code, stdout, stderr)
	}
	now := &house{idle: true, broken: &control.NetIPsecLastError{Event: "IKE FAILED", Reason: "no answer", Remedy: "check the way"}}
	socket, _ = daemon(t, now)
	code, stdout, stderr = spigate(t, "initiate", "net", "ipsec", "selector", "all", "--socket", socket)
	if code != exitFailed || stdout != "" || stderr != "spigate: IKE FAILED: no answer\n  To do: check the way\n" {
		t.Errorf("failed: exit %d, %q, %q", code, stdout, stderr)
	}
	refuses := &house{refuses: &control.Error{Message: `traffic selector "all": no IKE peer negotiates for it`, Code: control.CodeBadRequest}}
	socket, _ = daemon(t, refuses)
	if code, _, stderr := spigate(t, "initiate", "net", "ipsec", "selector", "all", "--socket", socket); code != exitFailed || !strings.Contains(stderr, "no IKE peer negotiates") {
		t.Errorf("refused: exit %d, %q", code, stderr)
	}
	if code := execute(t.Context(), []string{"initiate", "net", "ipsec", "selector", "all", "--socket", socket + "x"}, io.Discard, io.Discard, false); code != exitNoDaemon {
		t.Errorf("no daemon: exit %d", code)
	}
}
