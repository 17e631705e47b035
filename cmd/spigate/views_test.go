package main

import (
	"bytes"
	"encoding/json"
	"io"
	"iter"
	"runtime"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

// views is every view with the words that ask for it.
var views = map[string]string{
	"ipsecalg-session":     "show ipsecalg session",
	"ipsecalg-gate":        "show ipsecalg gate",
	"lsn-session":          "show lsn session",
	"flow":                 "show flow",
	"drops":                "show drops",
	"status":               "show status",
	"ipsecalg-profile":     "show ipsecalg profile",
	"lsn-client":           "show lsn client",
	"lsn-pool":             "show lsn pool",
	"lsn-group":            "show lsn group",
	"lsn-appsprofile":      "show lsn appsprofile",
	"lsn-block":            "show lsn block",
	"lsn-deterministicnat": "show lsn deterministicNat",
	"ipsecalg-stat":        "stat ipsecalg",
	"lsn-stat":             "stat lsn",
	"lsn-stat-group":       "stat lsn group",
	"lsn-stat-pool":        "stat lsn pool",
	"lsn-static":           "show lsn static",
	"lsn-stat-log":         "stat lsn log",
	"lsn-stat-helper":      "stat lsn helper",
	"ltm-virtual":          "show ltm virtual",
	"ltm-nat":              "show ltm nat",
	"ltm-snat":             "show ltm snat",
	"sys-connection":       "show sys connection",
	"switch":               "show switch",
	"net-vlan":             "show net vlan",
	"net-route":            "show net route",
	"net-arp":              "show net arp",
	"net-ipsec-sa":         "show net ipsec sa",
	"net-ipsec-selector":   "show net ipsec selector",
	"net-ipsec-peer":       "show net ipsec peer",
	"net-ipsec-stat":       "show net ipsec stat",
}

func TestEveryViewPrintsItsGoldenText(t *testing.T) {
	socket, _ := daemon(t, &house{status: healthy()})
	for name, words := range views {
		args := append(strings.Fields(words), "--socket", socket)
		code, stdout, stderr := spigate(t, args...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, stderr %q", words, code, stderr)
		}
		golden(t, name+".txt", stdout)
		code, stdout, stderr = spigate(t, append(args, "--json")...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s --json: exit %d, stderr %q", words, code, stderr)
		}
		golden(t, name+".json", stdout)
		var top struct {
			Version int
			Items   []map[string]any
		}
		if err := json.Unmarshal([]byte(stdout), &top); err != nil || top.Version != 1 || len(top.Items) == 0 {
			t.Errorf("%s: not the published form: %v", words, err)
		}
	}
}

func TestAViewWithoutRowsHasItsHeaderAndAnEmptyList(t *testing.T) {
	socket, _ := daemon(t, &house{empty: true, status: healthy()})
	for name, words := range views {
		if name == "status" || name == "ipsecalg-stat" || name == "lsn-stat" {
			continue // they always have their row
		}
		args := append(strings.Fields(words), "--socket", socket)
		_, full, _ := spigate(t, args...)
		golden(t, name+"-empty.txt", full)
		if name == "drops" {
			continue // with --json every reason is there
		}
		if _, stdout, _ := spigate(t, append(args, "--json")...); stdout != "{\"version\":1,\"items\":[]}\n" {
			t.Errorf("%s --json: %q", words, stdout)
		}
	}
}

func TestShowDropsAllListsTheReasonsAtZero(t *testing.T) {
	socket, _ := daemon(t, &house{})
	_, stdout, _ := spigate(t, "show", "drops", "--all", "--socket", socket)
	golden(t, "drops-all.txt", stdout)
}

func TestShowDropsOfOneReasonIsInFull(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for name, reason := range map[string]string{"drops-one.txt": "esp_no_gate_in", "drops-one-zero.txt": "ah"} {
		_, stdout, _ := spigate(t, "show", "drops", reason, "--socket", socket)
		golden(t, name, stdout)
	}
	if code, _, stderr := spigate(t, "show", "drops", "esp_no_gate_inn", "--socket", socket); code == 0 || !strings.Contains(stderr, `did you mean "esp_no_gate_in"?`) {
		t.Errorf("%d: %s", code, stderr)
	}
	_, stdout, _ := spigate(t, "__complete", "show", "drops", "--socket", socket, "es")
	if !strings.HasPrefix(stdout, "esp_no_gate_in\n:") {
		t.Errorf("completed to %q", stdout)
	}
}

func TestFiltersOfTheCommandLineReachTheRows(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, c := range []struct{ words, has, hasNot string }{
		{"show ipsecalg session --source-ip 192.0.2.10", clientA, clientB},
		{"show ipsecalg session --source-ip=* --network 192.0.2.96/27", clientB, clientA + " "},
		{"show lsn session --nat-port 6234", clientA, clientB},
		{"show lsn session --client LSN-CLIENT-1", clientA, clientB},
		{"show lsn session --dest-ip 8.8.8.8 --td 0", clientB, clientA + " "},
		{"show ipsecalg gate --dest-ip 198.51.100.200", "198.51.100.200", clientA},
		{"show flow --source-ip 198.51.100.9", "destination", "ESP"},
	} {
		code, stdout, stderr := spigate(t, append(strings.Fields(c.words), "--socket", socket)...)
		if code != exitOK || !strings.Contains(stdout, c.has) || strings.Contains(stdout, c.hasNot) {
			t.Errorf("%s: exit %d\n%s%s", c.words, code, stdout, stderr)
		}
	}
}

// sessions yields n sessions, the last with the longest address there is.
func sessions(n int) iter.Seq[control.LSNSession] {
	return func(yield func(control.LSNSession) bool) {
		row := control.LSNSession{SubscriberIP: ip("10.0.0.1"), DestIP: ip("8.8.8.8"), NATIP: ip(outside), Protocol: "UDP", Direction: control.In2Out}
		for i := range n {
			if i == n-1 {
				row.SubscriberIP = ip("100.100.100.100")
			}
			if !yield(row) {
				return
			}
		}
	}
}

func TestALongTableStaysAlignedAndCutsNothing(t *testing.T) {
	const n = tableChunk + 10
	socket, _ := daemon(t, &house{lsn: sessions(n)})
	_, stdout, _ := spigate(t, "show", "lsn", "session", "--socket", socket)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != n+1 {
		t.Fatalf("%d lines, want %d", len(lines), n+1)
	}
	if first, last := lines[1], lines[n]; !strings.HasPrefix(first, "10.0.0.1 ") || !strings.HasPrefix(last, "100.100.100.100 ") {
		t.Errorf("first %q\nlast  %q", first, last)
	}
	column := strings.Index(lines[0], "DstIP")
	for i, line := range lines[1:tableChunk] {
		if !strings.HasPrefix(line[column:], "8.8.8.8") {
			t.Fatalf("line %d is not below its header:\n%s\n%s", i+1, lines[0], line)
		}
	}
	// A chunk later is never narrower than an earlier one.
	var buf bytes.Buffer
	table := newTable(&buf, false, "A", "B")
	for range tableChunk {
		table.row("a long cell", "b")
	}
	table.row("c", "d")
	table.end()
	if !strings.HasSuffix(buf.String(), "\nc            d\n") {
		t.Errorf("the last row is %q", buf.String()[buf.Len()-20:])
	}
}

// meter notes how large the heap becomes while text passes.
type meter struct{ n, max uint64 }

func (m *meter) Write(b []byte) (int, error) {
	if m.n += uint64(len(b)); m.n>>20 != (m.n-uint64(len(b)))>>20 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		m.max = max(m.max, s.HeapAlloc)
	}
	return len(b), nil
}

func TestManySessionsDoNotGrowTheCommand(t *testing.T) {
	socket, _ := daemon(t, &house{lsn: sessions(30_000)})
	for _, flag := range []string{"--json=false", "--json"} {
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var m meter
		if code := execute(t.Context(), []string{"show", "lsn", "session", flag, "--socket", socket}, &m, io.Discard, false); code != exitOK {
			t.Fatalf("%s: exit %d", flag, code)
		}
		if m.n < 2<<20 || m.max > before.HeapAlloc+2<<20 {
			t.Errorf("%s: %d bytes printed, heap from %d to %d", flag, m.n, before.HeapAlloc, m.max)
		}
	}
}

func TestACellCannotCommandTheTerminal(t *testing.T) {
	if got := printable("a\x1b[31m\tb\n"); got != "a?[31m?b?" {
		t.Errorf("got %q", got)
	}
}

func TestTheHeaderIsBoldOnATerminalOnly(t *testing.T) {
	socket, _ := daemon(t, &house{empty: true})
	for _, c := range []struct {
		flag  string
		color bool
		bold  bool
	}{{"--no-color=false", true, true}, {"--no-color", true, false}, {"--no-color=false", false, false}} {
		var out bytes.Buffer
		execute(t.Context(), []string{"show", "flow", c.flag, "--socket", socket}, &out, io.Discard, c.color)
		if got := strings.HasPrefix(out.String(), "\x1b[1mProto") && strings.HasSuffix(out.String(), "\x1b[0m\n"); got != c.bold {
			t.Errorf("%+v: %q", c, out.String())
		}
	}
}
