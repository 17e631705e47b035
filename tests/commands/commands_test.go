package commands

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"spigate/tests/netns"
)

var update = flag.Bool("update", false, "write what the commands print into the scenarios")

var build netns.Build

func TestMain(m *testing.M) {
	code := m.Run()
	build.Remove()
	os.Exit(code)
}

// TestCommands plays the scenarios.
func TestCommands(t *testing.T) {
	p := params(t)
	p.Dir, p.UpdateScripts = "testdata", *update
	testscript.Run(t, p)
}

// params are the lines that scenarios have.
func params(t *testing.T) testscript.Params {
	t.Helper()
	binary, err := build.Daemon()
	if err != nil {
		t.Fatal(err)
	}
	return testscript.Params{
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			s := &scene{binary: binary, dir: env.WorkDir, daemons: map[string]*daemon{}}
			env.Values[sceneKey{}] = s
			env.Defer(s.close)
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			return s.readVolatile()
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"daemon":    func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).start(args)) },
			"on":        func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).turnTo(args)) },
			"hup":       func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(of(ts).current.reload()) },
			"terminate": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(of(ts).current.stop()) },
			"spigate":   func(ts *testscript.TestScript, neg bool, args []string) { of(ts).run(ts, neg, args) },
			"watch":     func(ts *testscript.TestScript, _ bool, args []string) { of(ts).watch(ts, args) },
			"exits":     func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).exited(args)) },
			"meet":      func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).meet(args)) },
			"send":      func(ts *testscript.TestScript, _ bool, args []string) { of(ts).send(ts, args) },
			"replay":    func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).replay(args)) },
			"holds":     func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).holds(ts, args)) },
			"during":    func(ts *testscript.TestScript, _ bool, args []string) { of(ts).during(ts, args) },
			"until":     func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(of(ts).until(args)) },
		},
	}
}

type sceneKey struct{}

func of(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// scene is one scenario while it is played.
type scene struct {
	binary, dir string
	daemons     map[string]*daemon
	current     *daemon // whom commands ask; nil: none runs
	volatile    []rule
	code        int // of the last command
}

func (s *scene) close() {
	for _, d := range s.daemons {
		d.end()
	}
}

// turnTo reads "on NAME": the commands that follow ask that daemon.
func (s *scene) turnTo(args []string) error {
	if len(args) != 1 || s.daemons[args[0]] == nil {
		return fmt.Errorf("usage: on NAME, of a daemon that was started; not %v", args)
	}
	s.current = s.daemons[args[0]]
	return nil
}

// asksNobody are the verbs that have no --socket.
func asksNobody() []string {
	return []string{"check", "version", "completion", "help", "run", "import", "web", "__complete"}
}

// words completes a line with the socket of the daemon that it is for.
func (s *scene) words(args []string) []string {
	if s.current == nil || len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return args
	}
	for _, verb := range asksNobody() {
		if args[0] == verb {
			return args
		}
	}
	for _, word := range args {
		if word == "--socket" || word == "--help" {
			return args
		}
	}
	return append(args, "--socket", s.current.socket)
}

// patience is how long a command may take; a daemon that is asked to negotiate
// takes longest.
const patience = 20 * time.Second

// run reads "spigate WORDS…". With "!" in front the exit code must not be 0.
func (s *scene) run(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command(s.binary, s.words(args)...)
	cmd.Dir = ts.MkAbs(".")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if in, err := os.Open(ts.MkAbs("stdin")); err == nil { // "spigate config apply -" and the like
		defer in.Close()
		cmd.Stdin = in
	}
	ts.Check(cmd.Start())
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	late.Stop()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		ts.Fatalf("%v", err)
	}
	s.code = cmd.ProcessState.ExitCode()
	fmt.Fprint(ts.Stdout(), s.steady(out.String()))
	fmt.Fprint(ts.Stderr(), s.steady(errs.String()))
	if neg != (s.code != 0) {
		ts.Fatalf("spigate %s: exit code %d\n%s%s", strings.Join(args, " "), s.code, out.String(), errs.String())
	}
}

// exited reads "exits CODE".
func (s *scene) exited(args []string) error {
	if len(args) != 1 || args[0] != strconv.Itoa(s.code) {
		return fmt.Errorf("the last command's exit code was %d, want %v", s.code, args)
	}
	return nil
}

// holds reads "holds FILE": the last output has all of the file's lines, in
// their order, whatever blanks there are between words. It is for pages of documents,
// which have lost their columns.
func (s *scene) holds(ts *testscript.TestScript, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: holds FILE")
	}
	rest := strings.Split(ts.ReadFile("stdout")+ts.ReadFile("stderr"), "\n")
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		want := strings.Fields(s.steady(line))
		at := slices.IndexFunc(rest, func(have string) bool { return alike(strings.Fields(have), want) })
		if at < 0 {
			return fmt.Errorf("no line %q, or not behind the one before it", strings.TrimSpace(line))
		}
		rest = rest[at+1:]
	}
	return nil
}

// alike compares the words of a line; three dots at its end are any words, or
// none.
func alike(have, want []string) bool {
	if n := len(want) - 1; n >= 0 && want[n] == "..." {
		return len(have) >= n && slices.Equal(have[:n], want[:n])
	}
	return slices.Equal(have, want)
}

// until reads "until TEXT spigate-WORDS…": asks again and again until the answer
// holds the text. It is for what the daemon counts once a second.
func (s *scene) until(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: until TEXT WORDS…")
	}
	var out []byte
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); ; {
		out, _ = exec.Command(s.binary, s.words(args[1:])...).CombinedOutput()
		if bytes.Contains(out, []byte(args[0])) {
			return nil
		}
		select {
		case <-late:
			return fmt.Errorf("spigate %s has no %q:\n%s", strings.Join(args[1:], " "), args[0], out)
		case <-tick.C:
		}
	}
}
