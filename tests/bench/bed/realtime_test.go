package bed

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func policy(t *testing.T, id int) uint32 {
	t.Helper()
	a, err := unix.SchedGetAttr(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a.Policy
}

func TestAForwarderRunsFirst(t *testing.T) {
	cat := exec.Command("cat")
	in, err := cat.StdinPipe() // it waits for it
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := cat.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if err := First(cat.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if got := policy(t, cat.Process.Pid); got != unix.SCHED_RR {
		t.Errorf("its policy is %d", got)
	}
	if err := First(1 << 30); err == nil {
		t.Error("a process that is not there runs first")
	}
}

func TestSoftirqsRunFirstForAWhile(t *testing.T) {
	restore, err := SoftirqsFirst()
	if err != nil {
		t.Fatal(err)
	}
	again, err := SoftirqsFirst() // what it found is what restore is to leave
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
	if err := restore(); err != nil {
		t.Error(err)
	}
}
