package wire

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"

	"spigate/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scenarios is where the scenarios lie; their language is in the README there.
// Another folder is good for trying something out.
var scenarios = flag.String("scenarios", "../../../tests/scenario", "folder with the scenarios to play")

// TestScenario plays every file of tests/scenario against a router that wire
// makes of the file's own configuration, over links in memory.
func TestScenario(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(*scenarios, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s (%v)", *scenarios, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name+rulesOf(archive), func(t *testing.T) {
			t.Parallel()
			if err := play(name+".txtar", archive); err != nil {
				t.Error(err)
			}
		})
	}
}

// rulesOf returns the rules that the first paragraph of the header names, for
// the test's name.
func rulesOf(a *txtar.Archive) string {
	about, _, _ := strings.Cut(string(a.Comment), "\n#\n")
	out := ""
	for _, rule := range regexp.MustCompile(`\bV?R\d+a?\b`).FindAllString(about, -1) {
		out += "_" + rule
	}
	return out
}

func TestEveryNastyCaseHasAScenarioThatNamesItsRules(t *testing.T) {
	files, err := filepath.Glob("../../../tests/scenario/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), "-")
		found[name] = true
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if rulesOf(archive) == "" {
			t.Errorf("%s names no rule in the first paragraph of its header", file)
		}
	}
	for kind, last := range map[string]int{"n%02d": 40, "w%d": 7, "vs%d": 10} {
		for i := 1; i <= last; i++ {
			if name := fmt.Sprintf(kind, i); !found[name] {
				t.Errorf("there is no scenario %s", name)
			}
		}
	}
}

// line is one line of a script, where it stands.
type line struct {
	file string
	n    int
	text string
}

func (l line) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s\n\t%w", l.file, l.n, l.text, fmt.Errorf(format, args...))
}

// scenario is one file, taken apart.
type scenario struct {
	config   []byte
	script   []line
	sections map[string]string
}

// open takes an archive apart. Its comment must say what the file is about.
func open(file string, a *txtar.Archive) (*scenario, error) {
	if !bytes.HasPrefix(a.Comment, []byte("# ")) {
		return nil, fmt.Errorf("%s: has no comment that says what it is about", file)
	}
	s := &scenario{sections: map[string]string{}}
	at := bytes.Count(a.Comment, []byte("\n"))
	for _, f := range a.Files {
		at++ // the marker's own line
		switch f.Name {
		case "config.toml":
			s.config = f.Data
		case "script":
			for i, text := range strings.Split(string(f.Data), "\n") {
				s.script = append(s.script, line{file, at + i + 1, strings.TrimSpace(text)})
			}
		case "log", "warnings", "faults", "next.toml":
			s.sections[f.Name] = string(f.Data)
		default:
			return nil, fmt.Errorf("%s:%d: a section called %q means nothing", file, at, f.Name)
		}
		at += bytes.Count(f.Data, []byte("\n"))
	}
	if s.config == nil {
		return nil, fmt.Errorf("%s: has no config.toml", file)
	}
	return s, nil
}

// play runs one scenario.
func play(file string, a *txtar.Archive) (err error) {
	s, err := open(file, a)
	if err != nil {
		return err
	}
	config, err := s.readConfig(file)
	if err != nil || config == nil {
		return err
	}
	w, err := newWorld(config)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	w.next = s.sections["next.toml"]
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.run(s.script); err != nil {
		return err
	}
	if want, ok := s.sections["log"]; ok {
		if diff := cmp.Diff(want, w.log.text()); diff != "" {
			return fmt.Errorf("%s: log (-want +got):\n%s", file, diff)
		}
	}
	return nil
}

// readConfig parses the configuration and holds what the parser says of it
// against the sections warnings and faults. The result is nil without an
// error where the faults are those that the file wants.
func (s *scenario) readConfig(file string) (*configs.Config, error) {
	c, warnings, err := configs.Parse("config.toml", s.config)
	said, faults := "", ""
	for _, w := range warnings {
		said += w.String() + "\n"
	}
	if err != nil {
		faults = strings.TrimRight(err.Error(), "\n") + "\n"
	}
	if diff := cmp.Diff(s.sections["warnings"], said); diff != "" {
		return nil, fmt.Errorf("%s: warnings of the configuration (-want +got):\n%s", file, diff)
	}
	if diff := cmp.Diff(s.sections["faults"], faults); diff != "" {
		return nil, fmt.Errorf("%s: faults of the configuration (-want +got):\n%s", file, diff)
	}
	return c, nil
}
