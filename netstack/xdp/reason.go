//go:build linux && !noxdp

package xdp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// foreign reports whether attaching failed because a program of somebody else
// is on the device. It stays.
func foreign(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) }

// errNotSupported is the kernel's ENOTSUPP, which is not in errno.h.
const errNotSupported = unix.Errno(524)

// reason says why a program could not be attached.
func reason(err error, d device) string {
	switch {
	case foreign(err):
		return "somebody else's XDP program is on the device"
	case errors.Is(err, unix.ERANGE), errors.Is(err, unix.E2BIG):
		return fmt.Sprintf("the MTU of %d bytes is too great for XDP in the driver", d.mtu)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, errNotSupported), errors.Is(err, ebpf.ErrNotSupported):
		return "the driver has no XDP"
	case errors.Is(err, unix.ENODEV):
		return "no such device"
	}
	return oneLine(err).Error()
}

// unable says in one line why this kernel cannot run the programs at all.
func unable(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.ENOSYS):
		return errors.New("the kernel has no BPF (CONFIG_BPF_SYSCALL)")
	case errors.As(err, &verifier):
		return fmt.Errorf("the kernel refuses the program, 5.10 or later and CAP_PERFMON are needed: %w", verifier.Cause)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("not permitted: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed, before 5.11 locked memory too: %w", oneLine(err))
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel is too old, 5.10 or later is needed: %w", oneLine(err))
	}
	return oneLine(err)
}

// oneLine is the first line of an error.
func oneLine(err error) error {
	if line, rest, _ := strings.Cut(err.Error(), "\n"); rest != "" {
		return errors.New(line)
	}
	return err
}
