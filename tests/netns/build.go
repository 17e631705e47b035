package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Build is the daemon under test, compiled once by the first test that asks.
type Build struct {
	once      sync.Once
	dir, path string
	err       error
}

// Daemon returns the path of the binary. SPIGATE_BINARY names one that is made
// already: a virtual machine has no compiler.
func (b *Build) Daemon() (string, error) {
	b.once.Do(func() {
		if b.path = os.Getenv("SPIGATE_BINARY"); b.path != "" {
			return
		}
		if b.dir, b.err = os.MkdirTemp("", "spigate-test-"); b.err != nil {
			return
		}
		b.path = filepath.Join(b.dir, "spigate")
		b.err = Compile(b.path)
	})
	return b.path, b.err
}

// Compile makes the daemon's binary as the product is made: what is tested is
// what is shipped. It can be called from any of the project's folders.
func Compile(to string) error {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("build spigate: %w", err)
	}
	script := filepath.Join(filepath.Dir(strings.TrimSpace(string(module))), "cmd", "spigate", "build.sh")
	if out, err := exec.Command("sh", script, to).CombinedOutput(); err != nil {
		return fmt.Errorf("build spigate: %w\n%s", err, out)
	}
	return nil
}

// Remove removes the binary, if there is one.
func (b *Build) Remove() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}
