package bed

import (
	"context"
	"fmt"
	"net"
	"os/exec"

	"github.com/vishvananda/netlink"
)

// dropAll drops IPv4 at a device's first hook; ARP passes.
const dropAll = `table netdev bench {
	chain sink {
		type filter hook ingress device "eth0" priority 0;
		meta protocol ip drop
	}
}
`

// deviceReceiver counts by the sink's device and drops by nft.
type deviceReceiver struct{ b *Bed }

// NewDeviceReceiver returns a Receiver that needs nft.
func NewDeviceReceiver(ctx context.Context, b *Bed) (Receiver, error) {
	tool, err := exec.LookPath("nft")
	if err != nil {
		return nil, fmt.Errorf("nft is missing: install the package nftables, or run `make deps`: %w", err)
	}
	if _, err := b.Sink.Run(ctx, dropAll, tool, "-f", "-"); err != nil {
		return nil, err
	}
	return deviceReceiver{b}, nil
}

// Count implements Receiver.
func (r deviceReceiver) Count() (n uint64, err error) {
	err = r.b.Sink.Do(func() error {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		l, err := netlink.LinkByIndex(dev.Index)
		if err == nil {
			n = l.Attrs().Statistics.RxPackets
		}
		return err
	})
	return n, err
}

// Close implements Receiver; the rules end with the bed.
func (deviceReceiver) Close() error { return nil }
