package dsa

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"spigate/hw"
)

// kernel is a connection to the kernel, in the network namespace in which it was
// opened. All its methods may be called on nil, which is one that is closed.
type kernel struct {
	netlink *nl.SocketHandle
	ioctl   int // a socket for ethtool
}

func openKernel() (*kernel, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	// A refusal comes with the kernel's own words. Old kernels have none.
	_ = socket.SetExtAck(true)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("ethtool: %w", err)
	}
	timeout := unix.Timeval{Sec: 5} // a driver may wait for its chip, but not for ever
	if err := errors.Join(socket.SetSendTimeout(&timeout), socket.SetReceiveTimeout(&timeout)); err != nil {
		socket.Close()
		_ = unix.Close(fd)
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &kernel{netlink: &nl.SocketHandle{Socket: socket}, ioctl: fd}, nil
}

func (k *kernel) close() {
	k.netlink.Close()
	_ = unix.Close(k.ioctl)
}

var (
	errClosed = fmt.Errorf("the driver is closed: %w", hw.ErrSilent)
	errGone   = fmt.Errorf("it is not there: is the switch's driver loaded, or was the device renamed? %w", hw.ErrSilent)
)

// request sends a message and returns the answers of a type; 0: only whether it
// was done.
func (k *kernel) request(kind, flags int, reply uint16, parts ...nl.NetlinkRequestData) ([][]byte, error) {
	if k == nil {
		return nil, errClosed
	}
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: k.netlink}
	for _, p := range parts {
		req.AddData(p)
	}
	out, err := req.Execute(unix.NETLINK_ROUTE, reply)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("the kernel has not answered in time: %w", hw.ErrSilent)
	}
	return out, err
}

// tell sends a message and waits until it was done.
func (k *kernel) tell(kind, flags int, parts ...nl.NetlinkRequestData) error {
	_, err := k.request(kind, flags|unix.NLM_F_ACK, 0, parts...)
	if errors.Is(err, unix.ENODEV) {
		return errGone // since we asked for it
	}
	return err
}

// link is a device as the kernel has it at a time.
type link struct {
	netlink.LinkAttrs
	kind   string // "bridge", "dsa", "veth"
	maxMTU int    // bytes; 0: not told
	bridge *netlink.Bridge
}

func (l *link) up() bool { return l.RawFlags&unix.IFF_UP != 0 }

// link asks for a device by its name. One that is not there wraps hw.ErrSilent.
func (k *kernel) link(name string) (*link, error) { return k.named(name, skipStats) }

// counted asks for a device with its statistics.
func (k *kernel) counted(name string) (*link, error) { return k.named(name, 0) }

// skipStats asks for answers without statistics, which are most of them
// (RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h).
const skipStats = 1 << 3

func (k *kernel) named(name string, mask uint32) (*link, error) {
	return k.ask(fmt.Sprintf("device %s", name), nl.NewIfInfomsg(unix.AF_UNSPEC),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)), nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(mask)))
}

// linkAt asks for a device by its number.
func (k *kernel) linkAt(index int) (*link, error) {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	return k.ask(fmt.Sprintf("device number %d", index), msg)
}

func (k *kernel) ask(what string, parts ...nl.NetlinkRequestData) (*link, error) {
	list, err := k.request(unix.RTM_GETLINK, 0, unix.RTM_NEWLINK, parts...)
	if errors.Is(err, unix.ENODEV) || err == nil && len(list) == 0 {
		return nil, fmt.Errorf("%s: %w", what, errGone)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	found, err := netlink.LinkDeserialize(nil, list[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	l := &link{LinkAttrs: *found.Attrs(), kind: found.Type()}
	l.bridge, _ = found.(*netlink.Bridge)
	err = eachAttr(list[0], unix.SizeofIfInfomsg, func(kind uint16, value []byte) {
		if kind == unix.IFLA_MAX_MTU && len(value) == 4 {
			l.maxMTU = int(nl.NativeEndian().Uint32(value))
		}
	})
	return l, err
}

// eachAttr visits the attributes behind the fixed part of a message.
func eachAttr(data []byte, fixed int, visit func(kind uint16, value []byte)) error {
	if len(data) < fixed {
		return fmt.Errorf("netlink message of %d bytes", len(data))
	}
	for b := data[fixed:]; len(b) >= unix.SizeofRtAttr; {
		n, kind := int(nl.NativeEndian().Uint16(b)), nl.NativeEndian().Uint16(b[2:])
		if n < unix.SizeofRtAttr || n > len(b) {
			return fmt.Errorf("netlink attribute %d of %d bytes in %d", kind, n, len(b))
		}
		visit(kind&^uint16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:n])
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

// about begins a message about a device.
func about(l *link, family int) *nl.IfInfomsg {
	msg := nl.NewIfInfomsg(family)
	msg.Index = int32(l.Index)
	return msg
}

// change sets attributes of a device.
func (k *kernel) change(l *link, attrs ...nl.NetlinkRequestData) error {
	return k.tell(unix.RTM_NEWLINK, 0, append([]nl.NetlinkRequestData{about(l, unix.AF_UNSPEC)}, attrs...)...)
}

// setUp turns a device on or off.
func (k *kernel) setUp(l *link, up bool) error {
	msg := about(l, unix.AF_UNSPEC)
	msg.Change = unix.IFF_UP
	if up {
		msg.Flags = unix.IFF_UP
	}
	return k.tell(unix.RTM_NEWLINK, 0, msg)
}

func (k *kernel) setMTU(l *link, mtu int) error {
	return k.change(l, nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
}

// setMaster puts a device into a bridge; 0: out of it.
func (k *kernel) setMaster(l *link, index int) error {
	return k.change(l, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(index))))
}
