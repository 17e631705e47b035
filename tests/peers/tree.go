package peers

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

// tree is a file system in memory: what the packages hold, and then what of it
// goes into the guest. Paths have no slash at the beginning, and /bin, /sbin,
// /lib and /lib64 are merged into /usr.
type tree map[string]node

// node is a file, a folder or a symbolic link.
type node struct {
	mode uint32 // permissions
	dir  bool
	link string // target; empty: not a link
	data []byte
}

// maxSize bounds one file of a package.
const maxSize = 64 << 20

// merged gives a path its place in a merged /usr.
func merged(name string) string {
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

// addPackage adds the files of a .deb that want accepts. A path that is there
// already stays as it is.
func (t tree) addPackage(ctx context.Context, deb string, want func(name string) bool) error {
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

func (t tree) addTar(r io.Reader, want func(name string) bool) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := merged(h.Name)
		if _, have := t[name]; have || !want(name) {
			continue
		}
		n := node{mode: uint32(h.Mode) & 0o777}
		switch h.Typeflag {
		case tar.TypeReg:
			if n.data, err = io.ReadAll(io.LimitReader(in, maxSize)); err != nil {
				return err
			}
		case tar.TypeLink:
			n = t[merged(h.Linkname)]
		case tar.TypeSymlink:
			n.link = h.Linkname
		default:
			continue // folders are made as files need them
		}
		t[name] = n
	}
}

// resolveLink follows symbolic links to a file that is there.
func (t tree) resolveLink(name string) (string, bool) {
	for range 16 {
		n, ok := t[name]
		switch {
		case !ok:
			return "", false
		case n.link == "":
			return name, true
		case strings.HasPrefix(n.link, "/"):
			name = merged(n.link)
		default:
			name = merged(path.Join(path.Dir(name), n.link))
		}
	}
	return "", false
}

// file and link put something into the tree.
func (t tree) file(name string, mode uint32, data []byte) { t[name] = node{mode: mode, data: data} }
func (t tree) symlink(name, target string)                { t[name] = node{mode: 0o777, link: target} }
func (t tree) folder(name string)                         { t[name] = node{mode: 0o755, dir: true} }

// parents adds the folders of all files.
func (t tree) parents() {
	for name := range t {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := t[d]; !ok {
				t.folder(d)
			}
		}
	}
}
