package tap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"spigate/tests/netns"
)

// device is the programs' end of a TAP device.
type device struct {
	fd   *os.File
	name string
}

// openDevice makes a TAP device in a namespace, up, and holds it: it goes with
// the file.
func openDevice(in *netns.Namespace, name string) (*device, error) {
	d := &device{name: name}
	err := in.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("/dev/net/tun: %w", err)
		}
		r, err := unix.NewIfreq(name)
		if err == nil {
			r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
		}
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		d.fd = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err == nil {
		err = in.SetLink(name, true)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tap %s: %w", name, err), d.Close())
	}
	return d, nil
}

// Close removes the device. A read that waits ends.
func (d *device) Close() error {
	if d.fd == nil {
		return nil
	}
	return d.fd.Close()
}
