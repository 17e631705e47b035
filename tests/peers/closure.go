package peers

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"spigate/board/image/files"
)

// libraryDirs is where shared libraries of the guest's programs may be.
func libraryDirs() []string {
	return []string{"usr/lib/x86_64-linux-gnu", "usr/lib/ipsec", "usr/lib"}
}

// closure copies the wanted files, and every shared library that they need,
// into a new tree.
func closure(t files.Tree, wanted []string) (files.Tree, error) {
	out := files.Tree{}
	var missing []error
	queue := slices.Clone(wanted)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, done := out[name]; done {
			continue
		}
		real, ok := t.ResolveLink(name)
		if !ok {
			missing = append(missing, fmt.Errorf("no package has /%s", name))
			continue
		}
		out[name] = t[real] // a link becomes a copy of what it points to
		libraries, err := needed(t[real].Data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", real, err)
		}
		for _, l := range libraries {
			if found := library(t, l); found != "" {
				queue = append(queue, found)
			} else {
				missing = append(missing, fmt.Errorf("no package has %s, which %s needs", l, real))
			}
		}
	}
	return out, errors.Join(missing...)
}

func library(t files.Tree, name string) string {
	for _, dir := range libraryDirs() {
		if _, ok := t.ResolveLink(path.Join(dir, name)); ok {
			return path.Join(dir, name)
		}
	}
	return ""
}

// needed lists the shared libraries that an ELF file names; the loader's own
// file is found under a fixed path and is left out.
func needed(data []byte) ([]string, error) {
	if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		return nil, nil
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	all, err := f.ImportedLibraries()
	return slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, "ld-linux") }), err
}

// under lists the paths of the tree below a folder whose base name matches.
func under(t files.Tree, dir, pattern string) []string {
	var out []string
	for name := range t {
		if ok, err := path.Match(pattern, path.Base(name)); path.Dir(name) == dir && ok && err == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
