package arm

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheProgramInTheKernelOf32Bits runs tests of netstack/xdp on ARMv7: there
// the verifier, the compiler and the two ends of the shared memory are those of
// a 32-bit machine, and the kernel is an older one, which does not say who takes
// frames.
func TestTheProgramInTheKernelOf32Bits(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 5*time.Minute)
	kernel, err := FetchKernel(ctx, CacheDir())
	if err != nil {
		t.Fatal(err)
	}
	program, err := BuildTest(ctx, "spigate/netstack/xdp", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tests := []string{
		"TestPacketsOfAFlowAreForwardedByteForByteAndCounted", "TestTagsArePutOnTakenOffAndChanged",
		"TestAHopThatGoesSendsItsFlowsUpAndOnePacketGoesUpWhenAsked", "TestTheKernelsOwnReceiversFindNothingWrong",
		"TestAFlowThatIsRemovedForwardsNothingAndItsNumberRests",
		"TestAKernelThatDoesNotTellWhoTakesFrames", "TestCountsAreExactWhileFlowsComeAndGoUnderAFlood",
	}
	g := Guest{Kernel: kernel, Modules: []string{"veth", "af_packet"}, Tasks: []Task{
		{Program: program, Args: []string{"-test.v", "-test.short", "-test.timeout", "240s", "-test.run", "^(" + strings.Join(tests, "|") + ")$"}},
	}}
	r, err := g.Run(ctx, namespace(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Status, []int{0}) {
		t.Fatalf("status %v:\n%s", r.Status, r.Console)
	}
	for _, want := range tests {
		if !strings.Contains(r.Output[0], "--- PASS: "+want+" ") {
			t.Errorf("no pass of %s in the output:\n%s", want, r.Output[0])
		}
	}
	t.Log(summary(r.Output[0]))
}
