package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Config is what one build is told. Paths are taken as they are.
type Config struct {
	Out     string // folder for the results; made new
	Lock    string // file
	Cache   string // folder
	Factory string // file, the configuration of a router that has none of its own
	Packer  string // "xz" or "zstd"
	Flash   int64  // bytes
	Say     func(format string, args ...any)
	Warn    func(format string, args ...any)
}

// output is one file of the image.
type output struct {
	name string
	mode os.FileMode
	data []byte
}

// Build makes the image. The folder appears under its name when it is complete;
// a build that fails leaves the former one as it was.
func Build(ctx context.Context, c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	temp := strings.TrimRight(c.Out, "/") + ".new"
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	all, report, err := c.make(ctx, temp)
	if err != nil {
		return err
	}
	for _, o := range all {
		if err := writeFile(filepath.Join(temp, o.name), o.mode, o.data); err != nil {
			return err
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(c.Out); err != nil {
		return err
	}
	if err := os.Rename(temp, c.Out); err != nil {
		return err
	}
	c.Say("%s\nimage in %s; start it with %s", report, c.Out, filepath.Join(c.Out, "run.sh"))
	return nil
}

func (c Config) check() error {
	var faults []error
	if _, ok := packers()[c.Packer]; !ok {
		faults = append(faults, fmt.Errorf("no packer %q is known, only xz and zstd", c.Packer))
	}
	if c.Flash < minFlash || c.Flash > maxFlash || c.Flash%flashBlock != 0 {
		faults = append(faults, fmt.Errorf("a flash of %d bytes: want %d to %d, in steps of %d", c.Flash, int64(minFlash), int64(maxFlash), flashBlock))
	}
	if clean := filepath.Clean(c.Out); clean == "." || clean == "/" || clean == ".." {
		faults = append(faults, fmt.Errorf("%q is no folder to make anew", c.Out))
	}
	return errors.Join(faults...)
}

// make builds all parts in memory; only what other programs write passes
// through the folder temp.
func (c Config) make(ctx context.Context, temp string) ([]output, string, error) {
	factory, err := os.ReadFile(c.Factory)
	if err != nil {
		return nil, "", fmt.Errorf("factory configuration: %w", err)
	}
	k, err := c.kernel(ctx)
	if err != nil {
		return nil, "", err
	}
	bin, err := compile(ctx, temp)
	if err != nil {
		return nil, "", err
	}
	root, cost, err := rootFS(bin, k, factory)
	if err != nil {
		return nil, "", err
	}
	var initramfs, flash, binXZ []byte
	if err := together(
		func() (err error) { initramfs, err = pack(ctx, c.Packer, root); return },
		func() (err error) {
			flash, err = makeFlash(ctx, filepath.Join(temp, "flash"), c.Flash, bin.epoch)
			return
		},
		func() (err error) { binXZ, err = runPacker(ctx, packers()["xz"], bin.data); return }, // for the report
	); err != nil {
		return nil, "", err
	}
	all := []output{
		{"flash.img", 0o644, flash},
		{"initramfs", 0o644, initramfs},
		{"run.sh", 0o755, []byte(runScript)},
		{"vmlinuz", 0o644, k.image},
	}
	bom, err := materials(bin, k, all)
	if err != nil {
		return nil, "", err
	}
	all = append(all, output{"sbom.cdx.json", 0o644, bom})
	all = append(all, output{"SHA256SUMS", 0o644, sums(all)})
	return all, report(bin, len(binXZ), k, cost, all), nil
}

// together runs steps that need nothing of each other at the same time, and
// returns all their errors.
func together(steps ...func() error) error {
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	for i, step := range steps {
		all.Go(func() { errs[i] = step() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// writeFile writes a file with exactly this mode, whatever the umask is.
func writeFile(name string, mode os.FileMode, data []byte) error {
	if err := os.WriteFile(name, data, mode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}
