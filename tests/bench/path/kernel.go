package path

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/vishvananda/netlink"

	"spigate/tests/bench/bed"
	"spigate/tests/netns"
)

// kernelForward lets the router's kernel forward.
func kernelForward(_ context.Context, b *bed.Bed, s bed.Setup) (bed.Running, error) {
	cpu := -1
	if s.Place == bed.TwoCores {
		cpu = bed.ForwardCPU
	}
	return bed.Kernel{}, errors.Join(
		b.Router.Address("lan", bed.Inside),
		b.Router.Address("wan", bed.Outside),
		b.Router.Sysctl("net/ipv4/ip_forward", "1"),
		neighbour(b.Router, "wan", bed.Remote.Addr().AsSlice(), b.SinkMAC[:]),
		bed.SteerReceive(b.Router, "lan", cpu),
	)
}

// neighbour enters one for ever: a kernel that forgot it would drop a burst.
func neighbour(n *netns.Namespace, device string, ip, mac []byte) error {
	return n.Do(func() error {
		l, err := netlink.LinkByName(device)
		if err == nil {
			err = netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: mac})
		}
		if err != nil {
			return fmt.Errorf("neighbour on %s: %w", device, err)
		}
		return nil
	})
}

const masquerade = `table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname "wan" masquerade
	}
}
`

// kernelMasquerade is kernelForward with NAT, and so with its connection
// tracking.
func kernelMasquerade(ctx context.Context, b *bed.Bed, s bed.Setup) (bed.Running, error) {
	tool, err := exec.LookPath("nft")
	if err != nil {
		return nil, errors.New("nft is missing: install the package nftables, or run `make deps`")
	}
	r, err := kernelForward(ctx, b, s)
	if err != nil {
		return nil, err
	}
	_, err = b.Router.Run(ctx, masquerade, tool, "-f", "-")
	return r, err
}
