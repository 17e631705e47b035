//go:build linux

package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// What the program may cost the verifier. Linux 5.10 looked at 3,271 instructions,
// 6.18 at 7,545, with 136 bytes of stack; the limits of both are a million and 512.
const (
	maxLookedAt = 50000
	maxStack    = 400
)

func TestTheVerifierNeedsLittleForIt(t *testing.T) {
	b := newBed(t, 8)
	p, err := b.maps.load(Constants{}, 0, ebpf.ProgramOptions{
		LogLevel: ebpf.LogLevelInstruction | ebpf.LogLevelStats, LogSizeStart: 16 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	number := func(pattern string) int {
		m := regexp.MustCompile(pattern).FindStringSubmatch(p.VerifierLog)
		if m == nil {
			t.Fatalf("the verifier's log does not say %s", pattern)
		}
		n, _ := strconv.Atoi(m[1])
		return n
	}
	looked, stack := number(`processed (\d+) insns`), number(`stack depth (\d+)`)
	if looked > maxLookedAt || stack > maxStack {
		t.Errorf("%d instructions looked at, %d bytes of stack: want at most %d and %d", looked, stack, maxLookedAt, maxStack)
	}
	t.Logf("%d instructions looked at, %d bytes of stack", looked, stack)
	if info, err := p.Info(); err == nil {
		native, _ := info.JitedSize()
		bytecode, _ := info.TranslatedSize()
		t.Logf("%d bytes of byte code, %d of machine code", bytecode, native)
	}
}

func TestItLoadsWhereAccessesMustBeAligned(t *testing.T) {
	const strict = 1 // BPF_F_STRICT_ALIGNMENT: as on machines that cannot do otherwise
	p, err := newBed(t, 8).maps.load(Constants{}, strict, ebpf.ProgramOptions{})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	p.Close()
}

func TestItHasNothingThatThe32BitARMCompilerLacks(t *testing.T) {
	for name, spec := range objects(t) {
		for i, in := range spec.Programs[programName].Instructions {
			op := in.OpCode
			switch {
			case op.Class() == asm.StXClass && op.Mode() == asm.AtomicMode:
				t.Errorf("%s: instruction %d is atomic", name, i)
			case op.JumpOp() == asm.Call && in.Src == asm.PseudoCall:
				t.Errorf("%s: instruction %d calls a function of the program", name, i)
			}
		}
	}
}

// The privileges that the program takes, with user 0 or any other.
const privileges = "+bpf,+net_admin,+perfmon"

func TestItLoadsAndRunsWithThreePrivileges(t *testing.T) {
	newBed(t, 8) // says what is wrong if there are fewer
	out, err := exec.Command("setpriv", "--bounding-set=-all,"+privileges, "--inh-caps=-all,"+privileges,
		os.Args[0], "-test.run=^TestWhatItDoesNotForwardGoesToTheStackAsItCame$|^TestAPortThatGoesAndComesBack$", "-test.v").CombinedOutput()
	if err != nil {
		t.Fatalf("with %s alone: %v\n%s", privileges, err, out)
	}
	if n := len(regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1)); n != 2 {
		t.Fatal(fmt.Sprint(n, " tests ran:\n", string(out)))
	}
}
