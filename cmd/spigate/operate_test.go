package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatWithDetailExplainsEveryCounter(t *testing.T) {
	socket, _ := daemon(t, &house{})
	_, text, _ := spigate(t, "stat", "ipsecalg", "--detail", "--socket", socket)
	golden(t, "ipsecalg-stat-detail.txt", text)
	_, all, _ := spigate(t, "stat", "ipsecalg", "--json", "--socket", socket)
	_, detailed, _ := spigate(t, "stat", "ipsecalg", "--json", "--detail", "--socket", socket)
	if all != detailed {
		t.Errorf("--detail changes JSON:\n%s%s", all, detailed)
	}
	_, one, _ := spigate(t, "stat", "ipsecalg", "UNUSED", "--detail", "--socket", socket)
	golden(t, "ipsecalg-stat-profile.txt", one)
	// Beside the counters JSON has version, items and the profile's name.
	if shown, counted := strings.Count(text, "\n")-1, strings.Count(all, `":`)-3; shown != counted {
		t.Errorf("%d counters are shown, JSON has %d", shown, counted)
	}
}

func TestStatClearsWhatItHasPrinted(t *testing.T) {
	h := &house{}
	socket, _ := daemon(t, h)
	for _, c := range []struct{ words, golden string }{
		{"--clear-stats basic", "ipsecalg-stat.txt"},
		{"--clear-stats=full --detail", "ipsecalg-stat-detail.txt"},
		{"UNUSED --clear-stats full --detail", "ipsecalg-stat-profile.txt"},
		{"--json --clear-stats basic", "ipsecalg-stat.json"},
	} {
		args := append([]string{"stat", "ipsecalg"}, strings.Fields(c.words)...)
		code, text, stderr := spigate(t, append(args, "--socket", socket)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: exit %d, stderr %q", c.words, code, stderr)
		}
		golden(t, c.golden, text)
	}
	want := []string{`stat "" level 0`, `stat "" level 1`, `stat "UNUSED" level 1`, `stat "" level 0`}
	if diff := cmp.Diff(want, h.flushed); diff != "" {
		t.Errorf("(-want +asked):\n%s", diff)
	}
}

func TestAFlushAsksWithItsFiltersAndPrintsHowManyWent(t *testing.T) {
	for _, c := range []struct{ words, asked, text, json string }{
		{"flush ipsecalg session", "ipsecalg ", "flushed: 2 ESP sessions, 1 IKE session, 0 held messages\n",
			`{"esp_sessions":2,"ike_sessions":1,"held_messages":0}`},
		{"flush ipsecalg session --source-ip 192.0.2.10 --nat-ip 203.0.113.3 --dest-ip=*", "ipsecalg nat_ip=203.0.113.3&source_ip=192.0.2.10",
			"flushed: 2 ESP sessions, 1 IKE session, 0 held messages\n", `{"esp_sessions":2,"ike_sessions":1,"held_messages":0}`},
		{"flush lsn session", "lsn ", "flushed: 3 sessions of 1 mapping\n", `{"sessions":3,"mappings":1}`},
		{"flush lsn session --network 192.0.2.0/24 --client LSN-CLIENT-1 --nat-ip 203.0.113.3 --nat-port 6234",
			"lsn client=LSN-CLIENT-1&nat_ip=203.0.113.3&nat_port=6234&network=192.0.2.0%2F24",
			"flushed: 3 sessions of 1 mapping\n", `{"sessions":3,"mappings":1}`},
	} {
		h := &house{}
		socket, _ := daemon(t, h)
		code, text, stderr := spigate(t, append(strings.Fields(c.words), "--socket", socket)...)
		if code != exitOK || text != c.text || stderr != "" {
			t.Errorf("%s: exit %d, %q, stderr %q", c.words, code, text, stderr)
		}
		_, json, _ := spigate(t, append(strings.Fields(c.words), "--json", "--socket", socket)...)
		if want := "{\"version\":1,\"items\":[\n" + c.json + "\n]}\n"; json != want {
			t.Errorf("%s --json: %s", c.words, json)
		}
		if diff := cmp.Diff([]string{c.asked, c.asked}, h.flushed); diff != "" {
			t.Errorf("%s (-want +asked):\n%s", c.words, diff)
		}
	}
}

func TestAFlushOfNothingIsSuccess(t *testing.T) {
	socket, _ := daemon(t, &house{empty: true})
	for words, want := range map[string]string{
		"flush ipsecalg session": "flushed: 0 ESP sessions, 0 IKE sessions, 0 held messages\n",
		"flush lsn session":      "flushed: 0 sessions of 0 mappings\n",
	} {
		if code, text, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...); code != exitOK || text != want || stderr != "" {
			t.Errorf("%s: exit %d, %q, stderr %q", words, code, text, stderr)
		}
	}
}

func TestAFlushIsDoneAlsoWhenNobodyReadsHowManyWent(t *testing.T) {
	h := &house{}
	socket, _ := daemon(t, h)
	if code := execute(t.Context(), []string{"flush", "lsn", "session", "--socket", socket}, closedPipe(t), io.Discard, false); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if len(h.flushed) != 1 {
		t.Errorf("flushed %q", h.flushed)
	}
}

func TestOneObjectOfTheConfigurationByItsName(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for words, not := range map[string]string{
		"show ipsecalg profile UNUSED":           "IPSECALGPROFILE-1",
		"show lsn client LSN-CLIENT-2":           "LSN-CLIENT-1",
		"show lsn group LSN-GROUP-2":             "LSN-GROUP-1",
		"show lsn appsprofile LSN-APPSPROFILE-2": "LSN-APPSPROFILE-1",
	} {
		name := words[strings.LastIndex(words, " ")+1:]
		code, text, stderr := spigate(t, append(strings.Fields(words), "--socket", socket)...)
		if code != exitOK || !strings.Contains(text, "\n"+name) || strings.Contains(text, "\n"+not) || stderr != "" {
			t.Errorf("%s: exit %d\n%s%s", words, code, text, stderr)
		}
	}
}

// rounds is a reader of --watch that ends it after some rounds.
type rounds struct {
	bytes.Buffer
	left   int
	cancel func()
}

func (r *rounds) Write(b []byte) (int, error) {
	n, err := r.Buffer.Write(b)
	if r.left -= bytes.Count(b, []byte(gateway)); r.left <= 0 {
		r.cancel()
	}
	return n, err
}

func TestWatchedSessionsAreFilteredEachTime(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, flag := range []string{"--json=false", "--json"} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &rounds{left: 3, cancel: cancel}
		args := strings.Fields("show ipsecalg session --watch 100ms --source-ip 192.0.2.10 --nat-ip=* " + flag + " --socket " + socket)
		if code := execute(ctx, args, out, io.Discard, false); code != exitOK {
			t.Errorf("exit %d", code)
		}
		text := out.String()
		if strings.Count(text, clientA) != 3 || strings.Contains(text, clientB) {
			t.Errorf("%s:\n%s", flag, text)
		}
		cancel()
	}
}
