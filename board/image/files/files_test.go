package files

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestPathsMergeIntoUsr(t *testing.T) {
	for name, want := range map[string]string{
		"./bin/dash": "usr/bin/dash", "./lib64/ld.so": "usr/lib64/ld.so", "/lib": "usr/lib",
		"./usr/bin/ip": "usr/bin/ip", "./library/x": "library/x", "../etc/passwd": "etc/passwd",
	} {
		if got := Merged(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// The archive is read back by cpio where there is one; its members are checked
// by hand otherwise.
func TestTheArchiveHoldsTheTree(t *testing.T) {
	tr := Tree{}
	tr.File("usr/bin/a", 0o755, []byte("hello"))
	tr.Symlink("bin", "usr/bin")
	tr.Parents()
	var b bytes.Buffer
	if err := tr.WriteArchive(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"000081ED", "hello", "0000A1FF", "usr/bin\x00", "TRAILER!!!"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the archive has no %q", want)
		}
	}
	if b.Len()%4 != 0 {
		t.Errorf("%d bytes, not a multiple of 4", b.Len())
	}
	path, err := exec.LookPath("cpio")
	if err != nil {
		return
	}
	cmd := exec.Command(path, "-t", "--quiet")
	cmd.Stdin = &b
	out, err := cmd.Output()
	if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, []string{"bin", "usr", "usr/bin", "usr/bin/a"}) {
		t.Errorf("cpio lists %q, %v", got, err)
	}
}

func TestModulesOfBothKernelsAreFound(t *testing.T) {
	for name, want := range map[string]bool{
		"usr/lib/modules/6.1/kernel/net/esp4.ko": true, "usr/lib/uml/modules/6.1/kernel/net/esp4.ko": true, "usr/lib/ipsec/esp4.ko": false,
	} {
		if InModules(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestLinksAreFollowed(t *testing.T) {
	tr := Tree{}
	tr.File("usr/lib/libx.so.1.2", 0o644, nil)
	tr.Symlink("usr/lib/libx.so.1", "libx.so.1.2")
	tr.Symlink("etc/x", "/lib/libx.so.1")
	tr.Symlink("loop", "loop")
	if got, ok := tr.ResolveLink("etc/x"); !ok || got != "usr/lib/libx.so.1.2" {
		t.Errorf("%q, %v", got, ok)
	}
	if _, ok := tr.ResolveLink("loop"); ok {
		t.Error("a loop has an end")
	}
}

// Modules are built as little as they may be: an ELF file with the section
// that names what they need.
func TestModulesComeAfterWhatTheyNeed(t *testing.T) {
	tr := Tree{}
	for name, needs := range map[string]string{
		"kernel/drivers/net/virtio_net.ko": "net_failover", "kernel/net/core/failover.ko": "", "kernel/drivers/net/net-failover.ko": "failover", "kernel/net/other.ko": "",
	} {
		tr.File("usr/lib/modules/6.1/"+name, 0o644, elfWith("license=GPL\x00depends="+needs+"\x00"))
	}
	got, err := tr.ModuleOrder([]string{"virtio-net", "built_in", "failover"})
	for i, s := range got {
		got[i] = strings.TrimPrefix(s, "usr/lib/modules/6.1/kernel/")
	}
	if want := []string{"net/core/failover.ko", "drivers/net/net-failover.ko", "drivers/net/virtio_net.ko"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	tr.File("usr/lib/modules/6.1/kernel/net/other.ko", 0o644, []byte("no module"))
	if _, err := tr.ModuleOrder([]string{"other"}); err == nil {
		t.Error("a file that is no module was taken for one")
	}
	if _, err := (Tree{}).ModuleOrder([]string{"other"}); err == nil {
		t.Error("packages without modules are no kernel's")
	}
}

// elfWith is a 32-bit ELF file with nothing but .modinfo.
func elfWith(info string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	header := elf.Header32{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 1, 1, 1}, Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_ARM), Version: 1,
		Ehsize: 52, Shentsize: 40, Shnum: 3, Shstrndx: 2, Shoff: uint32(52 + len(info) + len(names)),
	}
	sections := []elf.Section32{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: 52, Size: uint32(len(info))},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint32(52 + len(info)), Size: uint32(len(names))},
	}
	var b bytes.Buffer
	for _, part := range []any{header, []byte(info), []byte(names), sections} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}
