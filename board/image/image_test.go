package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spigate/board/image/deb"
	"spigate/board/image/files"
)

// thisBinary is the test's own program: it has build information, too.
func thisBinary(t *testing.T, epoch string) (*routerBinary, error) {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return readBinary(data, epoch)
}

func TestTheTimeOfTheImageIsGivenOrNone(t *testing.T) {
	for epoch, want := range map[string]int64{"1700000000": 1700000000, "0": 0} {
		if b, err := thisBinary(t, epoch); err != nil || b.epoch != want {
			t.Errorf("%q: %+v, %v", epoch, b, err)
		}
	}
	for _, epoch := range []string{"yesterday", "-1", "99999999999"} {
		if _, err := thisBinary(t, epoch); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
			t.Errorf("%q: %v", epoch, err)
		}
	}
	if _, err := readBinary([]byte("no program"), ""); err == nil {
		t.Error("a file without build information was taken")
	}
}

func TestSourcesWithoutARepositoryAreBuiltWithoutARevision(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("GIT_CEILING_DIRECTORIES", "/")
	if got := stamping(context.Background()); got != "false" {
		t.Errorf("outside a repository: -buildvcs=%s", got)
	}
	if out, err := exec.Command("git", "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := stamping(context.Background()); got != "auto" {
		t.Errorf("in a repository: -buildvcs=%s", got)
	}
}

// module makes a kernel module with nothing in it but lines about itself.
func module(lines ...string) files.Node {
	text := strings.Join(lines, "\x00") + "\x00"
	names := "\x00.modinfo\x00.shstrtab\x00"
	const head, section = 52, 40
	at := uint32(head + len(text))
	le := binary.LittleEndian
	b := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 9)...)
	for _, v := range []uint32{1 | 40<<16, 1, 0, 0, at + uint32(len(names)), 0, head, section << 16, 3 | 2<<16} {
		b = le.AppendUint32(b, v)
	}
	b = append(append(b, text...), names...)
	for _, row := range [][10]uint32{{}, {1, 1, 0, 0, head, uint32(len(text)), 0, 0, 1}, {10, 3, 0, 0, at, uint32(len(names)), 0, 0, 1}} {
		for _, v := range row {
			b = le.AppendUint32(b, v)
		}
	}
	return files.Node{Mode: 0o644, Data: b}
}

// testKernel is a kernel with the modules of every machine and some of boards.
func testKernel(t *testing.T, leaveOut string) *kernel {
	t.Helper()
	dir := "usr/lib/modules/6.1-test/kernel/"
	tree := files.Tree{}
	for _, m := range append(always(), last, "mvneta", "marvell", "tag_dsa", "failover", "unused") {
		tree[dir+m+".ko"] = module("depends=")
	}
	delete(tree, dir+"ext4.ko") // built in
	tree[dir+"virtio_net.ko"] = module("depends=failover")
	tree[dir+"mv88e6xxx.ko"] = module("depends=")
	delete(tree, dir+leaveOut+".ko")
	m, err := tree.Modules()
	if err != nil {
		t.Fatal(err)
	}
	return &kernel{Package: deb.Package{Name: "linux-image-6.1-test", Version: "6.1.9+x-1", Arch: "armhf", SHA256: strings.Repeat("ab", 32), Path: "pool/k.deb"},
		image: []byte("kernel"), tree: tree, modules: m, builtIn: map[string]bool{"ext4": true}, copyright: "Files: *\nCopyright: x\nLicense: GPL-2\n"}
}

func TestTheFirstFileSystemHasTheRouterAndItsModulesInOrder(t *testing.T) {
	bin, err := thisBinary(t, "7")
	if err != nil {
		t.Fatal(err)
	}
	bin.data = []byte("router")
	tree, cost, err := rootFS(bin, testKernel(t, ""), []byte("[board]\n"))
	if err != nil {
		t.Fatal(err)
	}
	dir := "/usr/lib/modules/6.1-test/kernel/"
	var common string
	for _, m := range always() {
		switch m {
		case "virtio_net":
			common += dir + "failover.ko\n"
		case "ext4":
			continue
		}
		common += dir + m + ".ko\n"
	}
	if d := cmp.Diff(common+dir+"softdog.ko\n", string(tree["etc/modules"].Data)); d != "" {
		t.Error(d)
	}
	got := string(tree["etc/modules.d/turris-omnia"].Data)
	if !strings.HasPrefix(got, common) || !strings.HasSuffix(got, dir+"softdog.ko\n") {
		t.Errorf("the board's list is %q, want it to begin like the common one and to end with the watchdog", got)
	}
	for _, before := range [][2]string{{"tag_dsa", "mv88e6xxx"}, {"marvell", "mvneta"}} {
		if a, b := strings.Index(got, before[0]), strings.Index(got, before[1]); a < 0 || a > b {
			t.Errorf("%s does not stand before %s in %q", before[0], before[1], got)
		}
	}
	for name, want := range map[string]files.Node{
		"init":             {Mode: 0o755, Data: bin.data},
		"bin/spigate":      {Mode: 0o777, Link: "/init"},
		"etc/spigate.toml": {Mode: 0o644, Data: []byte("[board]\n")},
		"overlay":          {Mode: 0o755, Dir: true},
		"etc/modules.d":    {Mode: 0o755, Dir: true},
	} {
		if d := cmp.Diff(want, tree[name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	others := []string{"failover", "softdog", "mv88e6xxx", "tag_dsa", "mvneta", "marvell"}
	if _, ok := tree[dir[1:]+"unused.ko"]; ok || len(cost) != len(always())-1+len(others) {
		t.Errorf("a module that nobody loads is there, or one is missing: %+v", cost)
	}
	if text := string(tree["etc/spigate-release"].Data); !strings.Contains(text, "\nBINARY_SHA256="+sum(bin.data)+"\n") || !strings.Contains(text, "KERNEL=6.1-test\n") {
		t.Errorf("release: %q", text)
	}
}

func TestAKernelWithoutWhatEveryMachineNeedsIsRefused(t *testing.T) {
	bin, err := thisBinary(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := rootFS(bin, testKernel(t, "virtio_blk"), nil); err == nil || !strings.Contains(err.Error(), "virtio_blk") {
		t.Errorf("%v, want the name of the module", err)
	}
}

func TestPackersGiveWhatTheyTakeAndHeedNoSettings(t *testing.T) {
	t.Setenv("XZ_OPT", "-0")
	t.Setenv("XZ_DEFAULTS", "--check=none")
	t.Setenv("ZSTD_CLEVEL", "1")
	data := bytes.Repeat([]byte("spigate router "), 5000)
	for name, unpack := range map[string][]string{"xz": {"xz", "-dc"}, "zstd": {"zstd", "-dqc"}} {
		packed, err := runPacker(context.Background(), packers()[name], data)
		if err != nil {
			t.Fatal(err)
		}
		back, err := runPacker(context.Background(), unpack, packed)
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%s: %d bytes come back of %d, %v", name, len(back), len(data), err)
		}
		t.Setenv("XZ_OPT", "-9e")
		again, err := runPacker(context.Background(), packers()[name], data)
		if err != nil || !bytes.Equal(again, packed) {
			t.Errorf("%s: another result with other settings of the shell, %v", name, err)
		}
	}
	if _, err := runPacker(context.Background(), []string{"no-such-packer"}, nil); err == nil || !strings.Contains(err.Error(), "deps.sh") {
		t.Errorf("%v, want what installs it", err)
	}
	if _, err := runPacker(context.Background(), []string{"xz", "-dc"}, []byte("no archive")); err == nil {
		t.Error("a packer that fails was not noticed")
	}
}

func TestTheFlashIsTheSameEachTimeAndWithoutFaults(t *testing.T) {
	ctx, file := context.Background(), filepath.Join(t.TempDir(), "flash")
	one, err := makeFlash(ctx, file, minFlash, 1700000000)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TZ", "Pacific/Chatham")
	t.Setenv("MKE2FS_DEVICE_PHYS_SECTSIZE", "4096")
	two, err := makeFlash(ctx, filepath.Join(t.TempDir(), "a flash elsewhere"), minFlash, 1700000000)
	if err != nil || !bytes.Equal(one, two) || len(one) != minFlash {
		t.Errorf("made twice, it differs, %v", err)
	}
	if err := os.WriteFile(file, one, 0o644); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{"e2fsck -fn": "spigate: ", "dumpe2fs -h": "has_journal"} {
		words := append(strings.Fields(program), file)
		out, err := exec.Command("/usr/sbin/"+words[0], words[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q in\n%s", program, err, want, out)
		}
	}
}

func TestWrongSettingsAreToldAllAtOnce(t *testing.T) {
	err := Build(context.Background(), Config{Out: "/", Packer: "rar", Flash: 4<<20 + 1})
	for _, want := range []string{`"rar"`, "4194305 bytes", `"/" is no folder`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in: %v", want, err)
		}
	}
}

func TestABuildThatFailsLeavesTheFormerImage(t *testing.T) {
	out := filepath.Join(t.TempDir(), "image")
	kept := filepath.Join(out, "vmlinuz")
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte("good"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := Build(context.Background(), Config{Out: out, Packer: "xz", Flash: minFlash, Factory: filepath.Join(out, "nothing")})
	if err == nil || !strings.Contains(err.Error(), "factory configuration") {
		t.Errorf("%v, want the file that is missing", err)
	}
	if got, err := os.ReadFile(kept); string(got) != "good" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(out + ".new"); err == nil {
		t.Error("half an image is left")
	}
}

func TestABadLockStopsTheBuild(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(lock, []byte("linux 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Config{Lock: lock, Cache: t.TempDir()}.kernel(context.Background())
	if err == nil || !strings.Contains(err.Error(), lock+": lock file, line 1") {
		t.Errorf("%v, want the file and the line", err)
	}
}

func TestTheLockOfTheProjectIsValid(t *testing.T) {
	text, err := os.ReadFile("packages.lock")
	if err != nil {
		t.Fatal(err)
	}
	got, err := deb.ReadLock(bytes.NewReader(text))
	if err != nil || len(got) != 1 || got[0].Wanted != kernelWish().Name {
		t.Fatalf("%v, %v", got, err)
	}
	var again bytes.Buffer
	if err := deb.WriteLock(&again, got); err != nil || again.String() != string(text) {
		t.Errorf("the lock is not as the build writes it: %v", err)
	}
}

func TestAPartOverItsBudgetIsMarked(t *testing.T) {
	k := testKernel(t, "")
	text := report(&routerBinary{data: make([]byte, budgetBinary+1_500_000)}, 5, k, []moduleCost{{"a", 7, nil}, {"b", 8, []string{"x", "y"}}},
		[]output{{"vmlinuz", 0o644, []byte("k")}})
	for _, want := range []string{"1.5 MB over", "every board", "x, y", "in all", "15"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Count(text, "over") != 1 {
		t.Errorf("more than one part is over its budget:\n%s", text)
	}
}
