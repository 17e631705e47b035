package link

import (
	"errors"

	"golang.org/x/sys/unix"
)

// errWoken ends a wait on Close; Read turns it into net.ErrClosed.
var errWoken = errors.New("woken by close")

// A device asks the kernel about a port by ioctl. The socket belongs to the
// network namespace in which it was made, which /sys and the calling thread
// need not.
type device struct {
	name string
	fd   int
}

// up reports whether the device is administratively up and has carrier. It is
// false once the device is gone.
func (d device) up() bool {
	const both = unix.IFF_UP | unix.IFF_RUNNING
	flags, err := d.flags()
	return err == nil && flags&both == both
}

func (d device) flags() (uint16, error) {
	ifr, err := unix.NewIfreq(d.name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(d.fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return 0, err
	}
	return ifr.Uint16(), nil
}

// setUp puts the device administratively up.
func (d device) setUp() error {
	flags, err := d.flags()
	if err != nil || flags&unix.IFF_UP != 0 {
		return err
	}
	ifr, err := unix.NewIfreq(d.name)
	if err != nil {
		return err
	}
	ifr.SetUint16(flags | unix.IFF_UP)
	return unix.IoctlIfreq(d.fd, unix.SIOCSIFFLAGS, ifr)
}

// setMTU sets the device's MTU in bytes.
func (d device) setMTU(mtu int) error {
	ifr, err := unix.NewIfreq(d.name)
	if err != nil {
		return err
	}
	ifr.SetUint32(uint32(mtu))
	return unix.IoctlIfreq(d.fd, unix.SIOCSIFMTU, ifr)
}
