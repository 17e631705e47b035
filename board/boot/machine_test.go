package boot

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// bench is process 1 on a system that is none, with a clock moved by hand and a
// console whose other end is the test's.
type bench struct {
	t       *testing.T
	f       *fake
	now     atomic.Int64
	ticks   chan struct{}
	signals chan os.Signal
	keys    *os.File
	done    chan error

	mu     sync.Mutex
	screen strings.Builder
}

func startBench(t *testing.T, f *fake) *bench {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		t: t, f: f, ticks: make(chan struct{}), signals: make(chan os.Signal, 4),
		keys: os.NewFile(uintptr(ends[0]), "keys"), done: make(chan error, 1),
	}
	f.files["/proc/cmdline"] = []byte("spigate.flash=/dev/vda\n")
	console := os.NewFile(uintptr(ends[1]), "console")
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := b.keys.Read(buf)
			b.mu.Lock()
			b.screen.Write(buf[:n])
			b.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		b.done <- Run(Config{
			System: f, Now: b.now.Load, Ticks: b.ticks, Signals: b.signals, Console: console,
			Notes: filepath.Join(t.TempDir(), "notes"),
			Proc:  fstest.MapFS{"device-tree/compatible": {Data: []byte("linux,dummy-virt\x00")}},
		})
	}()
	t.Cleanup(func() { b.keys.Close() })
	return b
}

// until lets the machine's clock run, a quarter of a second a tick, until
// something is so.
func (b *bench) until(what string, so func() bool) {
	b.t.Helper()
	for range 1_000_000 {
		if so() {
			return
		}
		runtime.Gosched() // to those who wait for files
		b.now.Add(int64(time.Second / 4))
		select {
		case b.ticks <- struct{}{}:
		case err := <-b.done:
			b.done <- err
			if so() {
				return
			}
			b.t.Fatalf("process 1 ended (%v) before %s", err, what)
		}
	}
	b.t.Fatalf("never: %s; asked %s; on the screen:\n%s", what, b.f.all(), b.text())
}

func (b *bench) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.screen.String()
}

func (b *bench) shows(text string) func() bool {
	return func() bool { return strings.Contains(b.text(), text) }
}

func (b *bench) typeKeys(text string) {
	b.t.Helper()
	if _, err := b.keys.WriteString(text); err != nil {
		b.t.Fatal(err)
	}
}

// started waits for a process and returns it.
func (b *bench) started(words string) (pid int, files [3]*os.File) {
	b.t.Helper()
	b.until("a start of "+words, func() bool {
		pid, files = b.f.running(words)
		return pid != 0
	})
	return pid, files
}

const ownRun = "run --state-dir=/overlay/spigate --factory /etc/spigate.toml"

func TestTheMachineComesUpAndRunsTheRouter(t *testing.T) {
	f := newFake()
	f.files["/etc/modules"] = []byte("/m/a.ko\n")
	b := startBench(t, f)
	_, files := b.started(ownRun)
	io.WriteString(files[2], "level=INFO msg=ready\n")
	b.until("the router's line", b.shows("] level=INFO msg=ready\n"))
	for _, want := range []string{"board qemu-virt-arm", "1 kernel modules loaded", prompt} {
		b.until(want, b.shows(want))
	}
	order := []string{"mount /proc", "module /m/a.ko", "mount /overlay", "mkdir /overlay/spigate", "watchdog /dev/watchdog", "pet", "start run"}
	b.until("a pet", func() bool { return f.did("pet") })
	inOrder(t, f, order...)
}

// inOrder fails unless the system was asked these things in this order.
func inOrder(t *testing.T, f *fake, steps ...string) {
	t.Helper()
	rest := "\n" + f.all()
	for _, step := range steps {
		_, after, ok := strings.Cut(rest, "\n"+step)
		if !ok {
			t.Errorf("%q is not in its place: %s", step, f.all())
			return
		}
		rest = after
	}
}

func TestACommandsOutputIsNotTornByTheLog(t *testing.T) {
	b := startBench(t, newFake())
	_, router := b.started("run")
	b.typeKeys("spigate show lsn \"a b\"\n")
	pid, files := b.started("show lsn a b")
	io.WriteString(files[1], `{"version":1,`)
	b.until("half an answer", b.shows(`{"version":1,`))
	io.WriteString(router[2], "level=WARN msg=noise\n")
	io.WriteString(files[1], "\"items\":[]}\n")
	b.f.end(pid, 4<<8)
	b.until("the prompt", b.shows("{\"version\":1,\"items\":[]}\n(exit code 4)\n"+prompt))
	b.until("the log", b.shows("noise"))
}

func TestWhatIsTypedGoesToACommandThatReadsIt(t *testing.T) {
	b := startBench(t, newFake())
	b.started("run")
	b.typeKeys("config apply -\nversion = 1\n[system]\n")
	pid, files := b.started("config apply -")
	in := bufio.NewReader(files[0])
	for _, want := range []string{"version = 1\n", "[system]\n"} {
		if got, err := in.ReadString('\n'); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	b.f.end(pid, 0)
	b.until("the end of it", func() bool { return strings.Count(b.text(), prompt) == 2 })
	b.typeKeys("log\n")
	b.until("the log", b.shows("the router is started"))
}

func TestCtrlCEndsACommandAndForgetsWhatWasTyped(t *testing.T) {
	b := startBench(t, newFake())
	b.started("run")
	b.typeKeys("watch\n")
	pid, _ := b.started("watch")
	b.typeKeys("reboot\nreboot\n\x03")
	b.until("a signal", func() bool { return b.f.did(fmt.Sprintf("signal %d interrupt", pid)) })
	b.until("the prompt", b.shows("signal 2, interrupt"))
	b.typeKeys("version\n")
	b.started("version")
	if strings.Contains(b.text(), "reboot (console)") {
		t.Error("what was typed before Ctrl-C was done")
	}
}

func TestBadLinesDoNoHarm(t *testing.T) {
	b := startBench(t, newFake())
	b.started("run")
	b.typeKeys(strings.Repeat("x", 1<<20) + "\n\n  \n'\n" + strings.Repeat("a ", 500) + "\nsignal bite\nversion\n")
	b.started("version")
	for _, want := range []string{errQuote.Error(), "too many words", "want signal hup, quit, stop or cont"} {
		b.until(want, b.shows(want))
	}
}

func TestTheEndOfTheMachineIsInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		ask    func(*bench)
		finish Finish
		rest   bool
	}{
		"poweroff":     {func(b *bench) { b.typeKeys("poweroff\n") }, PowerOff, true},
		"reboot":       {func(b *bench) { b.typeKeys("reboot\n") }, Reboot, false},
		"SIGTERM":      {func(b *bench) { b.signals <- syscall.SIGTERM }, Reboot, false},
		"Ctrl-Alt-Del": {func(b *bench) { b.signals <- syscall.SIGINT }, Reboot, false},
		"SIGPWR":       {func(b *bench) { b.signals <- syscall.SIGPWR }, PowerOff, true},
	} {
		f := newFake()
		b := startBench(t, f)
		pid, _ := b.started("run")
		c.ask(b)
		b.until("the end", func() bool { return len(b.done) > 0 })
		inOrder(t, f, fmt.Sprintf("signal %d terminated", pid), "all terminated", "all killed", "sync", "unmount /overlay", fmt.Sprintf("finish %d", c.finish))
		if f.did("rest") != c.rest || f.count("start run") != 1 {
			t.Errorf("%s: %s", name, f.all())
		}
	}
}

func TestSignalsThatMeanNothingEndNothing(t *testing.T) {
	b := startBench(t, newFake())
	b.started("run")
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT, syscall.SIGUSR1} {
		b.signals <- s
	}
	b.typeKeys("version\n")
	b.started("version")
}

func TestTheRouterIsStartedAgainAndThenAsTheFactoryMadeIt(t *testing.T) {
	b := startBench(t, newFake())
	for range 3 {
		pid, _ := b.started(ownRun)
		b.f.end(pid, 5<<8)
		b.until("it is noticed", func() bool { p, _ := b.f.running(ownRun); return p != pid })
	}
	b.started(ownRun + " --use-factory")
	b.until("it is said", b.shows("now runs with the factory configuration"))
	b.until("three ends", func() bool { return strings.Count(b.text(), "the router has ended: exit code 5") == 3 })
}

func TestAMachineWithoutAnythingStillComesUp(t *testing.T) {
	f := newFake()
	for _, what := range []string{"mount", "mkdir", "watchdog", "keys", "read /proc/cmdline", "list"} {
		f.refuse[what] = syscall.ENOMEM
	}
	f.files["/etc/modules"] = []byte("/m/a.ko\n")
	f.refuse["module"] = syscall.ENOEXEC
	b := startBench(t, f)
	b.started(ownRun)
	b.typeKeys("help\n")
	b.until("help", b.shows("Ctrl-C ends a command"))
	for _, want := range []string{"mount /proc: cannot allocate memory", "kernel module /m/a.ko: exec format error", "NO FLASH", "watchdog /dev/watchdog: cannot"} {
		b.until(want, b.shows(want))
	}
}

func TestTheConsoleTellsWhoHasHowMuchMemory(t *testing.T) {
	f := newFake()
	f.files["/proc/meminfo"] = []byte("MemTotal:         110592 kB\nMemFree: 7 kB\n")
	f.files["/proc/1/smaps_rollup"] = []byte("00010000-be9 ---p 00000000 00:00 0 [rollup]\nRss:                5120 kB\nPss:  900 kB\n")
	b := startBench(t, f)
	b.started("run")
	b.typeKeys("memory\n")
	for _, want := range []string{"machine  MemTotal 110592 kB MemFree 7 kB", "init     Rss 5120 kB Pss 900 kB Private_Dirty ?", "router   open /proc/"} {
		b.until(want, b.shows(want))
	}
}

func TestOneWhoAnswersIsWell(t *testing.T) {
	for answer, well := range map[string]bool{
		"HTTP/1.1 200 OK\r\n\r\n":                  true,
		"HTTP/1.1 503 Service Unavailable\r\n\r\n": false,
		"HTTP/1.1\r\n":                             false,
		"":                                         false,
		strings.Repeat("x", 1<<20):                 false,
	} {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan string, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			asked <- line
			io.WriteString(conn, answer)
			conn.Close()
		}()
		if err := probe(t.Context(), socket); (err == nil) != well {
			t.Errorf("%.30q: %v", answer, err)
		}
		if line := <-asked; line != "GET /v1/status HTTP/1.1\r\n" {
			t.Errorf("asked %q", line)
		}
		l.Close()
	}
	if err := probe(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("nobody is well")
	}
}

func TestOneWhoDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- probe(ctx, socket) }()
	cancel()
	if err := <-ended; err == nil {
		t.Error("it is well")
	}
}
