package files

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// ModuleOrder returns the files of the modules and of all that they need, each
// after what it needs. Names are those of modules, "virtio_net"; one without a
// file is built into the kernel.
func (t Tree) ModuleOrder(names []string) ([]string, error) {
	m, err := t.Modules()
	if err != nil {
		return nil, err
	}
	return m.Order(names), nil
}

// Modules is the set of modules of one kernel.
type Modules struct {
	files   map[string]string // name: path
	info    map[string]Info   // by name
	aliases map[string]string // alias: name
	Release string            // of the kernel: the folder below usr/lib/modules
}

// Modules finds the kernel modules in a tree.
func (t Tree) Modules() (*Modules, error) {
	m := &Modules{files: map[string]string{}, info: map[string]Info{}, aliases: map[string]string{}}
	for _, file := range t.names() {
		if !InModules(file) || path.Ext(file) != ".ko" {
			continue
		}
		name := ModuleName(strings.TrimSuffix(path.Base(file), ".ko"))
		info, err := Read(t[file].Data)
		if err != nil {
			return nil, fmt.Errorf("kernel module %s: %w", file, err)
		}
		m.files[name], m.info[name] = file, info
		_, below, _ := strings.Cut(file, "/modules/")
		m.Release, _, _ = strings.Cut(below, "/")
		for _, a := range info.Aliases {
			m.offer(ModuleName(a), name)
		}
	}
	if len(m.files) == 0 {
		return nil, fmt.Errorf("no kernel modules in the packages")
	}
	return m, nil
}

// offer notes who has an alias. Of several, the one that runs on every
// processor is taken, which calls itself generic; else the first.
func (m *Modules) offer(alias, name string) {
	if _, have := m.aliases[alias]; !have || strings.HasSuffix(name, "_generic") {
		m.aliases[alias] = name
	}
}

// InModules reports whether a path is where a machine's kernel has its modules.
func InModules(name string) bool {
	return strings.HasPrefix(name, "usr/lib/modules/") || strings.HasPrefix(name, "usr/lib/uml/modules/")
}

// ModuleName: the kernel takes "-" and "_" for the same in a module's name.
func ModuleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// Has reports whether a module, or one with that alias, has a file.
func (m *Modules) Has(name string) bool {
	_, ok := m.find(name)
	return ok
}

func (m *Modules) find(name string) (string, bool) {
	name = ModuleName(name)
	if _, ok := m.files[name]; ok {
		return name, true
	}
	name, ok := m.aliases[name]
	return name, ok
}

// Order returns the files of the modules and of those that they need, each
// after what it needs. A name without a file is built into the kernel.
func (m *Modules) Order(names []string) []string {
	var order []string
	done := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		name, ok := m.find(name)
		if !ok || done[name] {
			return // a circle of softdeps ends here, too
		}
		done[name] = true
		for _, d := range slices.Concat(m.info[name].Depends, m.info[name].Pre) {
			add(d)
		}
		order = append(order, m.files[name])
	}
	for _, n := range names {
		add(n)
	}
	return order
}
