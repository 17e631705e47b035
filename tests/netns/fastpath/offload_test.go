package fastpath

import (
	"fmt"
	"log/slog"
	"net"
	"os/exec"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	xdplink "github.com/cilium/ebpf/link"

	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/xdp"
	"spigate/tests/netns"
)

// offload is the kernel: every flow that has had a packet is offloaded with the
// next sweep. What the programs leave takes the flow table over AF_PACKET.
type offload struct {
	mode xdp.Mode

	off *xdp.Offload
	in  *netns.Namespace
}

func (o *offload) name() string { return "XDP, " + o.mode.String() }

func (o *offload) prepare(b *bed, c *netstack.Config) {
	o.in = b.ns[0]
	if o.mode == xdp.Native {
		for _, host := range b.ns[1:] {
			takesRedirected(b.t, host)
		}
	}
	var faults lines
	config := xdp.Config{Mode: o.mode, Flows: c.Flows, Log: slog.New(slog.NewTextHandler(&faults, nil))}
	for i, p := range c.Ports {
		config.Ports = append(config.Ports, xdp.Port{Name: p.Name, Interfaces: map[uint16]frame.Interface{p.VLANs[0].Tag: frame.Interface(i + 1)}})
	}
	err := o.in.Do(func() (err error) {
		o.off, err = xdp.Open(config)
		return err
	})
	if err != nil {
		b.t.Fatalf("%s: %v", b, err)
	}
	b.t.Cleanup(func() {
		if err := o.in.Do(o.off.Close); err != nil {
			b.t.Errorf("%s: close: %v", b, err)
		}
	})
	for _, p := range o.off.Status().Ports {
		if p.Mode != o.mode.String() {
			b.t.Fatalf("%s: port %s is %s: %s\n%s", b, p.Name, p.Mode, p.Why, faults.String())
		}
	}
	c.Offload, c.OffloadAfter = o.off, 1
}

func (o *offload) send(b *bed, packets []drawn) { fast{}.send(b, packets) }

func (*offload) countsLate() bool { return true }

func (o *offload) swept(b *bed) {
	err := o.in.Do(func() error {
		o.off.Check(b.r.Now())
		return nil
	})
	if err != nil {
		b.t.Errorf("%s: %v", b, err)
	}
}

func (o *offload) went(b *bed) {
	flows, kernel := b.r.Flows().Stats(), o.off.Status()
	b.t.Logf("%s: %d packets, beside %d by the table, %d missed, %d for the stack; left by the kernel: %v",
		b, kernel.Hits, flows.Hits-b.hits, flows.Misses, flows.Punts, kernel.Punts)
	if kernel.Hits < 100 || kernel.Hits != flows.OffloadPackets {
		b.t.Errorf("%s: the kernel forwarded %d packets, the flow table counted %d: the test must have 100 at least", b, kernel.Hits, flows.OffloadPackets)
	}
}

// takesRedirected makes a host's end of a cable one that frames can be sent to
// by a program at the other end: it has one itself, which lets all pass. The
// host still gets every frame as it was sent.
func takesRedirected(t tb, in *netns.Namespace) {
	err := in.Do(func() error {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
		})
		if err != nil {
			return err
		}
		defer pass.Close()
		l, err := xdplink.AttachXDP(xdplink.XDPOptions{Program: pass, Interface: dev.Index, Flags: xdplink.XDPDriverMode})
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		if out, err := exec.Command("ethtool", "-K", "eth0", "gro", "off").CombinedOutput(); err != nil {
			return fmt.Errorf("ethtool: %w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", in.Name, err)
	}
}
