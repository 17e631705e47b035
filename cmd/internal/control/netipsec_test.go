package control

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func name(text string) *string { return &text }

func (b *fake) NetIPsecSAs() []NetIPsecSA {
	left := Seconds(60)
	sa := NetIPsecSA{
		SPI: 0x1001, Direction: DirectionOut, State: StateMature, Selectors: Words{"lan"}, Policy: "Rio", Peer: name("gw2"), Mode: "tunnel",
		LocalIP: ip("198.51.100.1"), LocalPort: number16(4500), RemoteIP: ip("198.51.100.200"), RemotePort: number16(4500), Suite: "aes-gcm-128", ESN: true,
		Traffic: []NetIPsecPair{{"10.1.1.0/24", "any", "192.168.15.0/24", "80", "TCP"}}, Age: 5, Idle: 1, Expires: &left,
		Packets: 3, Bytes: 300, Sequence: 3, Errors: NetIPsecErrors{"icv": 2, "replay": 0},
	}
	in := sa
	in.SPI, in.Direction, in.Window = 0x2002, DirectionIn, 64
	manual := sa
	manual.SPI, manual.Peer, manual.Manual, manual.Selectors, manual.RemoteIP, manual.TD = 0x3003, nil, true, Words{"a", "b"}, ip("198.51.100.9"), 7
	return []NetIPsecSA{sa, in, manual}
}

func (b *fake) NetIPsecSelectors() []NetIPsecSelector {
	return []NetIPsecSelector{
		{Name: "lan", Order: -1, Action: "protect", State: name(StateUp), Policy: name("Rio"), Mode: name("tunnel"), Peer: name("gw2"), SPIsIn: []SPI{0x2002}, SPIsOut: []SPI{0x1001},
			PacketsOut: 3, NoSA: 4, Errors: NetIPsecErrors{"icv": 2}},
		{Name: "open", Action: "bypass", Bypassed: 5},
		{Name: "b", Action: "protect", Manual: true, TD: 7},
	}
}

func (b *fake) NetIPsecPeers() []NetIPsecPeer {
	rekey := Seconds(10)
	return []NetIPsecPeer{
		{Name: "gw2", State: StateUp, LocalIP: Addr{ip("198.51.100.1")}, Selectors: Words{"lan"}, LastError: &NetIPsecLastError{Event: "IKE FAILED", Reason: "r", Remedy: "m", Ago: 3, Over: true},
			IKESAs: []NetIPsecIKE{{State: StateUp, Role: "initiator", SPIi: "0011223344556677", LocalIP: ip("198.51.100.1"), RemoteIP: ip("198.51.100.200"), Identity: name("gw2.example"), Rekey: &rekey,
				Children: []NetIPsecChild{{Selector: "lan", State: StateUp, SPIIn: 0x2002, SPIOut: 0x1001, UDP: true}}}}},
		{Name: "gw3", State: StateDown, TD: 7},
		{Name: "hub/198.51.100.1", State: StateDown}, {Name: "hub/198.51.100.2", State: StateDown},
	}
}

func (b *fake) NetIPsecStats() []NetIPsecStat {
	return []NetIPsecStat{{SAs: 2, In: map[string]uint64{"no_sa": 1}}, {TD: 7}}
}

func (b *fake) FlushNetIPsec(f Filter) (NetIPsecAsked, error)         { return b.ask("flush", f) }
func (b *fake) RekeyNetIPsecPeer(f Filter) (NetIPsecAsked, error)     { return b.ask("rekey peer", f) }
func (b *fake) RekeyNetIPsecSelector(f Filter) (NetIPsecAsked, error) { return b.ask("rekey", f) }
func (b *fake) InitiateNetIPsec(f Filter) (NetIPsecAsked, error)      { return b.ask("initiate", f) }

func (b *fake) ask(what string, f Filter) (NetIPsecAsked, error) {
	b.flushed = append(b.flushed, what+" "+f.Values().Encode())
	return NetIPsecAsked{Peers: Words{"gw2"}, Selectors: Words{}}, nil
}

func TestTunnelsComeOverTheSocketWhole(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	ctx := t.Context()
	same := func(name string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, byValue()); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	same("SAs", b.NetIPsecSAs(), collect(t, c.NetIPsecSAs(ctx, Filter{})))
	same("selectors", b.NetIPsecSelectors(), collect(t, c.NetIPsecSelectors(ctx, Filter{})))
	same("peers", b.NetIPsecPeers(), collect(t, c.NetIPsecPeers(ctx, Filter{})))
	same("stats", b.NetIPsecStats(), collect(t, c.NetIPsecStats(ctx, Filter{})))
}

func TestTunnelsAreFiltered(t *testing.T) {
	c, _ := serve(t, &fake{})
	ctx := t.Context()
	for _, x := range []struct {
		by   []string
		want string
	}{
		{nil, "00001001 00002002 00003003"},
		{[]string{BySelector, "lan"}, "00001001 00002002"},
		{[]string{BySelector, "b"}, "00003003"},
		{[]string{ByPeer, "gw2"}, "00001001 00002002"},
		{[]string{ByPeer, "gw3"}, ""},
		{[]string{BySPI, "2002"}, "00002002"},
		{[]string{BySPI, "0x00003003"}, "00003003"},
		{[]string{ByDestIP, "198.51.100.9"}, "00003003"},
		{[]string{ByTD, "7"}, "00003003"},
		{[]string{ByTD, "7", BySPI, "1001"}, ""},
	} {
		var got []string
		for _, sa := range collect(t, c.NetIPsecSAs(ctx, filterOf(t, x.by...))) {
			got = append(got, sa.SPI.String())
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%v: %v, want %s", x.by, got, x.want)
		}
	}
	selectors := func(by ...string) (out []string) {
		for _, s := range collect(t, c.NetIPsecSelectors(ctx, filterOf(t, by...))) {
			out = append(out, s.Name)
		}
		return out
	}
	if a, b, c := selectors(ByPeer, "gw2"), selectors(ByName, "open"), selectors(ByTD, "7"); !slices.Equal(a, []string{"lan"}) || !slices.Equal(b, []string{"open"}) || !slices.Equal(c, []string{"b"}) {
		t.Errorf("selectors %v %v %v", a, b, c)
	}
	if p := collect(t, c.NetIPsecPeers(ctx, filterOf(t, ByName, "gw3"))); len(p) != 1 || p[0].TD != 7 {
		t.Errorf("peers %+v", p)
	}
	if p := collect(t, c.NetIPsecPeers(ctx, filterOf(t, ByName, "hub"))); len(p) != 2 {
		t.Errorf("a peer at two addresses: %+v", p)
	}
	if p := collect(t, c.NetIPsecPeers(ctx, filterOf(t, ByName, "hub/198.51.100.2"))); len(p) != 1 {
		t.Errorf("one of them: %+v", p)
	}
	if s := collect(t, c.NetIPsecStats(ctx, filterOf(t, ByTD, "7"))); len(s) != 1 || s[0].TD != 7 {
		t.Errorf("stats %+v", s)
	}
	for says, rows := range map[string]error{
		`no net ipsec selector "lam"; did you mean "lan"?`:                                failure(t, c.NetIPsecSAs(ctx, Filter{Selector: "lam"})),
		`no net ipsec peer "gw"; did you mean "gw2"?`:                                     failure(t, c.NetIPsecSAs(ctx, Filter{Peer: "gw"})),
		`no net ipsec selector "opem"; did you mean "open"?`:                              failure(t, c.NetIPsecSelectors(ctx, Filter{Name: "opem"})),
		`no net ipsec peer "nobody"; known: gw2, gw3, hub/198.51.100.1, hub/198.51.100.2`: failure(t, c.NetIPsecPeers(ctx, Filter{Name: "nobody"})),
	} {
		if !IsNotFound(rows) || rows.Error() != says {
			t.Errorf("%v, want %s", rows, says)
		}
	}
}

func TestAnSPIIsHexDigits(t *testing.T) {
	for _, wrong := range []string{"", "0", "xyz", "123456789", "-1"} {
		var f Filter
		if err := f.Set(BySPI, wrong); err == nil {
			t.Errorf("%q: %v", wrong, f.SPI)
		}
	}
}

func TestWhatAnOperatorSaysOfTunnelsIsPassedOn(t *testing.T) {
	b := &fake{}
	c, socket := serve(t, b)
	ctx := t.Context()
	type op func(*Client, context.Context, Filter) (NetIPsecAsked, error)
	for _, x := range []struct {
		do    op
		f     Filter
		asked string // "": refused
		says  string
	}{
		{(*Client).FlushNetIPsec, Filter{}, "flush ", ""},
		{(*Client).FlushNetIPsec, Filter{Selector: "lan"}, "flush selector=lan", ""},
		{(*Client).FlushNetIPsec, Filter{Peer: "gw2", TD: number16(0)}, "flush peer=gw2&td=0", ""},
		{(*Client).FlushNetIPsec, Filter{Selector: "lam"}, "", `no net ipsec selector "lam"; did you mean "lan"?`},
		{(*Client).FlushNetIPsec, Filter{Peer: "gw2", TD: number16(7)}, "", `no net ipsec peer "gw2"; did you mean "gw3"?`},
		{(*Client).RekeyNetIPsecPeer, Filter{Name: "gw2"}, "rekey peer name=gw2", ""},
		{(*Client).RekeyNetIPsecPeer, Filter{Name: "lan"}, "", `no net ipsec peer "lan"; known: gw2, gw3, hub/198.51.100.1, hub/198.51.100.2`},
		{(*Client).RekeyNetIPsecPeer, Filter{}, "", "net ipsec peer: a name is missing"},
		{(*Client).RekeyNetIPsecSelector, Filter{Name: "lan"}, "rekey name=lan", ""},
		{(*Client).RekeyNetIPsecSelector, Filter{}, "", "net ipsec selector: a name is missing"},
		{(*Client).InitiateNetIPsec, Filter{Name: "b"}, "initiate name=b", ""},
		{(*Client).InitiateNetIPsec, Filter{Name: "b", TD: number16(0)}, "", `no net ipsec selector "b"; known: lan, open`},
		{(*Client).InitiateNetIPsec, Filter{}, "", "net ipsec selector: a name is missing"},
	} {
		b.flushed = nil
		got, err := x.do(c, ctx, x.f)
		if x.says != "" {
			if err == nil || err.Error() != x.says || b.flushed != nil {
				t.Errorf("%+v: %v, want %s; done %q", x.f, err, x.says, b.flushed)
			}
			continue
		}
		if err != nil || !slices.Equal(b.flushed, []string{x.asked}) || !slices.Equal(got.Peers, Words{"gw2"}) {
			t.Errorf("%+v: %+v %v, done %q, want %q", x.f, got, err, b.flushed, x.asked)
		}
	}

	// Looking changes nothing, and a filter that is not an operation's is refused.
	b.flushed = nil
	for _, path := range []string{pathNetIPsecFlush, pathNetIPsecRekeyPeer, pathNetIPsecRekeySelector, pathNetIPsecInitiate} {
		for method, query := range map[string]url.Values{http.MethodGet: {}, http.MethodPost: {"dest_ip": {"198.51.100.9"}}} {
			r, err := http.NewRequestWithContext(ctx, method, "http://spigate"+path+"?"+query.Encode(), nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := plainClient(socket).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode/100 != 4 {
				t.Errorf("%s %s: %s %s", method, path, answer.Status, text)
			}
		}
	}
	if b.flushed != nil {
		t.Errorf("done: %q", b.flushed)
	}
}
