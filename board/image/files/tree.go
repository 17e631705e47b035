package files

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
)

// Tree is a file system in memory: what packages hold, and then what of it goes
// into a machine's first file system. Paths have no slash at the beginning; in
// what comes from packages /bin, /sbin, /lib and /lib64 are merged into /usr.
type Tree map[string]Node

// Node is a file, a folder or a symbolic link.
type Node struct {
	Mode uint32 // permissions
	Dir  bool
	Link string // target; empty: not a link
	Data []byte
}

// maxSize bounds one file of a package.
const maxSize = 64 << 20

// Merged gives a path its place in a merged /usr.
func Merged(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	first, rest, deep := strings.Cut(name, "/")
	switch first {
	case "bin", "sbin", "lib", "lib64":
		name = "usr/" + first
		if deep {
			name += "/" + rest
		}
	}
	return name
}

// AddPackage adds the files of a .deb that want accepts. A path that is there
// already stays as it is.
func (t Tree) AddPackage(ctx context.Context, deb string, want func(name string) bool) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	rerr := t.addTar(out, want)
	if _, err := io.Copy(io.Discard, out); err != nil && rerr == nil {
		rerr = err
	}
	if err := errors.Join(rerr, cmd.Wait()); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	return nil
}

func (t Tree) addTar(r io.Reader, want func(name string) bool) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := Merged(h.Name)
		if _, have := t[name]; have || !want(name) {
			continue
		}
		n := Node{Mode: uint32(h.Mode) & 0o777}
		switch h.Typeflag {
		case tar.TypeReg:
			if n.Data, err = io.ReadAll(io.LimitReader(in, maxSize)); err != nil {
				return err
			}
		case tar.TypeLink:
			n = t[Merged(h.Linkname)]
		case tar.TypeSymlink:
			n.Link = h.Linkname
		default:
			continue // folders are made as files need them
		}
		t[name] = n
	}
}

// ResolveLink follows symbolic links to a file that is there.
func (t Tree) ResolveLink(name string) (string, bool) {
	for range 16 {
		n, ok := t[name]
		switch {
		case !ok:
			return "", false
		case n.Link == "":
			return name, true
		case strings.HasPrefix(n.Link, "/"):
			name = Merged(n.Link)
		default:
			name = Merged(path.Join(path.Dir(name), n.Link))
		}
	}
	return "", false
}

// File puts a file into the tree.
func (t Tree) File(name string, mode uint32, data []byte) { t[name] = Node{Mode: mode, Data: data} }

// Symlink puts a symbolic link into the tree.
func (t Tree) Symlink(name, target string) { t[name] = Node{Mode: 0o777, Link: target} }

// Folder puts a folder into the tree.
func (t Tree) Folder(name string) { t[name] = Node{Mode: 0o755, Dir: true} }

// Parents adds the folders of all that is in the tree.
func (t Tree) Parents() {
	for name := range t {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := t[d]; !ok {
				t.Folder(d)
			}
		}
	}
}
