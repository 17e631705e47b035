package takeover

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Numbers of linux/ethtool.h that x/sys lacks.
const (
	ethtoolGStrings   = 0x1b
	ethtoolGSSetInfo  = 0x37
	ethtoolGFeatures  = 0x3a
	ethtoolSFeatures  = 0x3b
	ethSSFeatures     = 4
	ethGStringLen     = 32
	maxEthtoolStrings = 1024
)

// unwanted reports whether a feature, by its name of the kernel, changes
// frames on their way: merges or cuts them, leaves checksums unfinished, or
// takes VLAN tags out of our sight.
func unwanted(feature string) bool {
	if strings.HasSuffix(feature, "-segmentation") { // tx-tcp-, tx-generic-, tx-udp-, tx-gso-…
		return strings.HasPrefix(feature, "tx-")
	}
	switch feature {
	case "rx-gro", "rx-gro-hw", "rx-gro-list", "rx-udp-gro-forwarding", "rx-lro", "rx-checksum",
		"tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6", "tx-checksum-sctp",
		"rx-vlan-hw-parse", "tx-vlan-hw-insert", "rx-vlan-filter",
		"rx-vlan-stag-hw-parse", "tx-vlan-stag-hw-insert", "rx-vlan-stag-filter":
		return true
	}
	return false
}

// offloadsOff switches the unwanted features off, as far as the device has
// them and lets us. Features that stay on in spite of that are the device's
// fixed nature.
func (p *Port) offloadsOff() error {
	t, err := openEthtool(p.name())
	if err != nil {
		return err
	}
	defer t.close()
	names, blocks, err := t.features()
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return err
	}
	var off []string
	for i, name := range names {
		b, bit := blocks[i/32], uint32(1)<<(i%32)
		if unwanted(name) && b.Available&bit != 0 && b.Requested&bit != 0 {
			p.state.Offloads = remember(p.state.Offloads, name, "on")
			off = append(off, name)
		}
	}
	if err := p.save(); err != nil {
		return err
	}
	return t.set(names, off, false)
}

func (p *Port) restoreOffloads() error {
	if len(p.state.Offloads) == 0 {
		return nil
	}
	t, err := openEthtool(p.name())
	if err != nil {
		return err
	}
	defer t.close()
	names, _, err := t.features()
	if err != nil {
		return err
	}
	var on []string
	for _, s := range p.state.Offloads {
		on = append(on, s.Name)
	}
	return t.set(names, on, true)
}

// An ethtool speaks to one device by the SIOCETHTOOL ioctl.
type ethtool struct {
	fd   int
	name string
}

func openEthtool(name string) (*ethtool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("ethtool: %w", err)
	}
	return &ethtool{fd: fd, name: name}, nil
}

func (t *ethtool) close() { _ = unix.Close(t.fd) }

// ifreq is struct ifreq with a pointer in its union.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// call sends a command. buf is the command's structure, which the kernel
// reads and writes; numbers in it are in host byte order.
func (t *ethtool) call(what string, buf []byte) error {
	r := ifreq{data: unsafe.Pointer(&buf[0])}
	copy(r.name[:unix.IFNAMSIZ-1], t.name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(t.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return fmt.Errorf("ethtool %s: %w", what, errno)
	}
	return nil
}

// A featureBlock is 32 features (struct ethtool_get_features_block).
type featureBlock struct{ Available, Requested, Active, NeverChanged uint32 }

// features returns the kernel's names of all features, by number, and the
// device's blocks.
func (t *ethtool) features() ([]string, []featureBlock, error) {
	info := make([]byte, 20) // cmd, reserved, mask (64 bits), one count
	binary.NativeEndian.PutUint32(info, ethtoolGSSetInfo)
	binary.NativeEndian.PutUint64(info[8:], 1<<ethSSFeatures)
	if err := t.call("count features", info); err != nil {
		return nil, nil, err
	}
	n := int(binary.NativeEndian.Uint32(info[16:]))
	if n == 0 || n > maxEthtoolStrings {
		return nil, nil, fmt.Errorf("ethtool: %d features", n)
	}
	table := make([]byte, 12+n*ethGStringLen)
	binary.NativeEndian.PutUint32(table, ethtoolGStrings)
	binary.NativeEndian.PutUint32(table[4:], ethSSFeatures)
	binary.NativeEndian.PutUint32(table[8:], uint32(n))
	if err := t.call("name features", table); err != nil {
		return nil, nil, err
	}
	names := make([]string, n)
	for i := range names {
		s := table[12+i*ethGStringLen:][:ethGStringLen]
		end := bytes.IndexByte(s, 0)
		if end < 0 {
			end = len(s)
		}
		names[i] = string(s[:end])
	}
	blocks, err := t.blocks((n + 31) / 32)
	return names, blocks, err
}

func (t *ethtool) blocks(n int) ([]featureBlock, error) {
	buf := make([]byte, 8+16*n)
	binary.NativeEndian.PutUint32(buf, ethtoolGFeatures)
	binary.NativeEndian.PutUint32(buf[4:], uint32(n))
	if err := t.call("get features", buf); err != nil {
		return nil, err
	}
	out := make([]featureBlock, n)
	_, err := binary.Decode(buf[8:], binary.NativeEndian, out)
	return out, err
}

// set asks for the named features to be on or off. The kernel leaves out what
// it cannot change.
func (t *ethtool) set(names, change []string, on bool) error {
	if len(change) == 0 {
		return nil
	}
	wanted := make(map[string]bool, len(change))
	for _, c := range change {
		wanted[c] = true
	}
	n := (len(names) + 31) / 32
	buf := make([]byte, 8+8*n) // per block: valid, requested
	binary.NativeEndian.PutUint32(buf, ethtoolSFeatures)
	binary.NativeEndian.PutUint32(buf[4:], uint32(n))
	for i, name := range names {
		if !wanted[name] {
			continue
		}
		block, bit := buf[8+i/32*8:], uint32(1)<<(i%32)
		binary.NativeEndian.PutUint32(block, binary.NativeEndian.Uint32(block)|bit)
		if on {
			binary.NativeEndian.PutUint32(block[4:], binary.NativeEndian.Uint32(block[4:])|bit)
		}
	}
	return t.call("set features", buf)
}
