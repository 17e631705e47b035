//go:build linux && !noxdp

package xdp

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/link/takeover"
)

func TestWhatTheProgramLeavesReachesTheRouterAndNobodyElse(t *testing.T) {
	for _, mode := range []Mode{Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			ownNamespace(t)
			veth(t, "lan", "host-lan")
			veth(t, "wan", "host-wan")
			gro(t, "host-lan", true)
			gro(t, "host-wan", true)
			// A kernel that would forward: addresses, a neighbour, ip_forward.
			for device, addr := range map[string]string{"lan": "10.0.0.1/24", "wan": "198.51.100.254/24"} {
				a, err := netlink.ParseAddr(addr)
				must(t, err)
				must(t, netlink.AddrAdd(linkNamed(t, device), a))
			}
			must(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0))
			must(t, netlink.NeighSet(&netlink.Neigh{LinkIndex: linkNamed(t, "wan").Attrs().Index, State: netlink.NUD_PERMANENT,
				IP: remoteAddr[:], HardwareAddr: peer[:]}))
			dir := t.TempDir()
			for _, d := range []string{"lan", "wan"} {
				p, err := takeover.Take(d, takeover.Config{Dir: dir})
				must(t, err)
				t.Cleanup(func() { must(t, p.Restore()) })
			}
			w := newWorldOf(t, mode, 100)
			ring, err := link.OpenRing(link.RingConfig{Device: "lan", MAC: router["lan"]})
			must(t, err)
			come, leave := outbound(frame.ProtoESP, 1, lanVLAN, 0)
			w.lan.send(come.bytes()) // of no flow
			batch := make([]frame.Frame, frame.Batch)
			n, err := ring.Read(batch)
			must(t, err)
			untagged := come
			untagged.vlan = 0
			if n != 1 || batch[0].VLAN != lanVLAN || string(batch[0].Bytes()) != string(untagged.bytes()) {
				t.Errorf("the ring gave %d frames, first of VLAN %d: %x", n, batch[0].VLAN, batch[0].Bytes())
			}
			must(t, ring.Close())
			_, _ = ring.Read(batch) // gives back what was lent
			// What the router sends, and what the kernel forwards for it, still
			// passes the drop on the way out.
			w.add(offloaded(frame.ProtoESP, 1, lanTagged, plainHop))
			w.lan.send(come.bytes())
			w.wan.wants(leave)
			// So nothing came before it: the kernel has forwarded nothing.
			w.wan.wantsNothing()
			if ethtool(t, "lan", getFlags, 0)&flagsVLAN != 0 {
				t.Error("tags can be where the program does not see them")
			}
		})
	}
}
