package traffic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// memory is an array map of one value that both a program and we can touch.
type memory struct {
	*ebpf.Map
	*ebpf.Memory
}

func newMemory(name string, size int) (*memory, error) {
	// Kernels before 5.11 charge maps to the process's locked memory.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(size), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	mem, err := m.Memory()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map %s: %w", name, err), m.Close())
	}
	return &memory{m, mem}, nil
}

func (m *memory) write(at int, b []byte) error {
	_, err := m.WriteAt(b, int64(at))
	return err
}

func (m *memory) set(at int, v uint64) error {
	return m.write(at, native.AppendUint64(nil, v))
}

func (m *memory) get(at int) (uint64, error) {
	var b [8]byte
	_, err := m.ReadAt(b[:], int64(at))
	return native.Uint64(b[:]), err
}

// deviceMap has one device, to redirect to. It must be called in the device's
// namespace.
func deviceMap(device string) (*ebpf.Map, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", device, err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "device", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("map of devices: %w", err)
	}
	if err := m.Put(uint32(0), uint32(ifi.Index)); err != nil {
		return nil, errors.Join(fmt.Errorf("map of devices: %w", err), m.Close())
	}
	return m, nil
}

func newProgram(name string, kind ebpf.ProgramType, code asm.Instructions) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: kind, Instructions: code, License: "Dual BSD/GPL"})
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", name, err)
	}
	return p, nil
}

// closeAll closes in reverse order.
func closeAll(all []func() error) (err error) {
	for i := len(all) - 1; i >= 0; i-- {
		err = errors.Join(err, all[i]())
	}
	return err
}

// pin keeps the calling thread on a processor. The goroutine must be locked to
// its thread, and the thread end with it.
func pin(cpu int) error {
	if cpu < 0 || cpu >= runtime.NumCPU() {
		return fmt.Errorf("no processor %d", cpu)
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to processor %d: %w", cpu, err)
	}
	return nil
}

// threadTime is the processor time that the calling thread has used. A softirq
// that interrupts the thread is in it, unless the kernel counts it apart
// (CONFIG_IRQ_TIME_ACCOUNTING).
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}

// softThread is where the kernel tells of the thread that takes over when
// softirqs are too many on a processor, "" if it is not to be seen: in a
// namespace of processes of its own, mostly.
func softThread(cpu int) (string, error) {
	name := fmt.Sprintf("ksoftirqd/%d", cpu)
	all, err := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(text)) == name { // processes come and go
			return filepath.Join(filepath.Dir(path), "schedstat"), nil
		}
	}
	return "", err
}

// softIRQ is the processor time of that thread.
func softIRQ(schedstat string) (time.Duration, error) {
	if schedstat == "" {
		return 0, nil
	}
	text, err := os.ReadFile(schedstat)
	if err != nil {
		return 0, fmt.Errorf("softirqs: %w", err)
	}
	used, _, _ := strings.Cut(string(text), " ")
	ns, err := strconv.ParseInt(used, 10, 64)
	return time.Duration(ns), err
}
