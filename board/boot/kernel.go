package boot

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Arguments are those of the kernel that are for us.
type Arguments struct {
	Flash string // spigate.flash=DEVICE; "": look for the label
}

// ParseArguments reads /proc/cmdline. Of one that is there twice the last
// counts, as in the kernel.
func ParseArguments(cmdline string) Arguments {
	var a Arguments
	for word := range strings.FieldsSeq(cmdline) {
		if v, ok := strings.CutPrefix(word, "spigate.flash="); ok && strings.HasPrefix(v, "/dev/") && !strings.Contains(v, "..") {
			a.Flash = v
		}
	}
	return a
}

// The superblock of ext2, ext3 and ext4 (kernel documentation,
// filesystems/ext4/globals): it begins at byte 1024; at 0x38 of it the magic
// number, little endian, at 0x78 the volume's name, 16 bytes, padded with zeros.
const (
	superblock    = 1024
	superblockEnd = superblock + 0x78 + 16
	ext4Magic     = 0xef53
)

// Label returns the name of the file system whose first bytes are head, or "".
func Label(head []byte) string {
	if len(head) < superblockEnd || binary.LittleEndian.Uint16(head[superblock+0x38:]) != ext4Magic {
		return ""
	}
	name, _, _ := bytes.Cut(head[superblock+0x78:superblockEnd], []byte{0})
	return string(name)
}
