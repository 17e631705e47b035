package dsa

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/hw"
)

// Numbers of linux/ethtool.h.
const (
	ethtoolGSet       = 0x01
	ethtoolGSSetInfo  = 0x37
	ethtoolGStrings   = 0x1b
	ethtoolGStats     = 0x1d
	ethSSStats        = 1
	ethGStringLen     = 32
	maxEthtoolStats   = 1024
	speedUnknown      = 0xffffffff
	duplexFull        = 1
	ethtoolCmdSize    = 44
	ethtoolHeaderSize = 8
)

// ethtool has the kernel read or fill a structure of linux/ethtool.h.
func (k *kernel) ethtool(device string, data []byte) error {
	if k == nil {
		return errClosed
	}
	request := struct { // struct ifreq, with room for its largest union
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24]byte
	}{data: unsafe.Pointer(&data[0])}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(k.ioctl), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return errno
	}
	return nil
}

// speed returns a link's speed in megabits a second, and whether it is full
// duplex; 0 if the kernel cannot tell. struct ethtool_cmd: speed in two halves at
// 12 and 28, duplex at 14.
func (k *kernel) speed(device string) (mbit int, full bool) {
	b := make([]byte, ethtoolCmdSize)
	binary.NativeEndian.PutUint32(b, ethtoolGSet)
	if k.ethtool(device, b) != nil {
		return 0, false
	}
	v := uint32(binary.NativeEndian.Uint16(b[28:]))<<16 | uint32(binary.NativeEndian.Uint16(b[12:]))
	if v == speedUnknown || v == 0xffff || v > 1<<24 {
		v = 0
	}
	return int(v), b[14] == duplexFull
}

// statistics returns the counters that a driver has by their names.
func (k *kernel) statistics(device string) map[string]uint64 {
	n := k.statisticsCount(device)
	if n == 0 {
		return nil
	}
	names := make([]byte, 12+n*ethGStringLen) // cmd, string set, length, strings
	binary.NativeEndian.PutUint32(names, ethtoolGStrings)
	binary.NativeEndian.PutUint32(names[4:], ethSSStats)
	binary.NativeEndian.PutUint32(names[8:], uint32(n))
	values := make([]byte, ethtoolHeaderSize+n*8)
	binary.NativeEndian.PutUint32(values, ethtoolGStats)
	binary.NativeEndian.PutUint32(values[4:], uint32(n))
	if k.ethtool(device, names) != nil || k.ethtool(device, values) != nil {
		return nil
	}
	out := map[string]uint64{}
	for i := range n {
		name, _, _ := bytes.Cut(names[12+i*ethGStringLen:12+(i+1)*ethGStringLen], []byte{0})
		out[strings.ToLower(strings.TrimSpace(string(name)))] = binary.NativeEndian.Uint64(values[ethtoolHeaderSize+i*8:])
	}
	return out
}

// statisticsCount asks how many there are: struct ethtool_sset_info is cmd,
// reserved, mask of 64 bits, and a length for each bit.
func (k *kernel) statisticsCount(device string) int {
	b := make([]byte, 20)
	binary.NativeEndian.PutUint32(b, ethtoolGSSetInfo)
	binary.NativeEndian.PutUint64(b[8:], 1<<ethSSStats)
	if k.ethtool(device, b) != nil || binary.NativeEndian.Uint64(b[8:]) == 0 {
		return 0
	}
	return int(min(binary.NativeEndian.Uint32(b[16:]), maxEthtoolStats))
}

// family is how the driver of a chip calls what it counts; names are in lower
// case, and those of a list are added up. A family is known by its first name of
// RxFrames.
type family struct {
	rxFrames, txFrames, rxBytes, txBytes, rxErrors, rxDropped, txDropped []string
}

// families are those of the drivers that home routers have: mv88e6xxx, qca8k,
// b53, mt7530. The kernel's statistics of a DSA port may count only what passed
// the processor; these are the chip's own.
func families() []family {
	return []family{
		{ // mv88e6xxx
			rxFrames: []string{"in_unicast", "in_broadcasts", "in_multicasts"}, txFrames: []string{"out_unicast", "out_broadcasts", "out_multicasts"},
			rxBytes: []string{"in_good_octets", "in_bad_octets"}, txBytes: []string{"out_octets"},
			rxErrors:  []string{"in_undersize", "in_fragments", "in_oversize", "in_jabber", "in_rx_error", "in_fcs_error"},
			rxDropped: []string{"in_discards", "in_filtered"}, txDropped: []string{"out_filtered", "deferred_drop"},
		},
		{ // qca8k
			rxFrames: []string{"rxunicast", "rxbroad", "rxmulti"}, txFrames: []string{"txunicast", "txbroad", "txmulti"},
			rxBytes: []string{"rxgoodbyte"}, txBytes: []string{"txbyte"},
			rxErrors:  []string{"rxfcserr", "rxalignerr", "rxrunt", "rxfragment", "rxtoolong"},
			rxDropped: []string{"filtered", "rxoverflow"},
		},
		{ // b53
			rxFrames: []string{"rxunicastpkts", "rxmulticastpkts", "rxbroadcastpkts"}, txFrames: []string{"txunicastpkts", "txmulticastpkts", "txbroadcastpkts"},
			rxBytes: []string{"rxoctets"}, txBytes: []string{"txoctets"},
			rxErrors:  []string{"rxfcserrors", "rxalignmenterrors", "rxundersizepkts", "rxoversizepkts", "rxfragments", "rxjabbers", "rxsymbolerrors"},
			rxDropped: []string{"rxdroppkts"}, txDropped: []string{"txdroppkts"},
		},
		{ // mt7530
			rxFrames: []string{"rxunicast", "rxmulticast", "rxbroadcast"}, txFrames: []string{"txunicast", "txmulticast", "txbroadcast"},
			rxBytes: []string{"rxbytes"}, txBytes: []string{"txbytes"},
			rxErrors:  []string{"rxcrcerr", "rxalignerr", "rxundersize", "rxfragment", "rxoversize", "rxjabber"},
			rxDropped: []string{"rxdrop", "rxfiltering", "rxingressdrop"}, txDropped: []string{"txdrop"},
		},
	}
}

// chipCounters fills in what the chip itself has counted, if its driver is of a
// family that is known.
func (k *kernel) chipCounters(device string, c *hw.Counters) {
	known(k.statistics(device), c)
}

func known(stats map[string]uint64, c *hw.Counters) {
	all := families()
	i := slices.IndexFunc(all, func(f family) bool {
		return has(stats, f.rxFrames...) && has(stats, f.txFrames...) && has(stats, f.rxBytes[0], f.txBytes[0])
	})
	if i < 0 {
		return
	}
	f := all[i]
	for into, names := range map[*uint64][]string{
		&c.RxFrames: f.rxFrames, &c.TxFrames: f.txFrames, &c.RxBytes: f.rxBytes, &c.TxBytes: f.txBytes,
		&c.RxErrors: f.rxErrors, &c.RxDropped: f.rxDropped, &c.TxDropped: f.txDropped,
	} {
		*into = 0
		for _, name := range names {
			*into += stats[name]
		}
	}
}

func has(stats map[string]uint64, names ...string) bool {
	for _, name := range names {
		if _, ok := stats[name]; !ok {
			return false
		}
	}
	return true
}
