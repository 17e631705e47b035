// Package mii is the management bus (MDIO, IEEE 802.3 clause 22) behind a
// network device of Linux, by the ioctls SIOCGMIIPHY, SIOCGMIIREG and
// SIOCSMIIREG (linux/mii.h). They reach every address of the bus that the
// device's PHY is at, if its driver hands them to the bus, as those do that use
// the kernel's PHY library; others reach their own PHY alone.
//
// Invariants:
//   - One system call is one access. Nothing is remembered.
//   - The layout is that of struct ifreq, whose union begins after the name on
//     32 and 64 bits alike.
package mii

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bus is the bus of one device.
type Bus struct {
	device string
	socket int
	name   [unix.IFNAMSIZ]byte
}

// request is struct ifreq with struct mii_ioctl_data in its union. The kernel
// reads 40 bytes on 64 bits and 32 on 32.
type request struct {
	name    [unix.IFNAMSIZ]byte
	phy     uint16
	reg     uint16
	in, out uint16
	_       [16]byte
}

// Open opens the bus of a device. The device need not be up. That it has a PHY
// is asked at once: one without is an error here, not a silent chip.
func Open(device string) (*Bus, error) {
	b := &Bus{device: device, socket: -1}
	if len(device) == 0 || len(device) >= len(b.name) {
		return nil, fmt.Errorf("device %q: a name has 1 to %d bytes", device, len(b.name)-1)
	}
	copy(b.name[:], device)
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("device %s: a socket for its management bus: %w", device, err)
	}
	b.socket = s
	if _, err := b.PHY(); err != nil {
		_ = b.Close()
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = fmt.Errorf("it has none, or its driver does not show it: %w", err)
		}
		return nil, fmt.Errorf("device %s: management bus: %w", device, err)
	}
	return b, nil
}

// PHY returns the address of the device's own PHY.
func (b *Bus) PHY() (int, error) {
	r, err := b.call(unix.SIOCGMIIPHY, request{})
	return int(r.phy), err
}

// Read reads a register. Addresses and registers are 0 to 31. Nobody at an
// address reads as 0xffff.
func (b *Bus) Read(phy, reg int) (uint16, error) {
	r, err := b.call(unix.SIOCGMIIREG, request{phy: uint16(phy), reg: uint16(reg)})
	return r.out, err
}

// Write writes a register.
func (b *Bus) Write(phy, reg int, v uint16) error {
	_, err := b.call(unix.SIOCSMIIREG, request{phy: uint16(phy), reg: uint16(reg), in: v})
	return err
}

// call is one system call; a signal that comes in between starts it anew.
func (b *Bus) call(number uintptr, r request) (request, error) {
	r.name = b.name
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(b.socket), number, uintptr(unsafe.Pointer(&r)))
		switch errno {
		case 0:
			return r, nil
		case unix.EINTR:
		default:
			return r, errno
		}
	}
}

// Close closes the socket.
func (b *Bus) Close() error {
	if b.socket < 0 {
		return nil
	}
	err := unix.Close(b.socket)
	b.socket = -1
	return err
}
