package commands

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// watch reads "watch N WORDS…": the command with --watch, until it has drawn the
// first line of its answer N times; then Ctrl-C. It must end well.
func (s *scene) watch(ts *testscript.TestScript, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(s.binary, append(s.words(args[1:]), "--watch", "100ms")...)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = ts.Stderr()
	ts.Check(cmd.Start())
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	lines, first := bufio.NewScanner(out), ""
	lines.Buffer(nil, 1<<20)
	for n > 0 && lines.Scan() {
		if first == "" {
			first = lines.Text()
		}
		if strings.TrimSpace(lines.Text()) == strings.TrimSpace(first) {
			n--
		}
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	for lines.Scan() { // what it had begun to draw
	}
	ts.Check(cmd.Wait())
	if n > 0 {
		ts.Fatalf("%q was drawn %d times too seldom", first, n)
	}
}
