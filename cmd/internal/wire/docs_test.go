package wire

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/board"
	"spigate/configs"
	"spigate/hw"
	"spigate/hw/swsim"
)

var update = flag.Bool("update", false, "write the tables of docs/boards.md anew")

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// quoted returns what stands in backquotes in the first cells of the table with
// a header.
func quoted(t *testing.T, text, header string) (out []string) {
	t.Helper()
	_, rest, found := strings.Cut(text, "| "+header+" |")
	if !found {
		t.Fatalf("there is no table %q", header)
	}
	inQuotes := regexp.MustCompile("`([^`]+)`")
	for i, line := range strings.Split(rest, "\n") {
		if i < 2 {
			continue // the header's end, and the line below it
		}
		if !strings.HasPrefix(line, "| ") {
			break
		}
		for _, m := range inQuotes.FindAllStringSubmatch(strings.Split(line, " | ")[0], -1) {
			out = append(out, strings.Split(m[1], "…")...)
		}
	}
	if len(out) < 2 {
		t.Fatalf("table %q quotes %q", header, out)
	}
	return out
}

func TestThePageOfSwitchesHasAConfigurationThatIsSound(t *testing.T) {
	_, text, _ := strings.Cut(page(t, "switches.md"), "```toml\n")
	text, _, found := strings.Cut(text, "```")
	c, warnings, err := configs.Parse("switches.md", []byte(text))
	if !found || err != nil || len(warnings) > 0 || len(c.Switches) != 1 || len(c.VLANs) != 2 {
		t.Errorf("%v %v %+v", err, warnings, c)
	}
}

func TestThePageOfSwitchesQuotesTheLog(t *testing.T) {
	up := hw.Link{Port: "lan1", Up: true, Speed: 1000, Duplex: true}
	var said strings.Builder
	for _, e := range []hw.Event{
		{Kind: hw.Kept, Report: hw.Report{Added: []uint16{20, 30}}},
		{Kind: hw.Kept, After: 35e9},
		{Kind: hw.Failed, Err: hw.ErrSilent},
		{Kind: hw.Lost, Err: hw.ErrSilent},
		{Kind: hw.Repaired},
		{Kind: hw.LinkChanged, Link: up},
		{Kind: hw.Flapping, Link: up, Changes: 5},
		{Kind: hw.Settled, Link: up, Changes: 12},
	} {
		fmt.Fprintln(&said, e)
	}
	said.WriteString(source(t, ".")) // a line is of the daemon itself
	for _, words := range quoted(t, page(t, "switches.md"), "the log says") {
		if !strings.Contains(said.String(), words) {
			t.Errorf("nothing says %q", words)
		}
	}
}

// TestThePagesQuoteMessagesThatThereAre looks for them in the sources, where
// values are %s and the like: the pages quote what stands between.
func TestThePagesQuoteMessagesThatThereAre(t *testing.T) {
	sources := source(t, "../../../hw", "../../../board", ".")
	for _, table := range []struct{ page, header string }{
		{"switches.md", "the reason has"}, {"boards.md", "the message has"}, {"boards.md", "the console says"}, {"boards.md", "kernel argument"},
	} {
		for _, words := range quoted(t, page(t, table.page), table.header) {
			words, _, _ = strings.Cut(words, "=NAME")
			words, _, _ = strings.Cut(words, "=DEVICE")
			if !strings.Contains(sources, strings.TrimSpace(words)) {
				t.Errorf("%s: nothing says %q", table.page, words)
			}
		}
	}
}

// source is the text of all programs below some folders.
func source(t *testing.T, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

func TestThePageOfBoardsHasTheTable(t *testing.T) {
	var boards, memory strings.Builder
	for _, b := range board.Boards() {
		fmt.Fprintf(&boards, "| `%s` | %s, %s | %s | %s | `%s`, %d kB |\n", b.Name, b.Title, megabytes(b.RAM), deviceCell(b), switchCell(b), b.Flash.Dir, b.Flash.Bytes>>10)
	}
	for _, mb := range []int64{64, 128, 256, 512, 1024} {
		m := board.Budget(mb << 20)
		fmt.Fprintf(&memory, "| %d MB | %d MB | %d | %d | %d | %d | %d |\n", mb, m.Limit>>20, m.Flows, m.LSNSessions, m.IKESessions, m.ESPSessions, m.Connections)
	}
	m := board.Budget(0)
	fmt.Fprintf(&memory, "| not known | no limit | %d | %d | %d | %d | %d |\n", m.Flows, m.LSNSessions, m.IKESessions, m.ESPSessions, m.Connections)
	text := page(t, "boards.md")
	want := text
	for mark, rows := range map[string]string{"<!-- boards:": boards.String(), "<!-- memory:": memory.String()} {
		before, rest, found := strings.Cut(want, mark)
		head, rest, ok := strings.Cut(rest, "|---|\n")
		_, after, end := strings.Cut(rest, "\n<!-- end -->")
		if !found || !ok || !end {
			t.Fatalf("docs/boards.md has no %s", mark)
		}
		want = before + mark + head + "|---|\n" + rows + "\n<!-- end -->" + after
	}
	if *update {
		if err := os.WriteFile("../../../docs/boards.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		text = want
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("run go test ./cmd/internal/wire -run PageOfBoards -update (-program +page):\n%s", diff)
	}
}

func megabytes(n int64) string {
	if n == 0 {
		return "any memory"
	}
	return fmt.Sprintf("%d MB", n>>20)
}

func deviceCell(b board.Board) string {
	var out []string
	for _, p := range b.Ports {
		out = append(out, fmt.Sprintf("`%s`", p.Device))
	}
	switch {
	case len(out) > 0:
		return strings.Join(out, ", ")
	case b.Switch != nil:
		return "none"
	}
	return "any"
}

func switchCell(b board.Board) string {
	if b.Switch == nil {
		return "none known"
	}
	var out []string
	for _, p := range b.Switch.Ports {
		out = append(out, fmt.Sprintf("`%s`", p.Name))
	}
	return fmt.Sprintf("`%s`: %s, with %s", b.Switch.Driver, b.Switch.Chip, strings.Join(out, ", "))
}

// TestWhatIsSoundForTheFileIsSoundForTheDrivers: the file may say as many ports
// as a switch in software takes, and the models of all boards.
func TestWhatIsSoundForTheFileIsSoundForTheDrivers(t *testing.T) {
	text := "version = 1\n[port.l]\ndriver = \"switch\"\n[switch.s]\ndriver = \"soft\"\ncpu_port = \"l\"\n[vlan.v]\nswitch = \"s\"\nid = 1\ntagged = ["
	var tables strings.Builder
	for i := range swsim.MaxPorts - 1 {
		text += fmt.Sprintf("\"p%d\",", i)
		fmt.Fprintf(&tables, "[switch.s.port.p%d]\ndriver = \"tap\"\ndevice = \"t%d\"\n", i, i)
	}
	text += "]\n"
	c, _, err := configs.Parse("most.toml", []byte(text+tables.String()))
	if err != nil || len(c.Switches[0].Ports) != swsim.MaxPorts-1 || len(checkSwitches(c)) > 0 {
		t.Errorf("a switch with all ports that it may have: %v", err)
	}
	more := strings.Replace(text, "tagged = [", "tagged = [\"x\",", 1) + tables.String() + "[switch.s.port.x]\ndriver = \"tap\"\ndevice = \"x\"\n"
	if _, _, err := configs.Parse("more.toml", []byte(more)); err == nil {
		t.Error("a port more than a switch in software takes is no fault")
	}
	for _, b := range board.Boards() {
		model := fmt.Sprintf("version = 1\n[board]\nmodel = %q\n", b.Name)
		if _, _, err := configs.LoadText("model.toml", []byte(model), LoadOptions(machine("", "1000000"))); err != nil {
			t.Error(err)
		}
	}
}
