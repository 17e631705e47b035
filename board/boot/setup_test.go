package boot

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// said collects what a setup says.
func said(f *fake) (setup, *strings.Builder) {
	var out strings.Builder
	return setup{f, func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }, func() { f.note("pause") }}, &out
}

func TestTheFlashIsFoundByItsLabel(t *testing.T) {
	f := newFake()
	f.files["/dev/vda"] = ext4("other")
	f.files["/dev/vdb"] = ext4("spigate")
	f.files["/dev/vdc"] = []byte("short")
	s, out := said(f)
	s.flash(Arguments{})
	if !f.did("mount /overlay /dev/vdb ext4 0x0 errors=remount-ro") || out.Len() != 0 {
		t.Errorf("%s; said %s", f.all(), out)
	}
}

func TestTheKernelsArgumentNamesTheFlash(t *testing.T) {
	for device, kind := range map[string]string{"/dev/mmcblk0p3": "ext4", "/dev/ubi0_1": "ubifs"} {
		f := newFake()
		s, _ := said(f)
		s.flash(ParseArguments("console=ttyS0 spigate.flash=" + device + "\n"))
		if !f.did("mount /overlay "+device+" "+kind) || f.did("list") {
			t.Errorf("%q", f.asked)
		}
	}
	for _, bad := range []string{"spigate.flash=", "spigate.flash=vda", "spigate.flash=/dev/../etc/passwd", "notspigate.flash=/dev/vda"} {
		if a := ParseArguments(bad); a.Flash != "" {
			t.Errorf("%s is %q", bad, a.Flash)
		}
	}
}

func TestAFlashThatCannotBeWrittenIsRead(t *testing.T) {
	f := newFake()
	f.files["/dev/vda"] = ext4("spigate")
	f.refuse["mount /overlay /dev/vda ext4 0x0"] = syscall.EUCLEAN
	s, out := said(f)
	s.flash(Arguments{})
	if !f.did("mount /overlay /dev/vda ext4 0x1 noload") || f.did("mount /overlay tmpfs") || !strings.Contains(out.String(), "can only be read") {
		t.Errorf("%s; said %s", f.all(), out)
	}
}

func TestWithoutAFlashTheFolderIsInMemory(t *testing.T) {
	broken := func(f *fake) {
		f.files["/dev/vda"] = ext4("spigate")
		f.refuse["mount /overlay /dev/vda"] = syscall.EIO
	}
	for name, with := range map[string]func(*fake){
		"no device":            func(*fake) {},
		"a device of another":  func(f *fake) { f.files["/dev/vda"] = ext4("home") },
		"an erased one":        func(f *fake) { f.files["/dev/vda"] = make([]byte, 4096) },
		"one that cannot read": func(f *fake) { f.files["/dev/vda"] = ext4("spigate"); f.refuse["read /dev/vda"] = syscall.EIO },
		"a broken one":         broken,
		"no list":              func(f *fake) { f.refuse["list"] = syscall.ENOENT },
	} {
		f := newFake()
		with(f)
		s, out := said(f)
		s.flash(Arguments{})
		if !f.did("mount /overlay tmpfs tmpfs") || !strings.Contains(out.String(), "NO FLASH (") || f.count("pause") > flashTurns {
			t.Errorf("%s: %q; said %s", name, f.asked, out)
		}
	}
}

func TestAFlashThatTheKernelFindsLateIsWaitedFor(t *testing.T) {
	for _, argument := range []string{"", "spigate.flash=/dev/mmcblk0p1"} {
		f := newFake()
		f.files["/dev/mmcblk0boot0"] = make([]byte, 4096)
		f.refuse["mount /overlay /dev/mmcblk0p1"] = syscall.ENOENT
		s, out := said(f)
		pauses := 0
		s.pause = func() {
			if pauses++; pauses == 3 {
				f.files["/dev/mmcblk0p1"] = ext4("spigate")
				delete(f.refuse, "mount /overlay /dev/mmcblk0p1")
			}
		}
		s.flash(ParseArguments(argument))
		if pauses != 3 || f.did("mount /overlay tmpfs") || strings.Contains(out.String(), "NO FLASH") {
			t.Errorf("%q: %d pauses; %s; said %s", argument, pauses, f.all(), out)
		}
	}
}

// There is nothing to wait for.
func TestABrokenFlashIsNotWaitedFor(t *testing.T) {
	f := newFake()
	f.files["/dev/vda"] = ext4("spigate")
	f.refuse["mount /overlay /dev/vda"] = syscall.EIO
	s, _ := said(f)
	s.flash(Arguments{})
	if f.did("pause") || !f.did("mount /overlay tmpfs") {
		t.Error(f.all())
	}
}

func TestModulesAreLoadedInOrderAndOneThatFailsStopsNothing(t *testing.T) {
	f := newFake()
	f.files["/etc/modules"] = []byte("/m/a.ko\n\n# not this\n/m/b.ko\n/m/c.ko")
	f.files["/etc/modules.d/turris-omnia"] = []byte("/m/d.ko\n")
	f.refuse["module /m/b.ko"] = syscall.ENOENT
	s, out := said(f)
	s.modules("generic")
	got := strings.Join(f.asked, "; ")
	if !strings.Contains(got, "module /m/a.ko; module /m/b.ko; module /m/c.ko; remove /usr/lib/modules") {
		t.Errorf("%s", got)
	}
	if want := "kernel module /m/b.ko: no such file or directory\n2 kernel modules loaded\n"; out.String() != want {
		t.Errorf("said %q, want %q", out, want)
	}
	s.modules("turris-omnia")
	if f.count("module ") != 4 || !f.did("module /m/d.ko") {
		t.Errorf("%q", f.asked)
	}
	empty := newFake()
	s, out = said(empty)
	s.modules("generic")
	if empty.did("remove") || out.Len() != 0 {
		t.Errorf("a kernel without modules: %q; said %s", empty.asked, out)
	}
}

func TestTheKernelIsToldToCompileItsPrograms(t *testing.T) {
	for _, c := range []struct {
		name, is, wants, says string
		refuse                error
	}{
		{"off", "0\n", "1\n", "the kernel compiles BPF programs from now on\n", nil},
		{"on", "1\n", "1\n", "", nil},
		{"on, for those who look for faults in it", "2\n", "2\n", "", nil},
		{"off for good", "0\n", "0\n", "the kernel compiles no BPF programs, so ports with driver xdp will be slow: operation not permitted\n", syscall.EPERM},
		{"no compiler", "", "", "the kernel compiles no BPF programs, so ports with driver xdp will be slow: open " + compilerFile + ": file does not exist\n", nil},
	} {
		f := newFake()
		if c.is != "" {
			f.files[compilerFile] = []byte(c.is)
		}
		if c.refuse != nil {
			f.refuse["write"] = c.refuse
		}
		s, out := said(f)
		s.compiler()
		if got := string(f.files[compilerFile]); got != c.wants || out.String() != c.says {
			t.Errorf("%s: the kernel has %q, said %q", c.name, got, out)
		}
	}
}

func TestAMountThatFailsStopsNothing(t *testing.T) {
	f := newFake()
	f.refuse["mount /sys"] = syscall.EBUSY
	f.refuse["mount /run"] = errors.New("no memory")
	s, out := said(f)
	s.mounts()
	if f.count("mount ") != len(basics()) || out.String() != "mount /run: no memory\n" {
		t.Errorf("%s; said %s", f.all(), out)
	}
}

func FuzzLabel(f *testing.F) {
	f.Add(ext4("spigate"))
	f.Add(ext4("sixteen-bytes-16"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, head []byte) {
		if l := Label(head); len(l) > 16 || strings.Contains(l, "\x00") || l != "" && len(head) < superblockEnd {
			t.Errorf("%q of %d bytes", l, len(head))
		}
	})
}

func FuzzNote(f *testing.F) {
	f.Add("READY=1\nX_SPIGATE_SOCKET=/run/a.sock\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n := parseNote(text); n.socket != "" && (n.socket[0] != '/' || len(n.socket) > 107) {
			t.Errorf("%q", n.socket)
		}
	})
}
