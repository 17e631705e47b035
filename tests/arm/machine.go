package arm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"spigate/tests/netns"
)

// emulator is QEMU for ARMv7; plain emulation runs wherever the test does.
const emulator = "qemu-system-arm"

// Card is a network card of a machine. The first one is eth0.
type Card struct {
	TAP     string           // a device of the namespace that the machine is in; "": a cable that ends nowhere
	Address net.HardwareAddr // nil: one of the documentation range, by number
}

// Drive is a block device with the bytes of a file. The first one is /dev/vda.
type Drive struct {
	File     string
	ReadOnly bool
}

// MachineConfig says what to start.
type MachineConfig struct {
	In             *netns.Namespace // where the TAP devices are; its lab ends the machine
	Kernel, Initrd string           // files
	Append         string           // more arguments of the kernel, after "console=ttyAMA0 panic=-1 net.ifnames=0"
	Memory         int              // MB; 0: 256
	Cards          []Card
	Drives         []Drive
	Reboot         bool              // a reboot of the guest starts it again; otherwise it ends the machine
	Line           func(line string) // called for each line of the console, may be nil
	Args           []string          // more arguments of QEMU
}

// Machine is a running virtual machine. Its methods are safe for concurrent
// use.
type Machine struct {
	process *netns.Process

	mu   sync.Mutex
	keys io.WriteCloser // what is typed on the console
}

// Start starts a machine and does not wait for anything.
func Start(c MachineConfig) (*Machine, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	// Beside the processes that send and look on, emulation is patient.
	process, err := c.In.Start(netns.Command{
		Path: "/usr/bin/nice", Args: append([]string{"-n", "5", emulator}, c.arguments()...), Line: c.Line, In: read,
	})
	read.Close()
	if err != nil {
		write.Close()
		return nil, fmt.Errorf("machine: %w", err)
	}
	return &Machine{process: process, keys: write}, nil
}

// arguments are those of QEMU. Devices of the "virt" machine are found by the
// kernel from the last to the first.
func (c MachineConfig) arguments() []string {
	memory := c.Memory
	if memory == 0 {
		memory = 256
	}
	args := []string{
		"-M", "virt,highmem=off", "-cpu", "cortex-a15", "-m", strconv.Itoa(memory), "-accel", "tcg,tb-size=64",
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
		"-kernel", c.Kernel, "-initrd", c.Initrd,
		"-append", strings.TrimSpace("console=ttyAMA0 panic=-1 net.ifnames=0 " + c.Append),
	}
	if !c.Reboot {
		args = append(args, "-no-reboot")
	}
	for i := len(c.Drives) - 1; i >= 0; i-- {
		d := c.Drives[i]
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=d%d,format=raw,file=%s,readonly=%s", i, d.File, map[bool]string{true: "on", false: "off"}[d.ReadOnly]),
			"-device", fmt.Sprintf("virtio-blk-device,drive=d%d", i))
	}
	for i := len(c.Cards) - 1; i >= 0; i-- {
		args = append(args, c.Cards[i].arguments(i)...)
	}
	return append(args, c.Args...)
}

func (c Card) arguments(i int) []string {
	address := c.Address
	if address == nil {
		address = net.HardwareAddr{0x02, 0x00, 0x5e, 0x00, 0x53, byte(i + 1)}
	}
	end := fmt.Sprintf("hubport,id=n%d,hubid=%d", i, i)
	if c.TAP != "" {
		end = fmt.Sprintf("tap,id=n%d,ifname=%s,script=no,downscript=no", i, c.TAP)
	}
	return []string{"-netdev", end, "-device", fmt.Sprintf("virtio-net-device,netdev=n%d,mac=%v", i, address)}
}

// Type types a line on the console.
func (m *Machine) Type(line string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := io.WriteString(m.keys, line+"\n"); err != nil {
		return fmt.Errorf("machine: type %q: %w", line, err)
	}
	return nil
}

// Await waits for a line on the console, from its beginning, that has a text in
// it. The error has the console's last lines.
func (m *Machine) Await(ctx context.Context, text string) (string, error) {
	return m.AwaitLine(ctx, fmt.Sprintf("%q", text), func(line string) bool { return strings.Contains(line, text) })
}

// AwaitLine waits for a line that fits; what says what is waited for.
func (m *Machine) AwaitLine(ctx context.Context, what string, fits func(line string) bool) (string, error) {
	line, err := m.process.WaitLine(ctx, fits)
	if err != nil {
		return "", fmt.Errorf("machine: wait for %s: %w; the console's end:\n%s", what, err, m.tail())
	}
	return strings.TrimRight(line, "\r"), nil
}

// Wait waits until the machine has ended by itself: a power-off, or a reboot if
// that was to end it. Any other end is an error.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.process.Done():
	case <-ctx.Done():
		return fmt.Errorf("machine: wait for its end: %w; the console's end:\n%s", ctx.Err(), m.tail())
	}
	if err := m.process.Err(); err != nil {
		return fmt.Errorf("machine: %w; the console's end:\n%s", err, m.tail())
	}
	return nil
}

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.process.Done() }

// Cut takes the machine's power away: what it had not written to its drives is
// lost.
func (m *Machine) Cut() error {
	if err := m.process.Signal(os.Kill); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("machine: %w", err)
	}
	<-m.process.Done()
	return m.close()
}

// Close ends the machine if it has not ended.
func (m *Machine) Close() error { return errors.Join(m.process.Stop(), m.close()) }

func (m *Machine) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.keys.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Pid is the process id of QEMU.
func (m *Machine) Pid() int { return m.process.Pid() }

// Lines are those of the console, of the guest and of QEMU, without the
// carriage returns of a terminal.
func (m *Machine) Lines() []string {
	lines := m.process.Output()
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimRight(l, "\r")
	}
	return out
}

// Console is the text of all lines.
func (m *Machine) Console() string { return strings.Join(m.Lines(), "\n") }

// tail is as much of the console as a failure's message needs.
func (m *Machine) tail() string {
	lines := m.Lines()
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
