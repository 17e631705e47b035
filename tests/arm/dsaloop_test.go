package arm

import (
	"archive/tar"
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheKernelsSwitches runs the tests of hw/dsa in a kernel that has DSA, with
// its mock of a chip, and whose bridges filter VLANs.
func TestTheKernelsSwitches(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 8*time.Minute)
	kernel, err := FetchKernel(ctx, CacheDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := kernel.AddDSALoop(ctx); err != nil {
		t.Fatal(err)
	}
	program, err := BuildTest(ctx, "spigate/hw/dsa", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	modules := []string{"virtio_mmio", "virtio_net", "bridge", "veth", "sch_ingress", "cls_bpf"}
	g := Guest{Kernel: kernel, Modules: append(modules, loopModules()...), Tasks: []Task{
		{Program: program, Args: []string{"-test.v", "-test.timeout", "400s"}, Env: []string{"SPIGATE_BRIDGE=1", "SPIGATE_DSA=1"}},
	}}
	r, err := g.Run(ctx, namespace(t), t.TempDir(), Card{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Status, []int{0}) {
		t.Fatalf("status %v:\n%s", r.Status, r.Console)
	}
	for _, want := range []string{"--- PASS: TestTheSuiteOfChipsOnABridge ", "--- PASS: TestTheSuiteOfChipsOnDSA ", "--- PASS: TestOnlyWhatChangesReachesTheChip "} {
		if !strings.Contains(r.Output[0], want) {
			t.Errorf("no %q in the output:\n%s", want, r.Output[0])
		}
	}
	t.Log(summary(r.Output[0]))
}

// summary are the lines of tests that are not parts of others.
func summary(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "--- ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestTheMocksSourcesAreFound(t *testing.T) {
	pack := func(names ...string) *bytes.Buffer {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, n := range names {
			if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o644, Size: 1}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		return &b
	}
	const dir = "linux-source-6.1/drivers/net/dsa/"
	tree, err := takeSource(pack("linux-source-6.1/Makefile", dir+"b53.c", dir+"dsa_loop.c", "linux-source-6.1/net/dsa_loop.c", dir+"dsa_loop.h", dir+"dsa_loop_bdinfo.c"))
	if err != nil || len(tree) != 3 || len(tree["dsa_loop_bdinfo.c"].Data) != 1 {
		t.Errorf("%v, %v", tree, err)
	}
	if _, err := takeSource(pack(dir + "dsa_loop.c")); err == nil {
		t.Error("two files are missing and were not missed")
	}
}
