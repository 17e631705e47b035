package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"spigate/board"
	"spigate/board/image/files"
)

// always lists the modules that every machine loads: a block device and a file
// system for the flash, ports of a virtual machine, TAP devices, and what keeps
// the kernel away from a port that the router has taken.
func always() []string {
	return []string{"virtio_mmio", "virtio_net", "virtio_blk", "ext4", "tun", "sch_ingress", "cls_bpf"}
}

// asked lists what modules ask the kernel for when a device is found, which has
// nobody to answer by then: a switch's tag on its way to the CPU, the bus and the
// transceivers of a network device.
func asked() map[string][]string {
	return map[string][]string{"mv88e6xxx": {"tag_dsa"}, "mvneta": {"mvmdio", "marvell"}}
}

// last stands at the end of every list: a watchdog in software, which gets
// /dev/watchdog only where no module before it found one in hardware.
const last = "softdog"

// folders are the empty ones that the first process mounts something on, or
// writes to.
func folders() []string { return []string{"proc", "sys", "dev", "run", "overlay", "tmp"} }

// moduleCost is what one module adds to the first file system.
type moduleCost struct {
	name  string
	bytes int
	by    []string // boards whose list has it; empty: every list
}

// rootFS is the first file system. /etc/modules names the files of modules in
// the order in which they are loaded; a board that needs others has a complete
// list of its own, /etc/modules.d/BOARD.
func rootFS(bin *routerBinary, k *kernel, factory []byte) (files.Tree, []moduleCost, error) {
	t := files.Tree{}
	t.File("init", 0o755, bin.data)
	t.Symlink("bin/spigate", "/init")
	t.Symlink("lib", "usr/lib")
	t.File("etc/spigate.toml", 0o644, factory)
	t.File("etc/spigate-release", 0o644, []byte(release(bin, k)))
	for _, dir := range folders() {
		t.Folder(dir)
	}
	users := map[string][]string{}
	common := append(always(), last)
	if err := k.list(t, "etc/modules", common, "", users); err != nil {
		return nil, nil, err
	}
	for _, b := range board.Boards() {
		if len(b.Modules) == 0 {
			continue
		}
		names := append(append(always(), k.present(b.Modules)...), last)
		if err := k.list(t, "etc/modules.d/"+b.Name, names, b.Name, users); err != nil {
			return nil, nil, err
		}
	}
	t.Parents()
	return t, costs(t, users), nil
}

// present adds what the modules ask for, and leaves out those without a file in
// this kernel: a board's list is for all kernels that it may have.
func (k *kernel) present(names []string) []string {
	var all []string
	for _, n := range names {
		all = append(append(all, asked()[n]...), n)
	}
	return slices.DeleteFunc(all, func(n string) bool { return !k.modules.Has(n) })
}

// list writes the modules, and all that they need, in order, and adds their
// files to the tree.
func (k *kernel) list(t files.Tree, file string, names []string, user string, users map[string][]string) error {
	for _, n := range names {
		if !k.modules.Has(n) && !k.builtIn[files.ModuleName(n)] {
			return fmt.Errorf("kernel %s has no module %s", k.modules.Release, n)
		}
	}
	var text strings.Builder
	for _, m := range k.modules.Order(names) {
		t[m] = k.tree[m]
		users[m] = append(users[m], user)
		fmt.Fprintf(&text, "/%s\n", m)
	}
	t.File(file, 0o644, []byte(text.String()))
	return nil
}

// costs lists the modules by who needs them.
func costs(t files.Tree, users map[string][]string) []moduleCost {
	var all []moduleCost
	for m, by := range users {
		c := moduleCost{name: moduleOf(m), bytes: len(t[m].Data)}
		if !slices.Contains(by, "") {
			c.by = slices.Clone(by)
			slices.Sort(c.by)
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b moduleCost) int {
		if by := strings.Compare(strings.Join(a.by, ","), strings.Join(b.by, ",")); by != 0 {
			return by
		}
		return strings.Compare(a.name, b.name)
	})
	return all
}

// release is the text of /etc/spigate-release: shell variables, as those of
// os-release(5).
func release(bin *routerBinary, k *kernel) string {
	revision := bin.revision
	if revision == "" {
		revision = "unknown"
	}
	return fmt.Sprintf("NAME=spigate\nVERSION=%q\nREVISION=%q\nBINARY_SHA256=%s\nGO=%s\nKERNEL=%s\nKERNEL_PACKAGE=%q\nSOURCE_DATE_EPOCH=%d\n",
		bin.info.Main.Version, revision, sum(bin.data), bin.info.GoVersion, path.Base(k.modules.Release), k.Package.String(), bin.epoch)
}
