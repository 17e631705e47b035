package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

func (h *house) AddTrace(f control.Filter) (control.Trace, error) {
	switch {
	case f.Looking.Match == "udp esp":
		return control.Trace{}, &control.Error{Message: `at character 5: "esp" does not follow from what stands before it: want and, or`, Code: control.CodeBadRequest}
	case f.Question.In != "" && f.Question.In != "internal":
		return control.Trace{}, control.NotFound("VLAN or tunnel", f.Question.In, "internal")
	}
	t := control.Trace{Name: "trace", Match: f.Looking.Match, In: f.Question.In, Count: 20, Unseen: f.Looking.Match == ""}
	if f.Name != "" {
		t.Name = f.Name
	}
	if f.Looking.Count != 0 {
		t.Count = int(f.Looking.Count)
	}
	return t, nil
}

func (h *house) Traces(f control.Filter) ([]control.Trace, error) {
	if h.empty {
		return nil, nil
	}
	if f.Name == "nobody" {
		return nil, control.NotFound("trace", f.Name, "trace", "rekey")
	}
	return []control.Trace{
		{Name: "trace", Match: "host 192.0.2.11 and udp port 500", Count: 20, Packets: 3, Age: 12.5},
		{Name: "rekey", In: "wan", Count: 5, Age: 7200, Unseen: true},
	}, nil
}

func (h *house) TraceWalks(f control.Filter, each bool) ([]control.TraceWalk, error) {
	if h.empty {
		return nil, nil
	}
	group := &control.ExplainObject{Table: "[lsn.group.homes]", Name: "homes", File: "/etc/gw.toml", Line: 31}
	step := func(after int64, hook, step, verdict, says, rule string, by *control.ExplainObject) control.TraceStep {
		return control.TraceStep{After: after, ExplainStep: control.ExplainStep{Hook: hook, Step: step, Verdict: verdict, Says: says, Rule: rule, Decided: by},
			SourceIP: ip("192.0.2.11"), SourcePort: 500, DestIP: ip("198.51.100.9"), DestPort: 500}
	}
	walk := control.TraceWalk{Trace: "trace", Packets: 2, Number: 1, At: 0.25, In: "internal", Length: 200, Ended: true,
		Packet: "192.0.2.11:500 > 198.51.100.9:500 udp length 200", Steps: []control.TraceStep{
			step(3, "prerouting", "listener", "continue", "LSN group homes has its sender as a subscriber", "VR3", group),
			step(9, "forward", "in2out", "continue", "a mapping is made", "R14, R19", group),
			step(12, "postrouting", "source", "continue", "its source becomes 203.0.113.3:500", "", nil),
		}, Fate: control.ExplainFate{End: control.EndForwarded, Out: "external", NextHop: control.Addr{Addr: ip("198.51.100.254")}, NextHopKnown: true,
			SourceIP: ip("203.0.113.3"), SourcePort: 500, DestIP: ip("198.51.100.9"), DestPort: 500}}
	fast := walk
	fast.Packets, fast.Number, fast.At, fast.FastPath = 1, 3, 1.5, true
	fast.Steps = []control.TraceStep{step(1, "fast path", "", "accept", "its flow is established, and the fast path forwards it by itself, with the source 203.0.113.3:500: flow of LSN session 7", "", nil)}
	word := "no_mapping"
	lost := control.TraceWalk{Trace: "trace", Packets: 1, Number: 2, At: 1.25, In: "external", Packet: "198.51.100.9:9 > 203.0.113.3:9 udp length 29", Ended: true, Again: "opened",
		Steps: []control.TraceStep{step(4, "prerouting", "out2in", "dropped", "A packet to a NAT address for which no mapping exists", "R19", nil)},
		Fate:  control.ExplainFate{End: control.EndDropped, Reason: &word, Means: "A packet to a NAT address for which no mapping exists.", Do: "None, or a static mapping."}}
	lost.Steps[0].Reason = &word
	under := control.TraceWalk{Trace: "trace", Packets: 1, Number: 4, At: 2, In: "internal", Packet: "192.0.2.11 > 198.51.100.9 icmp echo request length 28", Steps: []control.TraceStep{}}
	if each {
		second := walk
		second.Number, second.At = 5, 2.125
		walk.Packets, second.Packets = 1, 1
		return []control.TraceWalk{walk, lost, fast, under, second}, nil
	}
	return []control.TraceWalk{walk, lost, fast, under}, nil
}

func (h *house) RemoveTraces(f control.Filter) (control.TraceChanged, error) {
	h.flushed = append(h.flushed, "del "+f.Name)
	return control.TraceChanged{Traces: 1, Packets: 3}, nil
}

func (h *house) ClearTraces(f control.Filter) (control.TraceChanged, error) {
	h.flushed = append(h.flushed, "clear "+f.Name)
	return control.TraceChanged{Traces: 2, Packets: 3}, nil
}

// captured are what the house's captures take, in rows.
const captured = `{"at":"2026-11-22T18:00:00.000001Z","point":"received","in":"internal","out":"","length":242,"frame":true,"packet":"192.0.2.11:500 > 198.51.100.9:500 udp length 200","reason":null}
{"at":"2026-11-22T18:00:00.000025Z","point":"after","in":"internal","out":"external","length":228,"frame":false,"packet":"203.0.113.3:500 > 198.51.100.9:500 udp length 200","reason":null}
{"at":"2026-11-22T18:00:01Z","point":"dropped","in":"","out":"","length":60,"frame":true,"packet":"02:00:00:00:00:01 > 06:00:00:00:00:02 vlan 9","reason":"vlan_unknown"}
`

func (h *house) Capture(ctx context.Context, f control.Filter, out io.Writer) (control.CaptureEnd, error) {
	h.flushed = append(h.flushed, f.Looking.Match+" "+f.Looking.Points)
	switch {
	case f.Looking.VLAN == "busy":
		return control.CaptureEnd{}, &control.Error{Message: "there are as many captures as there may be at a time: end one of them", Code: control.CodeBusy}
	case f.Looking.Format == control.FormatRows:
		io.WriteString(out, captured)
	default:
		io.WriteString(out, "a file in "+f.Looking.Format)
	}
	if f.Looking.Seconds == 60 { // a minute is long for a test
		<-h.waits()
	}
	return control.CaptureEnd{Taken: 3, Lost: uint64(f.Looking.Snaplen)}, nil
}

func (h *house) waits() chan struct{} {
	h.once.Do(func() { h.wait = make(chan struct{}) })
	return h.wait
}

func (h *house) EndCapture(control.Filter) (control.CaptureEnd, error) {
	close(h.waits())
	return control.CaptureEnd{}, nil
}

func TestATraceIsAddedShownAndEnded(t *testing.T) {
	h := &house{}
	socket, _ := daemon(t, h)
	var out strings.Builder
	for _, words := range []string{"trace add --match esp", "trace add rekey --count 5 --in internal", "trace list", "trace show", "trace show trace --each", "trace del rekey", "trace clear"} {
		code, stdout, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, %q", words, code, stderr)
		}
		fmt.Fprintf(&out, "$ spigate %s\n%s\n", words, stdout)
	}
	golden(t, "trace.txt", out.String())
	if got := strings.Join(h.flushed, ","); got != "del rekey,clear " {
		t.Error(got)
	}
	for _, name := range []string{"list", "show", "add"} {
		code, stdout, _ := spigate(t, "trace", name, "--json", "--socket", socket)
		if code != exitOK {
			t.Errorf("%s: exit %d", name, code)
		}
		golden(t, "trace-"+name+".json", stdout)
	}
}

func TestATraceThatCannotBeIsToldSo(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, c := range []struct {
		words []string
		code  int
		says  string
	}{
		{[]string{"add", "--match", "udp esp"}, exitUsage, "at character 5"},
		{[]string{"add", "--in", "interal"}, exitNotFound, `did you mean "internal"`},
		{[]string{"add", "--count", "none"}, exitUsage, "no number of packets"},
		{[]string{"add", "one", "two"}, exitUsage, "at most 1 arg"},
		{[]string{"list", "nobody"}, exitNotFound, `no trace "nobody"`},
	} {
		code, stdout, stderr := spigate(t, append([]string{"trace", "--socket", socket}, c.words...)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit %d, %q, %q", c.words, code, stdout, stderr)
		}
	}
	socket, _ = daemon(t, &house{empty: true})
	if _, stdout, _ := spigate(t, "trace", "show", "--socket", socket); stdout != "no packet was recorded yet\n" {
		t.Errorf("%q", stdout)
	}
}

func TestACaptureIsPrintedOrWritten(t *testing.T) {
	socket, _ := daemon(t, &house{})
	code, stdout, stderr := spigate(t, "capture", "--socket", socket, "--filter", "udp", "--point", "received,after,dropped")
	if code != exitOK || stderr != "3 packets captured\n" {
		t.Errorf("exit %d, %q", code, stderr)
	}
	golden(t, "capture.txt", stdout)
	code, stdout, _ = spigate(t, "capture", "--socket", socket, "--json")
	if code != exitOK || stdout != captured {
		t.Errorf("exit %d, %q", code, stdout)
	}
	code, stdout, stderr = spigate(t, "capture", "--socket", socket, "-w", "-", "--format", "pcap", "--snaplen", "96")
	if code != exitOK || stdout != "a file in pcap" || !strings.HasPrefix(stderr, "3 packets captured, 96 lost: ") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "c.pcapng")
	code, stdout, _ = spigate(t, "capture", "--socket", socket, "-w", file)
	if text, err := os.ReadFile(file); code != exitOK || stdout != "" || err != nil || string(text) != "a file in " {
		t.Errorf("exit %d, %q, %q, %v", code, stdout, text, err)
	}
}

func TestACaptureThatIsRefusedLeavesTheFileAlone(t *testing.T) {
	socket, _ := daemon(t, &house{})
	file := filepath.Join(t.TempDir(), "c.pcapng")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]struct {
		code int
		says string
	}{
		"--vlan busy -w " + file: {exitFailed, "as many captures as there may be"},
		"--point here":           {exitUsage, `"here" is no point`},
		"--format pcap":          {exitUsage, "give it with -w"},
		"--json -w " + file:      {exitUsage, "without -w"},
		"everything":             {exitUsage, "unknown command"},
	} {
		code, _, stderr := spigate(t, append([]string{"capture", "--socket", socket}, strings.Fields(words)...)...)
		if code != want.code || !strings.Contains(stderr, want.says) {
			t.Errorf("%s: exit %d, %q", words, code, stderr)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAnInterruptedCaptureTellsWhatItHas(t *testing.T) {
	socket, _ := daemon(t, &house{})
	ctx, interrupt := context.WithCancel(t.Context())
	var errs strings.Builder
	first := writer(func(b []byte) (int, error) {
		interrupt()
		return len(b), nil
	})
	code := execute(ctx, []string{"capture", "--seconds", "60", "--socket", socket}, first, &errs, false)
	if code != exitOK || errs.String() != "3 packets captured\n" {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
