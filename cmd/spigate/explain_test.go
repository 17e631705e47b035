package main

import (
	"net/netip"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

// Explain tells of one packet for each way to end, by its destination port.
func (h *house) Explain(f control.Filter) (control.Explained, error) {
	q := f.Question
	if q.In != "internal" {
		return control.Explained{}, control.NotFound("VLAN or tunnel", q.In, "internal", "external")
	}
	if q.Flags != 0 && q.Frame.Protocol == 17 {
		return control.Explained{}, &control.Error{Message: "only TCP has flags", Code: control.CodeBadRequest}
	}
	server := &control.ExplainObject{Table: "[ltm.virtual.ipsec-0]", Name: "ipsec-0", File: "/etc/gw.toml", Line: 42}
	route := &control.ExplainObject{Table: `[route."0.0.0.0/0"]`, Name: "0.0.0.0/0", File: "/etc/gw.toml", Line: 12}
	row := control.Explained{In: q.In, Packet: "10.2.1.1:40000 > 10.1.1.1:80 tcp [S] length 40", Steps: []control.ExplainStep{
		{Hook: "prerouting", Step: "listener", Verdict: "accept", Says: "virtual server ipsec-0 admits it, a connection would begin", Rule: "VR7", Decided: server},
		{Hook: "route", Verdict: "continue", Says: "by 198.51.100.254 on external", Decided: route},
	}}
	row.Fate = h.fate(q.Frame.DestPort)
	if row.Fate.End == control.EndDropped {
		row.Steps = row.Steps[:1]
		row.Steps[0].Says, row.Steps[0].Rule, row.Steps[0].Verdict = "virtual server ipsec-0 would have it, but it listens on external, not on internal", "VR46", "dropped"
	}
	return row, nil
}

func (h *house) fate(port uint16) control.ExplainFate {
	f := control.ExplainFate{End: control.EndForwarded, Out: "external", NextHop: control.Addr{Addr: ip("198.51.100.254")}, NextHopKnown: true,
		SourceIP: ip("10.2.1.1"), SourcePort: 40000, DestIP: ip("10.1.1.1"), DestPort: 80}
	switch port {
	case 1:
		word := "vlan_miss"
		return control.ExplainFate{End: control.EndDropped, Reason: &word, Means: "A new flow for a virtual server that does not listen here.",
			Do: "Add the VLAN.", Told: "RST", SourceIP: f.SourceIP, SourcePort: 40000, DestIP: f.DestIP, DestPort: 80}
	case 2:
		f.End, f.Selector, f.SPI, f.To = control.EndSealed, "my-selector", 0xc0ffee01, "198.51.100.200"
	case 3:
		return control.ExplainFate{End: control.EndHeld, Selector: "my-selector", SourceIP: f.SourceIP, SourcePort: 40000, DestIP: f.DestIP, DestPort: 80}
	case 4:
		f.NextHopKnown, f.Depends = false, true
		f.Drawn = &control.ExplainDrawn{Addresses: []netip.Addr{ip(outside), ip("203.0.113.4")}, FirstPort: 1024, LastPort: 65535}
	case 5:
		return control.ExplainFate{End: control.EndDelivered, SourceIP: f.SourceIP, DestIP: f.DestIP}
	case 6:
		return control.ExplainFate{End: control.EndOpened, SPI: 0xc0ffee02, Label: "external", SourceIP: f.SourceIP, DestIP: f.DestIP}
	}
	return f
}

func TestExplainPrintsEachWayToEnd(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for name, port := range map[string]string{"forwarded": "80", "dropped": "1", "sealed": "2", "held": "3", "drawn": "4", "delivered": "5", "opened": "6"} {
		code, out, errs := spigate(t, "explain", "--socket", socket, "--in", "internal", "--frame", "tcp,10.2.1.1:40000,10.1.1.1:"+port)
		if code != exitOK || errs != "" {
			t.Errorf("%s: exit %d, %q", name, code, errs)
		}
		golden(t, "explain-"+name+".txt", out)
	}
	code, out, _ := spigate(t, "explain", "--socket", socket, "--in", "internal", "--frame", "tcp,10.2.1.1:40000,10.1.1.1:1", "--json")
	if code != exitOK {
		t.Errorf("exit %d", code)
	}
	golden(t, "explain.json", out)
}

func TestExplainNeedsAQuestionThatCanBeAnswered(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--in internal", exitUsage, "--in and --frame are needed"},
		{"--frame gre,10.2.1.1,10.1.1.1", exitUsage, "--in and --frame are needed"},
		{"--in internal --frame tcp,10.2.1.1,10.1.1.1", exitUsage, "not an IPv4 address with a port"},
		{"--in internal --frame udp,10.2.1.1:1,10.1.1.1:2 --flags syn", exitUsage, "only TCP has flags"},
		{"--in internal --frame udp,10.2.1.1:1,10.1.1.1:2 --ttl 0", exitUsage, "not a time to live"},
		{"--in interal --frame gre,10.2.1.1,10.1.1.1", exitNotFound, `no VLAN or tunnel "interal"; did you mean "internal"?`},
		{"--in internal --frame gre,10.2.1.1,10.1.1.1 more", exitUsage, "unknown command"},
	} {
		code, out, errs := spigate(t, append([]string{"explain", "--socket", socket}, strings.Fields(c.args)...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, %q, %q", c.args, code, out, errs)
		}
	}
	if code, _, _ := spigate(t, "explain", "--socket", socket, "--in", "internal", "--df", "--unsealed", "--frame", "gre,10.2.1.1,10.1.1.1"); code != exitOK {
		t.Errorf("words without a value: exit %d", code)
	}
}
