package bed

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// ethtoolSGRO is ETHTOOL_SGRO of linux/ethtool.h, which x/sys lacks.
const ethtoolSGRO = 0x2c

// setGRO turns a device's generic receive offload on or off; the caller's
// thread is in the device's namespace.
func setGRO(device string, on bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ cmd, data uint32 }{cmd: ethtoolSGRO}
	if on {
		value.data = 1
	}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of struct ifreq
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if e != 0 {
		return fmt.Errorf("device %s: GRO: %w", device, e)
	}
	return nil
}

// SteerReceive has a device's packets received by one CPU (RPS), wherever their
// interrupt was; cpu -1 turns that off.
func SteerReceive(n *netns.Namespace, device string, cpu int) error {
	mask := "0"
	if cpu >= 0 {
		mask = fmt.Sprintf("%x", 1<<cpu)
	}
	return withSysfs(n, func() error {
		queues, err := filepath.Glob("/sys/class/net/" + device + "/queues/rx-*/rps_cpus")
		if err == nil && len(queues) == 0 {
			err = os.ErrNotExist
		}
		for _, q := range queues {
			if err == nil {
				err = os.WriteFile(q, []byte(mask), 0)
			}
		}
		if err != nil {
			return fmt.Errorf("device %s: receive steering: %w", device, err)
		}
		return nil
	})
}

// withSysfs runs fn on a thread that sees the namespace's devices under /sys:
// what is mounted there is the view of whoever mounted it.
func withSysfs(n *netns.Namespace, fn func() error) error {
	return n.Do(func() error {
		runtime.LockOSThread() // with Do's lock; the thread ends after fn, and its mounts with it
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("private mounts: %w", err)
		}
		if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
			return fmt.Errorf("mount sysfs: %w", err)
		}
		return fn()
	})
}
