package files

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path"
	"strings"
)

// ModuleOrder returns the files of the modules and of those that they depend
// on, each after what it needs. Names are those of modules, "virtio_net"; one
// without a file is built into the kernel.
func (t Tree) ModuleOrder(names []string) ([]string, error) {
	files := map[string]string{}
	for name := range t {
		if InModules(name) && path.Ext(name) == ".ko" {
			files[ModuleName(strings.TrimSuffix(path.Base(name), ".ko"))] = name
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no kernel modules in the packages")
	}
	var order []string
	state := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		file, ok := files[ModuleName(name)]
		if !ok || state[file] {
			return nil
		}
		state[file] = true
		deps, err := dependsOn(t[file].Data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, d := range deps {
			if err := add(d); err != nil {
				return err
			}
		}
		order = append(order, file)
		return nil
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// InModules reports whether a path is where a machine's kernel has its modules.
func InModules(name string) bool {
	return strings.HasPrefix(name, "usr/lib/modules/") || strings.HasPrefix(name, "usr/lib/uml/modules/")
}

// ModuleName: the kernel takes "-" and "_" for the same in a module's name.
func ModuleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// dependsOn reads the line "depends=A,B" of a module's information.
func dependsOn(data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("no .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for _, line := range bytes.Split(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(line, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(string(list), ","), nil
		}
	}
	return nil, nil
}
