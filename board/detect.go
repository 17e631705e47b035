package board

import (
	"bytes"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// maxFile is how much is read of a file of /proc: their lines that matter here
// come early.
const maxFile = 16 * kiB

// Detect says which board this machine is. proc is the root of /proc: the
// kernel's argument spigate.board= goes before the device tree's compatible
// strings, of which the first that a row has counts (they stand from special to
// general). RAM is what the kernel has, if it says so. What cannot be read, or
// names no row, is the board Generic.
func Detect(proc fs.FS) Board {
	b := named(proc)
	if ram := memTotal(read(proc, "meminfo")); ram > 0 {
		b = b.With(ram)
	}
	return b
}

// With returns the board with this much memory, in bytes.
func (b Board) With(ram int64) Board {
	b.RAM, b.Memory = ram, Budget(ram)
	return b
}

func named(proc fs.FS) Board {
	for word := range strings.FieldsSeq(string(read(proc, "cmdline"))) {
		if name, ok := strings.CutPrefix(word, "spigate.board="); ok {
			if b, err := Find(name); err == nil {
				return b
			}
		}
	}
	if b, ok := match(read(proc, "device-tree/compatible")); ok {
		return b
	}
	b, _ := Find(Generic)
	return b
}

// match finds the board of a compatible property: strings that end with a zero
// byte each (Devicetree Specification 2.3.1).
func match(property []byte) (Board, bool) {
	boards := Boards()
	for text := range bytes.SplitSeq(property, []byte{0}) {
		for _, b := range boards {
			if len(text) > 0 && b.is(string(text)) {
				return b, true
			}
		}
	}
	return Board{}, false
}

func (b Board) is(compatible string) bool {
	for _, c := range b.Compatible {
		if c == compatible {
			return true
		}
	}
	return false
}

// memTotal returns the bytes of the line MemTotal (proc_meminfo(5)), or 0.
func memTotal(text []byte) int64 {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "MemTotal:")
		if !ok {
			continue
		}
		kb, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.ParseInt(kb, 10, 64)
		if err != nil || unit != "kB" || n <= 0 || n > math.MaxInt64/kiB {
			return 0
		}
		return n * kiB
	}
	return 0
}

// read returns the beginning of a file, or nothing.
func read(proc fs.FS, name string) []byte {
	f, err := proc.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil
	}
	return text
}
