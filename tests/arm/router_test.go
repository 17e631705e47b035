package arm

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spigate/board/image/files"
)

// TestTheRouterOnAKernelSwitch plays the office with a four-port switch in a
// kernel whose bridges filter VLANs: the daemon as it is shipped makes the
// bridge, and hosts of two VLANs talk through both.
func TestTheRouterOnAKernelSwitch(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 8*time.Minute)
	kernel, err := FetchKernel(ctx, CacheDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, err := BuildTest(ctx, "spigate/tests/netns/fourport", dir)
	if err != nil {
		t.Fatal(err)
	}
	daemon := filepath.Join(dir, "spigate")
	build := exec.CommandContext(ctx, "sh", "../../cmd/spigate/build.sh", daemon)
	build.Env = append(build.Environ(), "GOOS=linux", "GOARCH=arm", "GOARM=7")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const example = "configs/examples/four-port-switch.toml"
	text, err := os.ReadFile("../../" + example)
	if err != nil {
		t.Fatal(err)
	}
	further := files.Tree{}
	further.File(example, 0o644, text)
	if err := addFile(further, "bin/spigate", daemon); err != nil {
		t.Fatal(err)
	}
	g := Guest{
		Kernel: kernel, Files: further, Modules: []string{"virtio_mmio", "bridge", "veth", "tun", "sch_ingress", "cls_bpf"},
		Tasks: []Task{{
			Program: program, Args: []string{"-test.v", "-test.run", "KernelSwitch", "-test.timeout", "400s"},
			Env: []string{"SPIGATE_BRIDGE=1", "SPIGATE_BINARY=/bin/spigate"},
		}},
	}
	r, err := g.Run(ctx, namespace(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Status, []int{0}) {
		t.Fatalf("status %v:\n%s", r.Status, r.Console)
	}
	if n := strings.Count(r.Output[0], "--- PASS: TestAKernelSwitch"); n < 3 {
		t.Errorf("only %d tests passed:\n%s", n, r.Output[0])
	}
	t.Log(r.Output[0])
}
