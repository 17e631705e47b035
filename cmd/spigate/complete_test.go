package main

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spigate/cmd/internal/control"
)

// completed presses the tab key behind a line, and returns what is offered.
func completed(t *testing.T, line ...string) (words []string, directive string) {
	t.Helper()
	code, stdout, _ := spigate(t, append([]string{"__complete"}, line...)...)
	if code != exitOK {
		t.Fatalf("%v: exit %d", line, code)
	}
	words = strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	last := len(words) - 1
	return words[:last], words[last]
}

// Bits of what a shell is told (cobra.ShellCompDirective…).
const (
	directiveNothing = ":4"  // no files
	directiveInOrder = ":36" // no files, in the order given
	directiveFiles   = ":8"  // files that end so
	directiveFolders = ":16"
	directiveGoesOn  = ":6" // no files, no space behind the word
)

func TestTheTabKeyOffersWhatTheDaemonHas(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, c := range []struct {
		line      string // a dot stands for an empty word
		want      string // words with blanks between
		directive string
	}{
		{"show lsn client .", "LSN-CLIENT-1 LSN-CLIENT-2", directiveInOrder},
		{"show lsn client LSN-CLIENT-2", "LSN-CLIENT-2", directiveInOrder},
		{"show lsn client LSN-CLIENT-2 .", "", directiveNothing},
		{"show lsn pool .", "LSN-POOL-1", directiveInOrder},
		{"show lsn group LSN", "LSN-GROUP-1 LSN-GROUP-2", directiveInOrder},
		{"show lsn appsprofile .", "LSN-APPSPROFILE-1 LSN-APPSPROFILE-2", directiveInOrder},
		{"show ipsecalg profile .", "IPSECALGPROFILE-1 UNUSED", directiveInOrder},
		{"stat ipsecalg U", "UNUSED", directiveInOrder},
		{"show ltm virtual ipsec-", "ipsec-0 ipsec-2", directiveInOrder},
		{"show net vlan .", "vlan-internal-2-0 guests external", directiveInOrder},
		{"show net route 0", "0.0.0.0/0", directiveInOrder},
		{"show net arp 198", "198.51.100.254", directiveInOrder},
		{"show switch .", "sw0 sw1", directiveInOrder},
		{"show net ipsec peer gw3", "gw3", directiveInOrder},
		{"rekey net ipsec peer gw2", "gw2", directiveInOrder},
		{"show lsn session --client .", "LSN-CLIENT-1 LSN-CLIENT-2", directiveInOrder},
		{"show net ipsec sa --peer gw2", "gw2", directiveInOrder},
		{"explain --in g", "guests", directiveInOrder},
		{"explain --in lan --frame es", "esp,", directiveGoesOn},
		{"stat ipsecalg --clear-stats b", "basic\tthose that only count", directiveNothing},
		{"show status --watch 2", "2s", directiveNothing},
		{"list ltm virtual ipsec-2 ipsec-2 vlans-e", "vlans-enabled", directiveNothing},
		{"trace show re", "rekey", directiveInOrder},
		{"capture --point dr", "dropped", directiveNothing},
		{"config rollback 1", "1", directiveInOrder},
		{"config show r", "running", directiveNothing},
		{"config apply .", "toml", directiveFiles},
		{"check .", "toml", directiveFiles},
		{"run --config .", "toml", directiveFiles},
		{"run --state-dir=", "", directiveFolders},
		{"version .", "", directiveNothing},
		{"show ne", "net\tThe network", directiveNothing},
	} {
		var line []string
		for word := range strings.FieldsSeq(c.line) {
			line = append(line, strings.TrimSuffix(word, "."))
		}
		if verb := line[0]; !slices.Contains([]string{"check", "run", "version"}, verb) && line[1] != "ne" {
			line = slices.Insert(line, 1, "--socket", socket)
		}
		words, directive := completed(t, line...)
		got := strings.Join(words, " ")
		if got != c.want || directive != c.directive {
			t.Errorf("%s: offered %q %s, want %q %s", c.line, got, directive, c.want, c.directive)
		}
	}
}

func TestPropertiesOfListAreOfferedBesideNames(t *testing.T) {
	socket, _ := daemon(t, &house{})
	words, _ := completed(t, "list", "ltm", "virtual", "--socket", socket, "")
	for _, want := range []string{"ipsec-0", "ipsec-2", "vlans", allProperties} {
		if !slices.Contains(words, want) {
			t.Errorf("no %q among %v", want, words)
		}
	}
}

func TestNobodyIsToldWhenNamesCannotBeHad(t *testing.T) {
	dir := t.TempDir()
	silent := filepath.Join(dir, "s") // takes the question, and never answers
	l, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, socket := range []string{filepath.Join(dir, "none"), silent} {
		code, stdout, stderr := spigate(t, "__complete", "show", "lsn", "client", "--socket", socket, "")
		if code != exitOK || stdout != directiveInOrder+"\n" || strings.Contains(stderr, "socket") {
			t.Errorf("%s: exit %d, %q, %q", socket, code, stdout, stderr)
		}
	}
}

func TestTheNamesOfEveryNounAreFound(t *testing.T) {
	socket, _ := daemon(t, &house{})
	for _, noun := range control.NamesOf() {
		names, err := control.NewClient(socket).Names(t.Context(), noun)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %v, %v", noun, names, err)
		}
	}
}

func TestEachNounWithANameIsCompleted(t *testing.T) {
	paths := completable()
	for path := range paths {
		words := strings.Fields(path)
		cmd, rest, err := tree().Find(words)
		if strings.HasPrefix(path, "show ltm profile") || path == "show drop reason" || path == "show config revision" ||
			path == "show lsn log" || path == "show trace" || path == "show lsn helper" || path == "config rollback" {
			continue // nouns that stand elsewhere
		}
		if err != nil || len(rest) > 0 {
			t.Errorf("%s: there is no such command (%s)", path, cmd.CommandPath())
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		_, stdout, _ := spigate(t, "completion", shell)
		if !strings.Contains(stdout, "__complete") {
			t.Errorf("%s: the script does not ask the program:\n%.300s", shell, stdout)
		}
	}
}
