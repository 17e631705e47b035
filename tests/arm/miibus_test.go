package arm

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheManagementBusOfTheKernel runs the driver of switch chips through the
// ioctls of a real kernel: the chip in memory behind the kernel's PHY library,
// and the PHY of an emulated Intel card.
func TestTheManagementBusOfTheKernel(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 4*time.Minute)
	kernel, err := FetchKernel(ctx, CacheDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := kernel.AddMIIBus(ctx); err != nil {
		t.Fatal(err)
	}
	program, err := BuildTest(ctx, "spigate/hw/qca8k/mii", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := Guest{
		Kernel: kernel, Modules: []string{"e1000", "miibus"},
		Args: []string{"-device", "e1000,romfile=,mac=02:00:5e:00:53:77"},
		Tasks: []Task{
			{Program: program, Args: []string{"-test.v", "-test.timeout", "240s"}, Env: []string{"SPIGATE_MII=mii0", "SPIGATE_E1000=eth0"}},
		},
	}
	r, err := g.Run(ctx, namespace(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Status, []int{0}) {
		t.Fatalf("status %v:\n%s", r.Status, r.Console)
	}
	for _, want := range []string{"--- PASS: TestTheSuiteThroughTheKernelsBus ", "--- PASS: TestThePHYOfARealDriver "} {
		if !strings.Contains(r.Output[0], want) {
			t.Errorf("no %q in the output:\n%s", want, r.Output[0])
		}
	}
	t.Log(summary(r.Output[0]))
}
