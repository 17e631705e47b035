package takeover

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// takeAndWait is what the process does that the kill test kills.
func takeAndWait(devices []string, dir string) {
	for _, d := range devices {
		if _, err := Take(d, Config{Dir: dir}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("taken")
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// startTaker starts a process that takes the devices, in the namespace of the
// calling thread, and returns when it has. kill ends it as kill -9 does.
func startTaker(t *testing.T, dir string, devices ...string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TAKE_AND_WAIT="+strings.Join(devices, ","), "TAKE_DIR="+dir)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "taken\n" {
		t.Fatalf("the other process says %q", line)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = in.Close()
	}
}

func TestRefusalsNameTheirCause(t *testing.T) {
	l := newLab(t)
	run(t, "ip", "link", "add", "br0", "type", "bridge")
	veth(t, "m0", "m1")
	run(t, "ip", "link", "set", "m0", "master", "br0")
	ports := l.take(t)
	defer restore(t, ports)
	for _, c := range []struct{ name, device, want string }{
		{"a device that is not there", "nope0", "take nope0: no such device"},
		{"a device taken already", "p0", "take p0: it is taken already"},
		{"a member of a bridge", "m0", "take m0: it is a member of br0"},
		{"the loopback device", "lo", `take lo: not an Ethernet device but "loopback"`},
		{"a path in place of a name", "../p0", "not a device name"},
	} {
		_, err := Take(c.device, Config{Dir: l.dir})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestAPortTakenByAnotherProcessIsRefused(t *testing.T) {
	l := newLab(t)
	kill := startTaker(t, l.dir, "p0")
	defer kill()
	if _, err := Take("p0", Config{Dir: l.dir}); err == nil || !strings.Contains(err.Error(), "taken already") {
		t.Errorf("error %v", err)
	}
}

func TestAFailureHalfWayGivesThePortBack(t *testing.T) {
	l := newLab(t)
	before := picture(t)
	// A state file that can be written at first and not later: the directory
	// is filled by a directory in the file's place once the drop stands.
	p := &Port{device: "p0", log: slog.New(slog.DiscardHandler), file: stateFile{dir: l.dir, device: "p0"}}
	var err error
	p.link, err = findDevice("p0")
	must(t, err)
	p.state, err = identify(p.link)
	must(t, err)
	for _, s := range steps()[:4] {
		must(t, s.apply(p))
	}
	p.file.dir = filepath.Join(l.dir, "gone")
	if err := p.offloadsOff(); err == nil {
		t.Fatal("no error without a state file")
	}
	p.file.dir = l.dir
	must(t, p.undo())
	if diff := cmp.Diff(before, picture(t)); diff != "" {
		t.Errorf("not as it was (-before +after):\n%s", diff)
	}
}

func TestAStateDirectoryThatCannotBeWrittenLeavesThePortAlone(t *testing.T) {
	l := newLab(t)
	before := picture(t)
	file := filepath.Join(l.dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Take("p0", Config{Dir: file}); err == nil {
		t.Fatal("no error")
	}
	// Here the lock can be made, but not the state file.
	must(t, os.Mkdir(filepath.Join(l.dir, "p0.json.new"), 0o700))
	if _, err := Take("p0", Config{Dir: l.dir}); err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(before, picture(t)); diff != "" {
		t.Errorf("not as it was (-before +after):\n%s", diff)
	}
}

func TestTheStateOfAnEarlierDeviceOfTheNameIsIgnored(t *testing.T) {
	l := newLab(t)
	p, err := Take("p0", Config{Dir: l.dir})
	must(t, err)
	file := p.file.path()
	b, err := os.ReadFile(file)
	must(t, err)
	must(t, p.Restore())
	for _, c := range []struct {
		name   string
		change func(*state)
	}{
		{"made anew", func(s *state) { s.Index += 1000 }},
		{"before the last boot", func(s *state) { s.Boot = "another" }},
		{"in another namespace", func(s *state) { s.Netns++ }},
		{"of a later version", func(s *state) { s.Version++ }},
		{"unreadable", nil},
	} {
		s, err := parseState(b)
		must(t, err)
		s.Sysctls = []setting{{"ipv4/proxy_arp", "1"}}
		text := []byte("{")
		if c.change != nil {
			c.change(&s)
			text, err = json.Marshal(s)
			must(t, err)
		}
		must(t, os.WriteFile(file, text, 0o600))
		var log bytes.Buffer
		p, err := Take("p0", Config{Dir: l.dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		if !strings.Contains(log.String(), "ignored") {
			t.Errorf("%s: log says %q", c.name, log.String())
		}
		must(t, p.Restore())
		if v, _ := os.ReadFile(p.sysctlPath("ipv4/proxy_arp")); string(v) != "0\n" {
			t.Errorf("%s: a value of the file was restored", c.name)
		}
	}
}

func TestADeviceThatIsGoneNeedsNoRestore(t *testing.T) {
	l := newLab(t)
	ports := l.take(t)
	must(t, netlink.LinkDel(linkNamed(t, "p0")))
	restore(t, ports)
	restore(t, ports) // twice is fine
	if left, _ := os.ReadDir(l.dir); len(left) != 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestAPortThatWasDownIsDownAgain(t *testing.T) {
	l := newLab(t)
	must(t, netlink.LinkSetDown(linkNamed(t, "p0")))
	before := picture(t)
	p, err := Take("p0", Config{Dir: l.dir})
	must(t, err)
	if !strings.Contains(linkNamed(t, "p0").Attrs().Flags.String(), "up") {
		t.Error("a taken port is not up")
	}
	must(t, p.Restore())
	if diff := cmp.Diff(before, picture(t)); diff != "" {
		t.Errorf("not as it was (-before +after):\n%s", diff)
	}
}

func TestFiltersOfOthersStay(t *testing.T) {
	l := newLab(t)
	run(t, strings.Fields("tc qdisc add dev p0 clsact")...)
	run(t, append(strings.Fields("tc filter add dev p0 ingress pref 1 protocol all bpf flowid 1:1 bytecode"), "1,6 0 0 0")...)
	l.wantForwarding(t, "with a filter of others")
	before := picture(t)
	ports := l.take(t)
	l.wantSilence(t, "ours comes first")
	restore(t, ports)
	if diff := cmp.Diff(before, picture(t)); diff != "" {
		t.Errorf("not as it was (-before +after):\n%s", diff)
	}
}

func FuzzStateFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"ifindex":3,"drop":{"qdisc_added":true},"arp":true}`))
	f.Add([]byte(`{"addresses":{"routes":[{"text":"x","data":"AAA="}]}}`))
	f.Add([]byte(`{"up":null,"sysctls":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseState(again); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}

func FuzzRouteMessage(f *testing.F) {
	f.Add(make([]byte, 12))
	f.Add(append(make([]byte, 12), 8, 0, 9, 0, 4, 0, 0, 0))
	f.Add([]byte("000000000000\t\x000000000")) // a last attribute without padding
	f.Fuzz(func(_ *testing.T, b []byte) {
		a, err := attrs(b, 12)
		if err != nil {
			return
		}
		leadsTo(a, 1)
		kernelMade(b)
		clearRouteState(b, a)
		_ = routeText(b, a)
	})
}
