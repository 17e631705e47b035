package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheShippedExamplesAreSound checks each file of configs/examples as its
// user would, with the secrets that it names beside it.
func TestTheShippedExamplesAreSound(t *testing.T) {
	found, err := filepath.Glob("../../configs/examples/*.toml")
	if err != nil || len(found) < 9 {
		t.Fatalf("%d examples: %v", len(found), err)
	}
	secret := regexp.MustCompile(`= "file:([^"]+)"`)
	// The page that this one follows has the option.
	warned := map[string]string{"ipsec-passthrough.toml": "connfailover: warning: has no effect without a peer in [ha]"}
	for _, path := range found {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			write := func(name, text string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range secret.FindAllStringSubmatch(string(text), -1) {
				write(m[1], "a secret of more than sixteen bytes\n")
			}
			write(filepath.Base(path), string(text))
			code, _, stderr := spigate(t, "check", filepath.Join(dir, filepath.Base(path)))
			want := warned[filepath.Base(path)]
			if code != exitOK || strings.Count(stderr, "\n") != strings.Count(want, "has") || !strings.Contains(stderr, want) {
				t.Errorf("exit %d, want %q:\n%s", code, want, stderr)
			}
		})
	}
}
