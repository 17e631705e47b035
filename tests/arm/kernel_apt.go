package arm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"spigate/board/image/files"
)

// apt is apt-get with lists of its own, for an architecture that the machine
// need not know. It reads the machine's sources and pretends that nothing is
// installed.
type apt struct {
	dir, arch string
}

func (a apt) get(ctx context.Context, in string, args ...string) (string, error) {
	lists, cache := filepath.Join(a.dir, "lists"), filepath.Join(a.dir, "cache")
	for _, d := range []string{lists, cache} {
		if err := os.MkdirAll(filepath.Join(d, "partial"), 0o755); err != nil {
			return "", err
		}
	}
	options := []string{
		"-o", "APT::Architecture=" + a.arch, "-o", "APT::Architectures=" + a.arch, "-o", "APT::Sandbox::User=root",
		"-o", "Dir::State::lists=" + lists, "-o", "Dir::Cache=" + cache, "-o", "Dir::State::status=/dev/null",
		"-o", "Acquire::Languages=none", "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", "-o", "Debug::NoLocking=1", "-q",
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(options, args...)...)
	cmd.Dir = in
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, talk.String()[max(0, talk.Len()-2000):])
	}
	return out.String(), nil
}

// debian is one package in one version, for one architecture.
type debian struct {
	Name, Version string
	from          apt
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
	guest := apt{filepath.Join(cacheDir, "apt-armhf"), "armhf"}
	resolve := func() (kernelPackages, error) {
		out, err := guest.get(ctx, "", "--no-install-recommends", "--print-uris", "-y", "install", "linux-image-armmp", "linux-headers-armmp")
		if err != nil {
			return kernelPackages{}, err
		}
		return chooseKernel(out, guest, apt{filepath.Join(cacheDir, "apt-host"), "amd64"}, filepath.Join(cacheDir, "packages"))
	}
	found, err := resolve()
	if err == nil {
		return found, nil
	}
	// There are no lists yet. Of several archives one may be broken for the
	// moment: the others decide.
	_, uerr := guest.get(ctx, "", "update")
	if found, err = resolve(); err != nil {
		return found, errors.Join(err, uerr)
	}
	return found, nil
}

// uri is a line of --print-uris: 'address' NAME_VERSION_ARCH.deb, the colon of
// the version's epoch as %3a.
var (
	uri       = regexp.MustCompile(`(?m)^'[^']+' ([^_ ]+)_([^_ ]+)_[^_ ]+\.deb `)
	imageName = regexp.MustCompile(`^linux-image-\d.*-armmp$`)
	tools     = regexp.MustCompile(`^linux-kbuild-(.*)$`)
)

// chooseKernel picks the kernel's packages out of what apt would install. The
// tools run on this machine, and sources have no architecture.
func chooseKernel(out string, guest, host apt, dir string) (kernelPackages, error) {
	found := kernelPackages{dir: dir}
	for _, m := range uri.FindAllStringSubmatch(out, -1) {
		p := debian{m[1], strings.ReplaceAll(m[2], "%3a", ":"), guest}
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
	deb, err := k.download(ctx, p)
	if err != nil {
		return nil, err
	}
	out := files.Tree{}
	return out, errors.Join(out.AddPackage(ctx, deb, want), os.Remove(deb))
}

// download returns the file of a package.
func (k kernelPackages) download(ctx context.Context, p debian) (string, error) {
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return "", err
	}
	pattern := filepath.Join(k.dir, p.Name+"_"+strings.ReplaceAll(p.Version, ":", "%3a")+"_*.deb")
	if have, err := filepath.Glob(pattern); err == nil && len(have) == 1 {
		return have[0], nil
	}
	fetch := func() error {
		_, err := p.from.get(ctx, k.dir, "download", p.Name+"="+p.Version)
		return err
	}
	if err := fetch(); err != nil {
		_, uerr := p.from.get(ctx, "", "update")
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
