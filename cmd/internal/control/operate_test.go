package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAFlushIsDoneOnceWithItsFilterAndTellsHowManyWent(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	ipsec, err := c.FlushIPsec(t.Context(), filterOf(t, BySourceIP, "192.0.2.10", ByNATIP, "*", ByDestIP, "198.51.100.9"))
	if err != nil || ipsec != (IPsecFlushed{2, 1, 3}) {
		t.Errorf("got %+v, %v", ipsec, err)
	}
	lsn, err := c.FlushLSN(t.Context(), filterOf(t, ByNetwork, "192.0.2.0/24", ByNATPort, "6234", ByClient, "LSN-CLIENT-1", ByTD, "0"))
	if err != nil || lsn != (LSNFlushed{5, 4}) {
		t.Errorf("got %+v, %v", lsn, err)
	}
	all, err := c.FlushLSN(t.Context(), Filter{})
	if err != nil || all != lsn {
		t.Errorf("got %+v, %v", all, err)
	}
	want := []string{
		"ipsecalg dest_ip=198.51.100.9&source_ip=192.0.2.10",
		"lsn client=LSN-CLIENT-1&nat_port=6234&network=192.0.2.0%2F24&td=0",
		"lsn ",
	}
	if diff := cmp.Diff(want, b.flushed); diff != "" {
		t.Errorf("(-asked +done):\n%s", diff)
	}
}

func TestTheLogSaysReadablyWhatAnOperatorDid(t *testing.T) {
	var log bytes.Buffer
	socket := newSocket(t)
	runServer(t, New(&fake{}, slog.New(slog.NewTextHandler(&log, nil))), socket)
	c := NewClient(socket)
	if _, err := c.FlushLSN(t.Context(), filterOf(t, ByNetwork, "192.0.2.0/24", ByNATPort, "6234")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ClearIPsecStat(t.Context(), "", ClearFull); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`filter="nat_port=6234&network=192.0.2.0/24"`, `done="{\"sessions\":5,\"mappings\":4}"`, `\"esp_no_gate_in\":`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "0xc0") || strings.Contains(log.String(), "<nil>") {
		t.Errorf("pointers:\n%s", log.String())
	}
}

func TestAFlushOfAnUnknownClientIsNotFound(t *testing.T) {
	b := &fake{}
	c, _ := serve(t, b)
	if _, err := c.FlushLSN(t.Context(), Filter{Client: "NOBODY"}); !IsNotFound(err) || len(b.flushed) != 0 {
		t.Errorf("got %v, flushed %v", err, b.flushed)
	}
}

func TestAFlushThatIsNotAskedForProperlyChangesNothing(t *testing.T) {
	b := &fake{}
	_, socket := serve(t, b)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code, says         string
	}{
		"looking":             {"GET", pathIPsecFlush, "", 405, CodeMethod, "method GET is not allowed here, want POST"},
		"another method":      {"DELETE", pathLSNFlush, "", 405, CodeMethod, "want POST"},
		"HEAD":                {"HEAD", pathLSNFlush, "", 405, "", ""},
		"changing a view":     {"POST", pathIPsecSessions, "", 405, CodeMethod, "want GET"},
		"filter in the body":  {"POST", pathIPsecFlush, "source_ip=192.0.2.10", 400, CodeBadRequest, "body must be empty"},
		"unknown filter":      {"POST", pathIPsecFlush + "?natip=203.0.113.3", "", 400, CodeBadRequest, `"natip" is not one of this view's`},
		"filter of a view":    {"POST", pathIPsecFlush + "?client=LSN-CLIENT-1", "", 400, CodeBadRequest, `"client" is not one`},
		"session of the NAT":  {"POST", pathLSNFlush + "?dest_ip=198.51.100.9", "", 400, CodeBadRequest, `"dest_ip" is not one`},
		"filter without text": {"POST", pathLSNFlush + "?nat_ip=", "", 400, CodeBadRequest, "not an IPv4 address"},
		"nobody's address":    {"POST", pathIPsecFlush + "?source_ip=0.0.0.0", "", 400, CodeBadRequest, "nobody's address"},
		"filter twice":        {"POST", pathLSNFlush + "?nat_port=1&nat_port=2", "", 400, CodeBadRequest, "2 times"},
		"below a flush":       {"POST", pathLSNFlush + "/all", "", 404, CodeUnknownPath, "no such"},
	} {
		status, header, body := raw(t, socket, c.method, c.path, strings.NewReader(c.body))
		var e Error
		if err := json.Unmarshal([]byte(body), &e); err != nil && c.method != http.MethodHead {
			t.Errorf("%s: %q: %v", name, body, err)
		}
		if status != c.status || e.Code != c.code || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s: %d %+v, want %d %s", name, status, e, c.status, c.code)
		}
		if status == http.StatusMethodNotAllowed && header.Get("Allow") == "" {
			t.Errorf("%s: does not say what is allowed", name)
		}
	}
	if len(b.flushed) != 0 {
		t.Errorf("flushed %v", b.flushed)
	}
}

func TestAnObjectOfTheConfigurationIsShownByItsName(t *testing.T) {
	alg := "P"
	b := &fake{settings: settings{
		profiles: []IPsecProfile{{Name: "P", IKESessionTimeout: 2700, BlockMode: "HOLD"}, {Name: "Q"}},
		clients:  []LSNClient{{Name: "C", Networks: Words{"192.0.2.0/24"}}, {Name: "P"}},
		pools:    []LSNPool{{Name: "N", Addresses: Words{"203.0.113.3"}, AddressCount: 1, Ports: 64512, UsedUDP: 7}, {Name: "M"}},
		groups:   []LSNGroup{{Name: "G", Client: "C", IPsecALGProfile: &alg}, {Name: "H"}},
		apps:     []LSNAppsProfile{{Name: "A", Protocol: "UDP", Ports: Words{"500"}}, {Name: "B"}},
		stat:     IPsecStat{Total: 1, Dropped: 2, Active: 3, Blocked: 4, RxPackets: 5, TxPackets: 6, SeqReject: 7},
	}}
	c, _ := serve(t, b)
	ctx, one := t.Context(), filterOf(t, ByName, "P")
	same := func(name string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, byValue()); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	same("profiles", b.profiles, collect(t, c.IPsecProfiles(ctx, Filter{})))
	same("profile P", b.profiles[:1], collect(t, c.IPsecProfiles(ctx, one)))
	same("clients", b.clients, collect(t, c.LSNClients(ctx, Filter{})))
	same("client P", b.clients[1:], collect(t, c.LSNClients(ctx, one)))
	same("pool M", b.pools[1:], collect(t, c.LSNPools(ctx, Filter{Name: "M"})))
	same("group G", b.groups[:1], collect(t, c.LSNGroups(ctx, Filter{Name: "G"})))
	same("appsprofile A", b.apps[:1], collect(t, c.LSNAppsProfiles(ctx, Filter{Name: "A"})))
	all, err := c.IPsecStat(ctx, "")
	same("stat", b.stat, all)
	p, err2 := c.IPsecStat(ctx, "P")
	b.stat.Profile = &alg
	same("stat of P", b.stat, p)
	if err := errors.Join(err, err2); err != nil {
		t.Error(err)
	}
	was, err3 := c.ClearIPsecStat(ctx, "P", ClearFull)
	same("stat of P before clearing", b.stat, was)
	_, err4 := c.ClearIPsecStat(ctx, "", ClearBasic)
	same("what was cleared", []string{"stat P level 1", "stat  level 0"}, b.flushed)
	if err := errors.Join(err3, err4); err != nil {
		t.Error(err)
	}
	_, unknown := c.IPsecStat(ctx, "X")
	for want, err := range map[string]error{
		`no ipsecalg profile "X"; known: P, Q`: failure(t, c.IPsecProfiles(ctx, Filter{Name: "X"})),
		`no ipsecalg profile "X" `:             unknown,
		`no lsn client "G"; known: C, P`:       failure(t, c.LSNClients(ctx, Filter{Name: "G"})),
		`no lsn pool "P"; known: N, M`:         failure(t, c.LSNPools(ctx, one)),
		`no lsn group "P"; known: G, H`:        failure(t, c.LSNGroups(ctx, one)),
		`no lsn appsprofile "P"; known: A, B`:  failure(t, c.LSNAppsProfiles(ctx, one)),
	} {
		if !IsNotFound(err) || err.Error() != strings.TrimSpace(want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAListWithoutAnythingIsNotNull(t *testing.T) {
	b := &fake{settings: settings{groups: []LSNGroup{{Name: "G"}}}}
	_, socket := serve(t, b)
	want := `{"version":1,"items":[
{"name":"G","td":0,"client":"","pools":[],"apps_profiles":[],"transport_profiles":[],"ipsecalg_profile":null}
]}
`
	if _, _, body := raw(t, socket, "GET", pathLSNGroups, nil); body != want {
		t.Errorf("got %s", body)
	}
}

func TestTheFiltersOfAFlushAreOfItsView(t *testing.T) {
	for _, c := range []struct{ flush, view []string }{
		{FiltersOfIPsecFlush(), FiltersOfIPsec()}, {FiltersOfLSNFlush(), FiltersOfLSN()},
	} {
		for _, name := range c.flush {
			if !slices.Contains(c.view, name) {
				t.Errorf("%s selects what is flushed but cannot be shown first", name)
			}
		}
	}
}
