package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// started runs the script with a qemu that only tells how it was called.
func started(t *testing.T, dir string, env ...string) string {
	t.Helper()
	stub := filepath.Join(dir, "qemu")
	if err := os.WriteFile(stub, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "run.sh")
	if err := os.WriteFile(script, []byte(runScript), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "-snapshot")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "QEMU=" + stub}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestTheScriptStartsWhatIsBesideItAndKeepsTheFlash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "an image")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "flash.img"), []byte("new"), 0o444); err != nil {
		t.Fatal(err)
	}
	said := started(t, dir)
	for _, want := range []string{dir + "/vmlinuz\n", dir + "/initramfs\n", "file=" + dir + "/flash-in-use.img\n", "\n128\n", "user,id=net0\n", "user,id=net1\n", "-snapshot\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	// The kernel counts from the end of the line.
	if strings.Index(said, "netdev=net0") < strings.Index(said, "netdev=net1") {
		t.Errorf("NET0 would not be eth0:\n%s", said)
	}
	used := filepath.Join(dir, "flash-in-use.img")
	if err := os.WriteFile(used, []byte("written"), 0o644); err != nil {
		t.Fatal(err)
	}
	said = started(t, dir, "MEM=64", "NET0=tap,ifname=t0", "APPEND=quiet")
	for _, want := range []string{"\n64\n", "tap,ifname=t0,id=net0\n", "net.ifnames=0 quiet\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if got, err := os.ReadFile(used); string(got) != "written" {
		t.Errorf("the flash in use was made anew: %q, %v", got, err)
	}
}

func TestScriptsAreValidForTheShell(t *testing.T) {
	for _, name := range []string{"run.sh", "deps.sh"} {
		if out, err := exec.Command("sh", "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
