package traffic

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"spigate/tests/netns"
)

func indexOf(device string) (int, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return 0, fmt.Errorf("device %s: %w", device, err)
	}
	return ifi.Index, nil
}

// attached is a program on a device; Close takes it off.
type attached []func() error

func (a attached) Close() error { return closeAll(a) }

// Redirect makes a device of a namespace send everything that comes in out of
// another one, with nothing looked at and nothing changed: the limit of what an
// XDP program can do. The other end of a veth pair must admit what is
// redirected, as in Open.
func Redirect(in *netns.Namespace, from, to string) (io.Closer, error) {
	var a attached
	err := in.Do(func() error {
		out, err := deviceMap(to)
		if err != nil {
			return err
		}
		a = append(a, out.Close)
		return a.add(from, "redirect", redirecting(out))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("redirect from %s to %s: %w", from, to, err), a.Close())
	}
	return a, nil
}

// Admit lets a veth device take in frames that are redirected to it, by a
// program that passes everything: without a program, and without GRO, which
// taking a port from the kernel turns off, such frames are lost in silence.
func Admit(in *netns.Namespace, device string) (io.Closer, error) {
	var a attached
	err := in.Do(func() error {
		return a.add(device, "admit", asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()})
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("admit on %s: %w", device, err), a.Close())
	}
	return a, nil
}

func (a *attached) add(device, name string, code asm.Instructions) error {
	p, err := newProgram(name, ebpf.XDP, code)
	if err != nil {
		return err
	}
	*a = append(*a, p.Close)
	l, err := attach(device, p, AtXDP)
	if err != nil {
		return err
	}
	*a = append(*a, l.Close)
	return nil
}
