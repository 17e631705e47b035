package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unitFile is how systemd runs the router.
var unitFile = filepath.Join("..", "..", "board", "packaging", "systemd", "spigate.service")

// capabilities reads the service's from the unit, in the words of setpriv.
func capabilities(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, c := range directive(t, "CapabilityBoundingSet") {
		all = append(all, strings.ToLower(strings.TrimPrefix(c, "CAP_")))
	}
	return all
}

// directive returns the words of a directive of the unit.
func directive(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "\n"+name+"=")
	list, _, _ = strings.Cut(list, "\n")
	if list == "" {
		t.Fatalf("%s has no %s", unitFile, name)
	}
	return strings.Fields(list)
}

// confined is a program that runs the router with these capabilities and no
// others, as the service does.
func confined(t *testing.T, caps []string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "confined")
	text := fmt.Sprintf("#!/bin/sh\numask 077\nexec setpriv --no-new-privs --inh-caps=-all --ambient-caps=-all --bounding-set=-all,+%s %s \"$@\"\n",
		strings.Join(caps, ",+"), spigate(t))
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTheServiceHasTheCapabilitiesThatTheMainJobNeeds(t *testing.T) {
	all := capabilities(t)
	p := pairs()[0]
	for name, tap := range map[string]bool{"raw ports": false, "TAP devices": true} {
		t.Run(name, func(t *testing.T) {
			shareOneAddress(t, p.first, p.second, DaemonConfig{Binary: confined(t, all), TAP: tap})
		})
	}
	for i, without := range all {
		if without == "bpf" || without == "perfmon" {
			continue // without them the router runs, and offloads nothing: TestWithoutBPF…
		}
		t.Run("not without "+without, func(t *testing.T) {
			rest := append(append([]string{}, all[:i]...), all[i+1:]...)
			d, err := site(t).StartSpigate(deadline(t), DaemonConfig{Binary: confined(t, rest), Template: example, Dir: t.TempDir()})
			if err == nil {
				t.Errorf("the router runs without %s: the service has one capability too many; %v", without, d.Stop())
			}
		})
	}
}

// The main job is played under strace, whose log names every system call and
// every kind of socket; systemd expands the names of its sets.
func TestTheServiceMayMakeTheCallsThatTheMainJobNeeds(t *testing.T) {
	logs := t.TempDir()
	traced := filepath.Join(t.TempDir(), "traced")
	text := fmt.Sprintf("#!/bin/sh\nexec strace -D -f -qq -e signal=none -o %s/$$ %s \"$@\"\n", logs, spigate(t))
	if err := os.WriteFile(traced, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	p := pairs()[0]
	shareOneAddress(t, p.first, p.second, DaemonConfig{Binary: traced})
	made, families := calls(t, logs)
	allowed := map[string]bool{}
	for _, set := range directive(t, "SystemCallFilter") {
		allow(t, set, allowed)
	}
	for _, call := range made {
		if !allowed[call] {
			t.Errorf("the service may not call %s", call)
		}
	}
	restricted := directive(t, "RestrictAddressFamilies")
	for _, f := range families {
		if !slices.Contains(restricted, f) {
			t.Errorf("the service may not open sockets of %s", f)
		}
	}
	if len(made) < 20 || !slices.Contains(families, "AF_PACKET") {
		t.Errorf("the log has only sockets of %v, and calls %v", families, made)
	}
}

// allow adds the calls of a set, "@name", with those of the sets in it.
func allow(t *testing.T, set string, to map[string]bool) {
	t.Helper()
	if !strings.HasPrefix(set, "@") {
		to[set] = true
		return
	}
	out, err := exec.Command("systemd-analyze", "--no-pager", "syscall-filter", set).Output()
	if err != nil {
		t.Fatalf("systemd-analyze syscall-filter %s: %v", set, err)
	}
	for line := range strings.Lines(string(out)) {
		name := strings.TrimSpace(line)
		if name != "" && name != set && !strings.HasPrefix(name, "#") {
			allow(t, name, to)
		}
	}
}

// calls lists the system calls in the logs of strace, one for each start of the
// program, and the families of sockets.
func calls(t *testing.T, logs string) (made, families []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(logs, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, f := range files {
		log, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, log...)
	}
	line := regexp.MustCompile(`(?m)^\d+ +([a-z_0-9]+)\((AF_\w+)?.*$`)
	for _, m := range line.FindAllStringSubmatch(string(text), -1) {
		made = append(made, m[1])
		if m[1] == "socket" && !strings.Contains(m[0], "EAFNOSUPPORT") {
			families = append(families, m[2])
		}
	}
	slices.Sort(made)
	slices.Sort(families)
	return slices.Compact(made), slices.Compact(families)
}
