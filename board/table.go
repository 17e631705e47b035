package board

const (
	kiB = 1 << 10
	miB = 1 << 20
	giB = 1 << 30
)

// Generic is the board of a machine that no other row describes.
const Generic = "generic"

// slotBytes is the budget of the configuration's slots where flash is plenty:
// three slots and a copy being written, of a megabyte each.
const slotBytes = 4 * miB

// Boards is the table. Facts about real boards are from device trees of the
// Linux kernel, named at each; eth0 stands first in armada-38x.dtsi, so that
// the kernel counts devices as the boards' makers do, leaving out those that
// are off.
func Boards() []Board {
	boards := []Board{
		{Name: Generic, Title: "Any machine with Linux", Flash: Flash{Dir: "/var/lib/spigate", Bytes: slotBytes}},
		{Name: "tap", Title: "TAP devices on a host, for trials", Flash: Flash{Dir: "/var/lib/spigate", Bytes: slotBytes}},
		qemuVirt(), turrisOmnia(), linksysShelby(),
	}
	for i := range boards {
		boards[i].Memory = Budget(boards[i].RAM)
	}
	return boards
}

// qemuVirt is "qemu-system-arm -M virt": two virtio ports, a virtio block
// device as flash.
func qemuVirt() Board {
	return Board{
		Name: "qemu-virt-arm", Title: "QEMU virt (ARMv7)",
		Compatible: []string{"linux,dummy-virt"},
		Ports: []Port{
			{Name: "port0", Device: "eth0", MAC: "the mac of its -device"},
			{Name: "port1", Device: "eth1", MAC: "the mac of its -device"},
		},
		RAM:      128 * miB,
		Flash:    Flash{Dir: "/overlay/spigate", Bytes: slotBytes},
		Modules:  []string{"virtio_mmio", "virtio_net", "virtio_blk", "ext4", "softdog"},
		Watchdog: "/dev/watchdog", Console: "ttyAMA0",
	}
}

// turrisOmnia: marvell/armada-385-turris-omnia.dts. Five sockets at the chip's
// ports 0-4; both other ports lead to the CPU, 5 to eth1 and 6 to eth0; eth2 is
// the WAN socket or the SFP cage. 1 GB of memory in the tree, 2 GB on some. The
// kernel's DSA core uses the first CPU port that the tree names, which is 5.
func turrisOmnia() Board {
	return Board{
		Name: "turris-omnia", Title: "Turris Omnia",
		Compatible: []string{"cznic,turris-omnia"},
		Ports:      []Port{{Name: "wan", Device: "eth2", MAC: "of the boot loader, by the device tree"}},
		Switch: &Switch{
			Driver: "dsa", Chip: "mv88e6176", Conduits: []string{"eth1", "eth0"}, Own: []int{5, 6},
			Ports: []SwitchPort{{"lan0", 0}, {"lan1", 1}, {"lan2", 2}, {"lan3", 3}, {"lan4", 4}},
		},
		RAM:      1 * giB,
		Flash:    Flash{Dir: "/overlay/spigate", Bytes: slotBytes}, // eMMC
		Modules:  []string{"mvneta", "mv88e6xxx", "sdhci_pxav3", "mmc_block", "ext4", "orion_wdt"},
		Watchdog: "/dev/watchdog", Console: "ttyS0",
	}
}

// linksysShelby: marvell/armada-385-linksys.dtsi and -linksys-shelby.dts. The
// sockets count down: lan4 is the chip's port 0, lan1 its port 3, and the WAN
// socket is port 4. Port 5 leads to the tree's eth2, which is the kernel's
// second device because eth1 is off. 128 MB of NAND; settings have the 38 MB of
// the partition "syscfg", of which the slots get a share that leaves room for
// wear: UBI needs blocks of 128 kB to be free.
func linksysShelby() Board {
	return Board{
		Name: "linksys-wrt1900acs", Title: "Linksys WRT1900ACS",
		Compatible: []string{"linksys,shelby"},
		Switch: &Switch{
			Driver: "dsa", Chip: "mv88e6352", Conduits: []string{"eth1"}, Own: []int{5},
			Ports: []SwitchPort{{"lan4", 0}, {"lan3", 1}, {"lan2", 2}, {"lan1", 3}, {"wan", 4}},
		},
		RAM:      512 * miB,
		Flash:    Flash{Dir: "/overlay/spigate", Bytes: 512 * kiB},
		Modules:  []string{"mvneta", "mv88e6xxx", "marvell_nand", "ubi", "ubifs", "orion_wdt"},
		Watchdog: "/dev/watchdog", Console: "ttyS0",
	}
}
