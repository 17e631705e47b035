//go:build linux

package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTheObjectsAreWhatTheSourceCompilesTo(t *testing.T) {
	dir := t.TempDir()
	if text, err := exec.Command("sh", "build.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, name := range []string{"forward_bpfel.o", "forward_bpfeb.o"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got) {
			t.Errorf("%s is not what forward.bpf.c and its headers compile to: run make bpf, and commit it", name)
		}
	}
}

// maxObject is what an object may have in bytes: it is in the binary.
const maxObject = 12000

func TestTheObjectsAreSmallAndTellNothingOfWhereTheyWereMade(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"forward_bpfel.o", "forward_bpfeb.o"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > maxObject {
			t.Errorf("%s has %d bytes, more than %d", name, len(b), maxObject)
		}
		for _, s := range []string{here, "/usr/", "/tmp/", "/home/", "/root/", "clang version", ".debug", "REASON_SHORT;"} {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s contains %q", name, s)
			}
		}
	}
}
