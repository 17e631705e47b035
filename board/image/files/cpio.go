package files

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteArchive writes the tree in the "newc" form of cpio, which the kernel
// unpacks as its first file system.
func (t Tree) WriteArchive(w io.Writer) error {
	out := bufio.NewWriter(w)
	for i, name := range t.names() {
		n := t[name]
		mode, data := n.Mode|0o100000, n.Data
		switch {
		case n.Dir:
			mode = n.Mode | 0o040000
		case n.Link != "":
			mode, data = n.Mode|0o120000, []byte(n.Link)
		}
		writeMember(out, i+1, name, mode, data)
	}
	writeMember(out, 0, "TRAILER!!!", 0, nil)
	return out.Flush() // returns the first error of all writes
}

// names lists all paths in order: a folder stands before what is in it.
func (t Tree) names() []string {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func writeMember(w *bufio.Writer, inode int, name string, mode uint32, data []byte) {
	fmt.Fprintf(w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	w.WriteString(name)
	w.WriteByte(0)
	pad(w, 110+len(name)+1)
	w.Write(data)
	pad(w, len(data))
}

// pad fills up to a multiple of four bytes.
func pad(w *bufio.Writer, n int) { w.WriteString(strings.Repeat("\x00", (4-n%4)%4)) }
