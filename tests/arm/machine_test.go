package arm

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"spigate/board/image/deb"
	"spigate/tests/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked reports whether machines are to be run. That takes minutes and
// downloads a kernel, so it is done only when asked for: SPIGATE_ARM=1.
func asked(t *testing.T) bool {
	t.Helper()
	if os.Getenv("SPIGATE_ARM") != "1" {
		t.Log("machines were not asked for (SPIGATE_ARM=1): only unit tests run")
		return false
	}
	if !netns.Root() {
		t.Fatal("network namespaces need root")
	}
	return true
}

// limited is a context that ends before the test is killed from outside.
func limited(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func namespace(t *testing.T) *netns.Namespace {
	t.Helper()
	n, err := netns.For(t).Namespace("machine")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAMachineHasItsDevicesInOrder(t *testing.T) {
	c := MachineConfig{
		Kernel: "/k", Initrd: "/i", Append: "quiet",
		Cards:  []Card{{TAP: "tap-a"}, {Address: net.HardwareAddr{2, 0, 0, 0, 0, 9}}},
		Drives: []Drive{{File: "/a"}, {File: "/b", ReadOnly: true}},
	}
	line := strings.Join(c.arguments(), " ")
	// The kernel finds the last one first.
	at := -1
	for _, want := range []string{
		"-append console=ttyAMA0 panic=-1 net.ifnames=0 quiet -no-reboot",
		"file=/b,readonly=on", "file=/a,readonly=off", "hubport,id=n1", "mac=02:00:00:00:00:09", "ifname=tap-a,", "mac=02:00:5e:00:53:01",
	} {
		i := strings.Index(line, want)
		if i <= at {
			t.Errorf("%q is not there, or not in its place, in %q", want, line)
		}
		at = i
	}
	if c.Reboot = true; slices.Contains(c.arguments(), "-no-reboot") {
		t.Error("a machine that is to reboot would end")
	}
}

func TestTheConsoleTellsHowTasksEnded(t *testing.T) {
	text := "[ 1.0] kernel\n\nguest: task 0 begins\nPASS\n\nguest: task 0 ended with status 0\n\nguest: task 1 begins\n--- FAIL\nFAIL\n\nguest: task 1 ended with status 1\n\nguest: done\n[ 9.0] reboot\n"
	status, output, err := outcome(strings.NewReader(text), 2)
	if err != nil || !slices.Equal(status, []int{0, 1}) {
		t.Errorf("%v, %v", status, err)
	}
	if d := cmp.Diff([]string{"PASS\n\n", "--- FAIL\nFAIL\n\n"}, output); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{
		strings.ReplaceAll(text, "guest: done", ""),
		strings.ReplaceAll(text, "guest: task 1 ended with status 1\n", "Kernel panic\n"),
		"guest: fault: module x: no such file\n",
	} {
		if _, _, err := outcome(strings.NewReader(bad), 2); err == nil {
			t.Errorf("taken for a good end: %q", bad)
		}
	}
}

const uris = `Reading package lists...
'http://example.test/pool/main/a/acl/libacl1_2.3.1-3_armhf.deb' libacl1_1%3a2.3.1-3_armhf.deb 28836 MD5Sum:0
'http://example.test/x.deb' linux-headers-6.1.0-50-common_6.1.176-1_all.deb 10367932 MD5Sum:0
'http://example.test/x.deb' linux-kbuild-6.1_6.1.176-1_armhf.deb 1392072 MD5Sum:0
'http://example.test/x.deb' linux-headers-6.1.0-50-armmp_6.1.176-1_armhf.deb 1660484 MD5Sum:0
'http://example.test/x.deb' linux-headers-armmp_6.1.176-1_armhf.deb 1152 MD5Sum:0
'http://example.test/x.deb' linux-image-6.1.0-50-armmp_6.1.176-1_armhf.deb 43302144 MD5Sum:0
'http://example.test/x.deb' linux-image-armmp_6.1.176-1_armhf.deb 1484 MD5Sum:0
`

func TestTheKernelsPackagesAreChosen(t *testing.T) {
	guest, host := &deb.Apt{}, &deb.Apt{}
	got, err := chooseKernel(uris, guest, host, "d")
	if err != nil {
		t.Fatal(err)
	}
	const v = "6.1.176-1"
	want := kernelPackages{"d", debian{"linux-image-6.1.0-50-armmp", v, guest}, []debian{
		{"linux-headers-6.1.0-50-common", v, guest}, {"linux-kbuild-6.1", v, host}, {"linux-source-6.1", v, guest}, {"linux-headers-6.1.0-50-armmp", v, guest},
	}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(kernelPackages{}, debian{}), cmp.Comparer(func(a, b *deb.Apt) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if got.image.release() != "6.1.0-50-armmp" {
		t.Error(got.image.release())
	}
	if _, err := chooseKernel("'http://x' libacl1_1_armhf.deb 1\n", guest, host, "d"); err == nil {
		t.Error("no kernel was taken for one")
	}
}

// TestAGuestRunsTests boots a machine and runs the tests of a small package in
// it, and a program that fails.
func TestAGuestRunsTests(t *testing.T) {
	if !asked(t) {
		return
	}
	ctx := limited(t, 5*time.Minute)
	kernel, err := FetchKernel(ctx, CacheDir())
	if err != nil {
		t.Fatal(err)
	}
	program, err := BuildTest(ctx, "spigate/board/image/files", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := Guest{Kernel: kernel, Modules: []string{"virtio_mmio", "virtio_net"}, Tasks: []Task{
		{Program: program, Args: []string{"-test.v", "-test.run", "TestPaths"}},
		{Program: program, Args: []string{"-test.nonsense"}},
	}}
	r, err := g.Run(ctx, namespace(t), t.TempDir(), Card{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Status, []int{0, 2}) || !strings.Contains(r.Output[0], "--- PASS: TestPathsMergeIntoUsr") {
		t.Errorf("status %v, want 0 and 2:\n%s", r.Status, r.Console)
	}
}
