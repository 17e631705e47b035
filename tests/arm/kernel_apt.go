package arm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"spigate/board/image/deb"
	"spigate/board/image/files"
)

// debian is one package in one version, for one architecture.
type debian struct {
	Name, Version string
	from          *deb.Apt
}

// release is the kernel's: "6.1.0-50-armmp" of linux-image-6.1.0-50-armmp.
func (p debian) release() string { return strings.TrimPrefix(p.Name, "linux-image-") }

// kernelPackages are those of one version of the kernel.
type kernelPackages struct {
	dir     string // where they are downloaded to
	image   debian
	modules []debian // what is needed to build modules: headers, their tools, sources
}

// findKernel asks apt for the newest kernel and what is needed to build modules
// for it.
func findKernel(ctx context.Context, cacheDir string) (kernelPackages, error) {
	guest, err := deb.Private(filepath.Join(cacheDir, "apt-armhf"), "armhf")
	if err != nil {
		return kernelPackages{}, err
	}
	host, err := deb.Private(filepath.Join(cacheDir, "apt-host"), runtime.GOARCH)
	if err != nil {
		return kernelPackages{}, err
	}
	resolve := func() (kernelPackages, error) {
		out, err := guest.Get(ctx, "", "-q", "-o", "Debug::NoLocking=1", "--no-install-recommends", "--print-uris", "-y", "install", "linux-image-armmp", "linux-headers-armmp")
		if err != nil {
			return kernelPackages{}, err
		}
		return chooseKernel(out, guest, host, filepath.Join(cacheDir, "packages"))
	}
	found, err := resolve()
	if err == nil {
		return found, nil
	}
	// There are no lists yet. Of several archives one may be broken for the
	// moment: the others decide.
	uerr := guest.Update(ctx)
	if found, err = resolve(); err != nil {
		return found, errors.Join(err, uerr)
	}
	return found, nil
}

var (
	imageName = regexp.MustCompile(`^linux-image-\d.*-armmp$`)
	tools     = regexp.MustCompile(`^linux-kbuild-(.*)$`)
)

// chooseKernel picks the kernel's packages out of what apt would install. The
// tools run on this machine, and sources have no architecture.
func chooseKernel(out string, guest, host *deb.Apt, dir string) (kernelPackages, error) {
	found := kernelPackages{dir: dir}
	for _, named := range deb.ParseURIs(out) {
		p := debian{named.Name, named.Version, guest}
		switch {
		case imageName.MatchString(p.Name):
			found.image = p
		case strings.HasPrefix(p.Name, "linux-headers-") && p.Name != "linux-headers-armmp":
			found.modules = append(found.modules, p)
		case tools.MatchString(p.Name):
			source := "linux-source-" + tools.FindStringSubmatch(p.Name)[1]
			found.modules = append(found.modules, debian{p.Name, p.Version, host}, debian{source, p.Version, guest})
		}
	}
	if found.image.Name == "" || len(found.modules) != 4 {
		return found, fmt.Errorf("apt-get names no complete kernel: %v", found)
	}
	return found, nil
}

// unpack downloads a package and returns those of its files that are wanted; the
// package is not kept.
func (k kernelPackages) unpack(ctx context.Context, p debian, want func(name string) bool) (files.Tree, error) {
	file, err := k.download(ctx, p)
	if err != nil {
		return nil, err
	}
	out := files.Tree{}
	return out, errors.Join(out.AddPackage(ctx, file, want), os.Remove(file))
}

// download returns the file of a package.
func (k kernelPackages) download(ctx context.Context, p debian) (string, error) {
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return "", err
	}
	pattern := filepath.Join(k.dir, deb.Package{Name: p.Name, Version: p.Version}.Glob())
	if have, err := filepath.Glob(pattern); err == nil && len(have) == 1 {
		return have[0], nil
	}
	fetch := func() error {
		_, err := p.from.Get(ctx, k.dir, "-q", "download", p.Name+"="+p.Version)
		return err
	}
	if err := fetch(); err != nil {
		uerr := p.from.Update(ctx)
		if err := fetch(); err != nil {
			return "", errors.Join(err, uerr)
		}
	}
	have, err := filepath.Glob(pattern)
	if err != nil || len(have) != 1 {
		return "", fmt.Errorf("package %s %s was not downloaded", p.Name, p.Version)
	}
	return have[0], nil
}
