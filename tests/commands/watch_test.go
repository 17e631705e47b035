package commands

import (
	"bufio"
	"bytes"
	"fmt"
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

// during reads "during VLAN PACKET WORDS…": the command, with the packet put on
// the VLAN again and again until it has ended by itself.
func (s *scene) during(ts *testscript.TestScript, args []string) {
	if len(args) < 3 || s.current == nil {
		ts.Fatalf("usage: during VLAN PACKET WORDS…, of a daemon that runs")
	}
	v, err := s.current.site.vlan(args[0])
	ts.Check(err)
	p, err := packet(args[1])
	ts.Check(err)
	cmd := exec.Command(s.binary, s.words(args[2:])...)
	cmd.Dir = ts.MkAbs(".")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	ts.Check(cmd.Start())
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			fmt.Fprint(ts.Stdout(), s.steady(out.String()))
			fmt.Fprint(ts.Stderr(), s.steady(errs.String()))
			ts.Check(err)
			return
		case <-tick.C:
			ts.Check(s.current.site.inject(v, p))
		}
	}
}
