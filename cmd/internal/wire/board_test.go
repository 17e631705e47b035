package wire

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"

	"spigate/board"
	"spigate/configs"
)

// machine is the /proc of one.
func machine(tree, memory string) fstest.MapFS {
	return fstest.MapFS{"device-tree/compatible": {Data: []byte(tree + "\x00")}, "meminfo": {Data: []byte("MemTotal: " + memory + " kB\n")}}
}

// loadOn loads a configuration as on a machine.
func loadOn(t *testing.T, proc fstest.MapFS, text string) (*configs.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "spigate.toml")
	if err := os.WriteFile(file, []byte("version = 1\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := configs.LoadWith(file, LoadOptions(proc))
	return c, err
}

func TestTablesAreOfTheBoardsSize(t *testing.T) {
	small, large := machine("linux,dummy-virt", "107000"), machine("cznic,turris-omnia", "2068340")
	for _, c := range []struct {
		name string
		on   fstest.MapFS
		text string
		want func(configs.Limits) bool
	}{
		{"a small board", small, "", func(l configs.Limits) bool { return l.Flows == board.Budget(107000<<10).Flows && l.Flows < 131072 }},
		{"a large board", large, "", func(l configs.Limits) bool { return l == configs.DefaultLimits() }},
		{"what is not known", fstest.MapFS{}, "", func(l configs.Limits) bool { return l == configs.DefaultLimits() }},
		{"what is written wins", small, "[limits]\nflows = 500000\n", func(l configs.Limits) bool { return l.Flows == 500000 && l.LSNSessions < 65536 }},
		{"a large board's name on a small one", small, "[board]\nmodel = \"turris-omnia\"\n", func(l configs.Limits) bool { return l.Flows == board.Budget(107000<<10).Flows }},
		{"a small board's name on a large one", large, "[board]\nmodel = \"qemu-virt-arm\"\n", func(l configs.Limits) bool { return l.Flows == board.Budget(128<<20).Flows }},
	} {
		got, err := loadOn(t, c.on, c.text)
		if err != nil || !c.want(got.Limits) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	_, err := loadOn(t, small, "[board]\nmodel = \"turris omnia\"\n")
	if err == nil || !strings.HasSuffix(err.Error(), `; did you mean "turris-omnia"?`) {
		t.Errorf("a board that is nearly known: %v", err)
	}
	_, err = loadOn(t, small, "[board]\nmodel = \"toaster\"\n")
	if err == nil || !strings.Contains(err.Error(), `:3:9: board.model: no board "toaster" is known`) {
		t.Errorf("a board that is not known: %v", err)
	}
}

func TestTablesThatCannotBeFullAreWarnedOf(t *testing.T) {
	small := machine("linux,dummy-virt", "107000")
	for text, warned := range map[string]string{
		"":                              "",
		"[limits]\nflows = 64\n":        "",
		"[limits]\nconnections = 65536": "QEMU virt (ARMv7)",
		twoDomains:                      "2 traffic domains",
	} {
		c, err := loadOn(t, small, text)
		if err != nil {
			t.Fatal(err)
		}
		b, err := BoardOf(c.Board.Model, small)
		if err != nil {
			t.Fatal(err)
		}
		got := CheckMemory(c, b)
		if (len(got) > 0) != (warned != "") || len(got) > 0 && !strings.Contains(got[0].Text, warned) {
			t.Errorf("%q: %v, want %q", text, got, warned)
		}
	}
}

const twoDomains = `
[port.a]
driver = "raw"
device = "eth0"
[port.b]
driver = "raw"
device = "eth1"
[vlan.one]
port = "a"
addresses = ["10.0.0.1/24"]
[vlan.two]
port = "b"
traffic_domain = 2
addresses = ["10.0.0.1/24"]
`

func TestTheMemoryLimitIsTheBoardsUnlessTheOperatorHasSetOne(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	c, _, err := configs.Parse("c.toml", []byte("version = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := board.Find("turris-omnia")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	t.Setenv("GOMEMLIMIT", "2GiB") // the runtime has read its own at the start
	debug.SetMemoryLimit(math.MaxInt64)
	UseMemory(c, b, slog.New(slog.NewTextHandler(&log, nil)))
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("with GOMEMLIMIT the limit became %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	UseMemory(c, b, slog.New(slog.NewTextHandler(&log, nil)))
	if got := debug.SetMemoryLimit(-1); got != 512<<20 {
		t.Errorf("the limit is %d bytes", got)
	}
	if want := "model=turris-omnia ram=1073741824 memory_limit=536870912 flows=131072"; !strings.Contains(log.String(), want) {
		t.Errorf("the log has no %q: %s", want, &log)
	}
}
