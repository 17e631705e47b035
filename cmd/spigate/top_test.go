package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spigate/cmd/internal/control"
)

func (h *house) TopFlows(by control.TopOrder) []control.TopFlow {
	from, to, nat := uint16(5000), uint16(443), uint16(6234)
	rows := []control.TopFlow{
		{Protocol: "UDP", SourceIP: ip(clientA), SourcePort: &from, DestIP: ip(gateway), DestPort: &to, NewIP: control.Addr{Addr: ip(outside)}, NewPort: &nat,
			InInterface: "inside", Owner: "lsn", Bits: 12.34e6, Packets: 1234},
		{Protocol: "ESP", SourceIP: ip(gateway), DestIP: ip(outside), SPI: 0xc3a1b2d4, NewIP: control.Addr{Addr: ip(clientB)}, InInterface: "external", Owner: "ipsecalg", Bits: 999.4, Packets: 2.5},
	}
	if by == control.ByPackets {
		rows = rows[1:]
	}
	return rows
}

func (h *house) TopSubscribers(control.TopOrder) []control.TopSubscriber {
	return []control.TopSubscriber{{SubscriberIP: ip(clientA), Flows: 2, TxBits: 5e9, RxBits: 8000, TxPackets: 400000, RxPackets: 1}}
}

func TestTopOnceAsTextAndAsOneLineOfJSON(t *testing.T) {
	socket, _ := daemon(t, &house{status: healthy()})
	for _, what := range []string{"flows", "subscribers", "drops", "ports"} {
		code, stdout, stderr := spigate(t, "top", what, "--once", "--interval", "100ms", "--socket", socket)
		if code != exitOK || stderr != "" {
			t.Errorf("top %s: exit %d, %s", what, code, stderr)
		}
		golden(t, "top-"+what+".txt", stdout)
		_, stdout, _ = spigate(t, "top", what, "--count", "2", "--json", "--interval", "100ms", "--socket", socket)
		lines := strings.SplitAfter(stdout, "\n")
		if len(lines) != 3 || lines[0] != lines[1] || lines[2] != "" {
			t.Errorf("top %s --json: two pictures are %q", what, lines)
		}
		golden(t, "top-"+what+".json", lines[0])
	}
}

func TestTopRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, words := range []string{"top flow", "top flows --sort lost", "top --interval 1ms", "top drops --sort bits"} {
		if code, _, stderr := spigate(t, strings.Fields(words)...); code != exitUsage {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
	}
	if code, _, _ := spigate(t, "top", "--once", "--socket", "/nowhere/s"); code != exitNoDaemon {
		t.Errorf("without a daemon: exit %d", code)
	}
}

// Rates of drops and ports are between two looks, by the clock between them,
// and a daemon that was started anew has carried what it says.
func TestCountersBecomeRatesBetweenTwoLooks(t *testing.T) {
	h := &house{status: healthy()}
	socket, _ := daemon(t, h)
	at := time.Unix(100, 0)
	ports := scenes(func() time.Time { return at })[3]
	look := func() frame {
		t.Helper()
		f, ready, err := ports.take(t.Context(), control.NewClient(socket), "bits")
		if err != nil || ready == (at == time.Unix(100, 0)) {
			t.Fatalf("ready %v, %v", ready, err)
		}
		return f
	}
	look()
	at = at.Add(2 * time.Second)
	h.status.Ports[1].RxBytes += 2_000_000
	h.status.Ports[1].RxFrames += 300
	h.status.Ports[1].FastHits += 90
	h.status.Ports[1].SlowHits += 10
	if got := look().items[0].(topPort); got.Port != "wan" || got.RxBits != 8_000_000 || got.RxPackets != 150 || got.Fast != 90 || got.TxBits != 0 {
		t.Errorf("it is %+v", got)
	}
	at = at.Add(time.Second)
	h.status.Ports[1].RxBytes = 1000
	if got := look().items[0].(topPort); got.RxBits != 8000 {
		t.Errorf("after a new start it is %+v", got)
	}
}

func TestRatesHaveThreeDigits(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.25: "0.25", 2.5: "2.5", 12.34: "12.3", 999.4: "999", 999.6: "1k", 12345: "12.3k", 1e6: "1M", 99.96e6: "100M", 5e9: "5G", 2e15: "2000T"} {
		if got := metric(n); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
}

// pseudoTerminal returns both ends of one that is as high as a terminal is.
func pseudoTerminal(t *testing.T, rows uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+number(uint64(n)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	resize(t, master, rows)
	return master, slave
}

func resize(t *testing.T, master *os.File, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: 120}); err != nil {
		t.Fatal(err)
	}
}

// watcher reads what a program draws.
type watcher struct {
	t      *testing.T
	master *os.File
	seen   bytes.Buffer
}

// until reads on until text was drawn, and returns all that came with it.
func (w *watcher) until(text string) string {
	w.t.Helper()
	b := make([]byte, 4096)
	for !strings.Contains(w.seen.String(), text) {
		n, err := w.master.Read(b)
		if err != nil {
			w.t.Fatalf("%v; so far: %q", err, w.seen.String())
		}
		w.seen.Write(b[:n])
	}
	all := w.seen.String()
	w.seen.Reset()
	w.seen.WriteString(all[strings.Index(all, text)+len(text):])
	return all
}

func TestTopOnATerminalTakesKeysAndGivesItBackAsItWas(t *testing.T) {
	socket, _ := daemon(t, &house{status: healthy()})
	master, slave := pseudoTerminal(t, 40)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var errs bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- execute(ctx, []string{"top", "--socket", socket, "--interval", "200ms"}, slave, &errs, true)
	}()
	w := &watcher{t: t, master: master}
	if got := w.until("198.51.100.9:443"); !strings.Contains(got, screenOn) || !strings.Contains(got, "top flows  by bits") {
		t.Errorf("it begins with %q", got)
	}
	master.WriteString("p")
	w.until("top flows  by packets")
	master.WriteString("s")
	w.until("top subscribers  by bits")
	w.until("5G")
	master.WriteString("d")
	w.until("esp_no_gate_in")
	master.WriteString("xq") // x is nothing
	if code := <-ended; code != exitOK || errs.Len() > 0 {
		t.Errorf("exit %d, %s", code, &errs)
	}
	w.until(screenOff)
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is left as %+v, it was %+v, %v", after, before, err)
	}
}

// Ctrl-Z gives the terminal to the shell as it was, and fg takes it over again.
func TestATerminalIsGivenBackWhileTheProcessIsStopped(t *testing.T) {
	master, slave := pseudoTerminal(t, 40)
	mode := func() unix.Termios {
		t.Helper()
		m, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return *m
	}
	before := mode()
	term, ok := openTerminal(t.Context(), slave)
	if !ok {
		t.Fatal("it is a terminal")
	}
	raw := mode()
	stopped := 0
	term.halt = func() {
		stopped++
		if m := mode(); m != before {
			t.Errorf("while it is stopped the terminal is %+v, it was %+v", m, before)
		}
	}
	for range 2 {
		if err := term.suspend(t.Context()); err != nil || mode() != raw {
			t.Fatalf("afterwards it is %+v, %v", mode(), err)
		}
		master.WriteString("x")
		if key := <-term.keys; key != 'x' {
			t.Errorf("key %q", key)
		}
	}
	term.close()
	if m := mode(); m != before || stopped != 2 {
		t.Errorf("it is left as %+v, stopped %d times", m, stopped)
	}
	w := &watcher{t: t, master: master}
	for range 3 {
		w.until(screenOn)
		w.until(screenOff)
	}
}

// The process that stops is this test in another one: in a group of its own, with
// a parent that could continue it, as a shell's jobs are.
func TestAProcessThatCatchesCtrlZStopsUntilItIsContinued(t *testing.T) {
	const stops = "SPIGATE_TEST_STOPS"
	if os.Getenv(stops) != "" {
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, unix.SIGTSTP)
		for range 2 {
			haltProcess()
			unix.Kill(unix.Getpid(), unix.SIGTSTP)
			<-caught // it is caught again
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), stops+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var status unix.WaitStatus
		if _, err := unix.Wait4(cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() || status.StopSignal() != unix.SIGTSTP {
			t.Fatalf("it did not stop: %#x, %v", status, err)
		}
		if err := cmd.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A picture is no higher than the terminal: the rest would scroll it away.
func TestTopFitsTheTerminalAlsoWhenItsSizeChanges(t *testing.T) {
	master, slave := pseudoTerminal(t, 7)
	term, ok := openTerminal(t.Context(), slave)
	if !ok {
		t.Fatal("it is a terminal")
	}
	defer term.close()
	top := &topper{app: &app{out: &output{w: slave}, color: true}, term: term, scene: &scenes(nil)[0], last: frame{header: []string{"Row"}}}
	for range 50 {
		top.last.add(nil, "row")
	}
	w := &watcher{t: t, master: master}
	for rows, want := range map[uint16]int{7: 2, 20: 15, 3: 0} {
		resize(t, master, rows)
		if err := top.draw(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(w.until("\x1b[J"), "row\x1b[K"); got != want {
			t.Errorf("%d lines have %d rows, want %d", rows, got, want)
		}
	}
}
