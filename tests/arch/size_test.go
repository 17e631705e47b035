package arch

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// sizes are what the stripped ARMv7 binary may have, in bytes: as a file, which
// counts against memory in an initramfs, and after xz -9, which is what it takes
// of a flash. docs/size.md says what is in it and what could go.
func sizes() []struct {
	tags           string
	binary, packed int
} {
	return []struct {
		tags           string
		binary, packed int
	}{
		{"", 20_900_000, 5_450_000},
		{"noweb", 17_400_000, 4_700_000},
	}
}

func TestTheBinaryForARMStaysSmall(t *testing.T) {
	if testing.Short() {
		return // it builds and packs for half a minute each
	}
	for _, s := range sizes() {
		t.Run("tags "+s.tags, func(t *testing.T) { checkSize(t, s.tags, s.binary, s.packed) })
	}
}

func checkSize(t *testing.T, tags string, maxBinary, maxPacked int) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "spigate")
	build := exec.Command("sh", "cmd/spigate/build.sh", out)
	build.Dir = root
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm", "GOARM=7", "TAGS="+tags)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(binary, []byte("\x7fELF\x01\x01")) {
		t.Fatal("no 32-bit little-endian program")
	}
	packed, err := exec.Command("xz", "-9", "-T1", "-c", out).Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d after xz -9", len(binary), len(packed))
	if len(binary) > maxBinary || len(packed) > maxPacked {
		t.Errorf("%d bytes and %d after xz -9, at most %d and %d: go tool nm -size -sort size tells what is large",
			len(binary), len(packed), maxBinary, maxPacked)
	}
}
