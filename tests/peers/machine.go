package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"spigate/board/image/files"
	"spigate/tests/netns"
	"spigate/tests/peers/wire"
)

// Machine is what the guest's kernel runs on.
type Machine string

// The machines.
const (
	// QEMU emulates the whole machine: an unmodified kernel, wherever the test
	// runs, and slowly.
	QEMU Machine = "qemu"
	// UML is User Mode Linux: the guest's kernel is a process of the machine
	// that tests, and its programs run on the processor itself.
	UML Machine = "uml"
)

// machineVariable chooses the machine.
const machineVariable = "SPIGATE_VM"

// ChooseMachine returns what the environment asks for; QEMU if it says nothing.
func ChooseMachine() (Machine, error) {
	switch m := Machine(os.Getenv(machineVariable)); m {
	case "", QEMU:
		return QEMU, nil
	case UML:
		return UML, nil
	default:
		return "", fmt.Errorf("%s=%q: there are %q (the default) and %q", machineVariable, m, QEMU, UML)
	}
}

// kernelPackage is the package with the kernel and its modules.
func (m Machine) kernelPackage() string {
	if m == UML {
		return "user-mode-linux"
	}
	return "linux-image-cloud-amd64"
}

// kernels finds the kernel in the packages' files; there should be one.
func (m Machine) kernels(t files.Tree) []string {
	if m == UML {
		return under(t, "usr/bin", "linux.uml")
	}
	return under(t, "boot", "vmlinuz-*")
}

// launch is how to start a guest.
func (m Machine) launch(c MachineConfig, socket string) netns.Command {
	args := []string{"-n", "5"}
	if m == UML {
		args = append(append(args, c.Image.Runner, socket, c.Image.Kernel), userMode(c)...)
		return netns.Command{Path: "/usr/bin/nice", Args: args, Env: append(os.Environ(), "TMPDIR=/dev/shm")}
	}
	return netns.Command{Path: "/usr/bin/nice", Args: append(append(args, "qemu-system-x86_64"), emulator(c, socket)...)}
}

// emulator returns the arguments of QEMU: plain emulation, so that it runs
// wherever the test does, with little memory.
func emulator(c MachineConfig, socket string) []string {
	args := []string{
		"-M", "q35", "-cpu", "max", "-accel", "tcg,thread=multi,tb-size=64", "-m", "384",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", c.Image.Kernel, "-initrd", c.Image.Initrd,
		"-append", "console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off random.trust_cpu=on net.ifnames=0 " + c.hosts("eth"),
		"-device", "virtio-serial-pci", "-chardev", "socket,id=agent,path=" + socket,
		"-device", "virtserialport,chardev=agent,name=" + wire.PortName, "-device", "virtio-rng-pci",
	}
	for i, card := range c.Cards {
		args = append(args, "-netdev", fmt.Sprintf("tap,id=n%d,ifname=%s,script=no,downscript=no", i, card.TAP),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=n%d,mac=%v,romfile=", i, card.Address))
	}
	return args
}

// userMode returns the arguments of User Mode Linux; umlrun adds the agent's
// line. What has no dot before its "=" and is no argument of the kernel becomes
// the environment of the guest's first process.
func userMode(c MachineConfig) []string {
	args := []string{
		"umid=guest", "uml_dir=" + c.Dir + "/", "mem=384M", "initrd=" + c.Image.Initrd,
		"con=null", "con0=null,fd:1", "quiet", "panic=-1",
		c.hosts("vec"), "peers.port=/dev/ttyS0",
	}
	for i, card := range c.Cards {
		args = append(args, fmt.Sprintf("vec%d:transport=tap,ifname=%s,depth=128,mac=%v", i, card.TAP, card.Address))
	}
	return append(args, plainProcessor()...)
}

// plainProcessor tells the guest's programs to leave out the registers that the
// kernel does not keep for them under umlrun's filter: those of AVX and later.
func plainProcessor() []string {
	return []string{
		"GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512VL,-AVX512BW,-AVX512F,-AVX512DQ,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-XSAVEC,-XSAVE",
		"OPENSSL_ia32cap=~0x1000000010000000:~0xffffffff", // AVX, XSAVE; AVX2 and all later
		"NSS_DISABLE_AVX=1", "NSS_DISABLE_AVX2=1",
		"GODEBUG=cpu.all=off",
	}
}

// hosts tells the agent which host has which card.
func (c MachineConfig) hosts(device string) string {
	var all []string
	for i, card := range c.Cards {
		all = append(all, fmt.Sprintf("%s:%s%d", card.Host, device, i))
	}
	return "peers.hosts=" + strings.Join(all, ",")
}

// build compiles a program of the tests: static, without anything that depends
// on where it is built.
func build(ctx context.Context, file, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file, "spigate/tests/peers/"+program)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", filepath.Base(file), err, out)
	}
	return nil
}
