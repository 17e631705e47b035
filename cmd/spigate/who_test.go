package main

import (
	"iter"
	"strings"
	"testing"
	"time"

	"spigate/cmd/internal/control"
)

func (h *house) LSNDeterministic(f control.Filter) (iter.Seq[control.LSNDeterministic], error) {
	return rowsFor(h, f,
		control.LSNDeterministic{SubscriberIP: ip(clientA), NATIP: ip(outside), FirstPort: 1024, LastPort: 1279, Group: "LSN-GROUP-1", Client: "LSN-CLIENT-1"},
		control.LSNDeterministic{SubscriberIP: ip(clientB), NATIP: ip("203.0.113.4"), FirstPort: 65280, LastPort: 65535, SubscriberTD: 7, Group: "LSN-GROUP-2"})
}

func (h *house) LSNBlocks(f control.Filter) (iter.Seq[control.LSNBlock], error) {
	return rowsFor(h, f,
		control.LSNBlock{SubscriberIP: ip(clientA), NATIP: ip(outside), FirstPort: 2048, LastPort: 2559, Mappings: 12, UsedTCP: 7, UsedUDP: 2, UsedICMP: 1,
			Pool: "LSN-POOL-1", Group: "LSN-GROUP-1", Client: "LSN-CLIENT-1"},
		control.LSNBlock{SubscriberIP: ip(clientB), SubscriberTD: 7, NATIP: ip(outside), FirstPort: 2560, LastPort: 3071, Mappings: 1, UsedTCP: 1, Pool: "LSN-POOL-1", Group: "LSN-GROUP-2"})
}

// Who knows of a computed block, a static mapping, a drawn block, and two
// mappings on port 6234.
func (h *house) Who(f control.Filter) (iter.Seq[control.Who], error) {
	if f.NATIP != ip(outside) {
		return nil, control.NotFound("NAT address", f.NATIP.String())
	}
	inside, https := uint16(500), uint16(443)
	udp, tcp, all := "UDP", "TCP", "ALL"
	return rowsFor(h, f,
		control.Who{Known: control.ByDeterministic, SubscriberIP: ip(clientB), NATIP: f.NATIP, FirstPort: 60000, LastPort: 65535, Group: "LSN-GROUP-2"},
		control.Who{Known: control.ByStatic, SubscriberIP: ip(clientB), SubscriberPort: &https, NATIP: f.NATIP, FirstPort: 443, LastPort: 443, Protocol: &all, Group: "LSN-GROUP-1"},
		control.Who{Known: control.ByBlock, SubscriberIP: ip(clientA), NATIP: f.NATIP, FirstPort: 6144, LastPort: 6655, Group: "LSN-GROUP-1"},
		control.Who{Known: control.ByMapping, SubscriberIP: ip(clientA), SubscriberPort: &inside, NATIP: f.NATIP, FirstPort: 6234, LastPort: 6234, Protocol: &udp, Group: "LSN-GROUP-1"},
		control.Who{Known: control.ByMapping, SubscriberIP: ip(clientA), SubscriberPort: &inside, NATIP: f.NATIP, FirstPort: 6234, LastPort: 6234, Protocol: &tcp,
			DestIP: control.Addr{Addr: ip(gateway)}, DestPort: &https, Group: "LSN-GROUP-1"})
}

func TestWhoTellsWhoseAPortIs(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for name, port := range map[string]string{"who": "203.0.113.3:6234", "who-computed": "203.0.113.3:61000", "who-static": "203.0.113.3:443"} {
		code, stdout, stderr := spigate(t, "who", port, "--socket", socket)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, %s", port, code, stderr)
		}
		golden(t, name+".txt", stdout)
		_, stdout, _ = spigate(t, "who", port, "--socket", socket, "--json")
		golden(t, name+".json", stdout)
	}
}

func TestWhoHadAPortIsKnownOnlyWhereTheConfigurationSaysIt(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"203.0.113.3:61000", "--at", "2020-03-01 14:05"}, exitOK, "deterministic  " + clientB},
		{[]string{"203.0.113.3:443", "--at", "2020-03-01T14:05:00+02:00"}, exitOK, "static "},
		{[]string{"203.0.113.3:6234", "--at", "2020-03-01T14:05:00Z"}, exitNotFound,
			"203.0.113.3:6234 is in no computed block and has no static mapping, so who had it at 2020-03-01T14:05:00Z is not known here: look in the NAT log"},
		{[]string{"203.0.113.3:50000"}, exitNotFound, "nobody has 203.0.113.3:50000 now; who had it before stands in the NAT log"},
		{[]string{"203.0.113.3:6234", "--td", "9"}, exitNotFound, "nobody has"},
		{[]string{"203.0.113.99:6234"}, exitNotFound, `no NAT address "203.0.113.99"`},
		{nil, exitUsage, "want one endpoint"},
		{[]string{"203.0.113.3"}, exitUsage, `"203.0.113.3" is not an IPv4 address with a port`},
		{[]string{"203.0.113.3:0"}, exitUsage, "is not an IPv4 address with a port"},
		{[]string{"[2001:db8::1]:80"}, exitUsage, "is not an IPv4 address with a port"},
		{[]string{"203.0.113.3:80", "203.0.113.3:81"}, exitUsage, "want one endpoint"},
		{[]string{"203.0.113.3:80", "--at", "yesterday"}, exitUsage, "want a time like 2026-03-01 14:05"},
		{[]string{"203.0.113.3:80", "--at", "9026-03-01 14:05"}, exitUsage, "that is still to come"},
	} {
		code, stdout, stderr := spigate(t, append([]string{"who", "--socket", socket}, c.args...)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.says) || code != exitOK && stdout != "" {
			t.Errorf("who %v: exit %d\n%s%s", c.args, code, stdout, stderr)
		}
	}
}

func TestATimeWithoutAnOffsetIsLocal(t *testing.T) {
	for _, text := range []string{"2020-03-01 14:05", "2020-03-01 14:05:00", "2020-03-01T14:05", "2020-03-01T14:05:00"} {
		var f timeFlag
		if err := f.Set(text); err != nil || !f.Equal(time.Date(2020, 3, 1, 14, 5, 0, 0, time.Local)) {
			t.Errorf("%s: %v, %v", text, f.Time, err)
		}
	}
}

func TestDeterministicNatTakesNetScalersFilters(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for words, want := range map[string]string{
		"--subscr-ip " + clientA: clientA, "--source-ip " + clientA: clientA, "--nat-ip 203.0.113.4": clientB, "--client LSN-CLIENT-1": clientA, "--td 7": clientB,
	} {
		code, stdout, stderr := spigate(t, append(strings.Fields("show lsn deterministicNat --socket "+socket), strings.Fields(words)...)...)
		if code != exitOK || strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, "\n"+want+" ") {
			t.Errorf("%s: exit %d\n%s%s", words, code, stdout, stderr)
		}
	}
	if code, _, stderr := spigate(t, "show", "lsn", "deterministicNat", "--subscr-ip", clientA, "--source-ip", clientA); code != exitUsage {
		t.Errorf("both words for a subscriber: exit %d, %s", code, stderr)
	}
}
