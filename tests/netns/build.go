package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Build is the daemon under test, compiled once by the first test that asks.
type Build struct {
	once      sync.Once
	dir, path string
	err       error
}

// Daemon returns the path of the binary.
func (b *Build) Daemon() (string, error) {
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "spigate-test-"); b.err != nil {
			return
		}
		b.path = filepath.Join(b.dir, "spigate")
		out, err := exec.Command("go", "build", "-o", b.path, "spigate/cmd/spigate").CombinedOutput()
		if err != nil {
			b.err = fmt.Errorf("build spigate: %w\n%s", err, out)
		}
	})
	return b.path, b.err
}

// Remove removes the binary, if there is one.
func (b *Build) Remove() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}
