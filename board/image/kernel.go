package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"spigate/board/image/deb"
	"spigate/board/image/files"
)

// architecture is Debian's name for ARMv7 with a floating-point unit.
const architecture = "armhf"

// kernelWish is the newest kernel for all ARMv7 boards that have device trees.
func kernelWish() deb.Wish { return deb.Wish{Name: "linux-image-armmp", Prefix: "linux-image-"} }

// kernel is the kernel's package, unpacked.
type kernel struct {
	deb.Package
	image     []byte
	tree      files.Tree // modules, and the licence
	modules   *files.Modules
	builtIn   map[string]bool // modules that are part of the kernel, by name
	copyright string          // text of the package
}

// kernel takes the locked package, or what replaces it, and rewrites the lock if
// it is another.
func (c Config) kernel(ctx context.Context) (*kernel, error) {
	old, err := os.ReadFile(c.Lock)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	locked, err := deb.ReadLock(bytes.NewReader(old))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Lock, err)
	}
	apt, err := deb.Private(filepath.Join(c.Cache, "apt-"+architecture), architecture)
	if err != nil {
		return nil, err
	}
	fetcher := &deb.Fetcher{Archive: apt, Cache: filepath.Join(c.Cache, "packages"), Warn: c.Warn}
	got, now, err := fetcher.Lock(ctx, locked, []deb.Wish{kernelWish()})
	if err != nil {
		return nil, err
	}
	var lock bytes.Buffer
	if err := deb.WriteLock(&lock, now); err != nil {
		return nil, err
	}
	if !bytes.Equal(lock.Bytes(), old) {
		c.Warn("%s is written anew", c.Lock)
		if err := writeFile(c.Lock, 0o644, lock.Bytes()); err != nil {
			return nil, err
		}
	}
	return unpackKernel(ctx, now[0].Package, got[0])
}

func unpackKernel(ctx context.Context, p deb.Package, file string) (*kernel, error) {
	k := &kernel{Package: p, tree: files.Tree{}, builtIn: map[string]bool{}}
	licence := "usr/share/doc/" + p.Name + "/copyright"
	want := func(name string) bool {
		return files.InModules(name) || path.Dir(name) == "boot" || name == licence
	}
	if err := k.tree.AddPackage(ctx, file, want); err != nil {
		return nil, err
	}
	for name, n := range k.tree {
		if !strings.HasPrefix(name, "boot/vmlinuz-") {
			continue
		}
		if k.image != nil {
			return nil, fmt.Errorf("package %s has several kernels", p)
		}
		k.image = n.Data
	}
	if k.image == nil {
		return nil, fmt.Errorf("package %s has no kernel", p)
	}
	k.copyright = string(k.tree[licence].Data)
	var err error
	if k.modules, err = k.tree.Modules(); err != nil {
		return nil, fmt.Errorf("package %s: %w", p, err)
	}
	list := k.tree["usr/lib/modules/"+k.modules.Release+"/modules.builtin"].Data
	for line := range strings.Lines(string(list)) {
		k.builtIn[moduleOf(strings.TrimSpace(line))] = true
	}
	return k, nil
}

// moduleOf is the name of the module in a file.
func moduleOf(file string) string {
	return files.ModuleName(strings.TrimSuffix(path.Base(file), ".ko"))
}
