package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// sets lists what the guest is made of. Each set is resolved by itself: the
// packages of libreswan and strongSwan exclude each other, their files do not.
func sets(m Machine) [][]string {
	return [][]string{
		{
			m.kernelPackage(),
			"dash", "busybox-static", "iproute2", "iputils-ping", "iperf3",
			"strongswan-charon", "strongswan-swanctl", "libcharon-extra-plugins", "libstrongswan-standard-plugins",
			"openiked",
		},
		{"libreswan"},
	}
}

// useless lists packages, by the beginning of their names, that others depend
// on for what the guest never does. The closure over shared libraries fails if
// one was needed after all.
func useless() []string {
	return []string{
		"perl", "libperl", "libfile-find", "libnumber-compare", "libtext-glob", "dpkg", "usrmerge", "coreutils", "tar",
		"debconf", "adduser", "passwd", "libpam-", "libsemanage", "sysvinit", "init-system", "udev", "initramfs", "klibc",
		"libklibc", "linux-base", "linux-image-cloud", "kmod", "cpio", "logsave", "bind9", "dns-root", "libicu", "libxml2", "iptables",
		"libjemalloc", "libmaxmind", "libuv1", "libfstrm", "liblmdb", "libprotobuf", "gcc-12-base", "libaudit-common",
	}
}

// Package is one Debian package in one version.
type Package struct {
	Name, Version string
}

// Resolve asks apt for all packages of the guest with what they depend on. It
// uses the sources of the machine and pretends that nothing is installed.
func Resolve(ctx context.Context, m Machine, dir string) ([]Package, error) {
	found, err := resolve(ctx, m, dir)
	if err == nil {
		return found, nil
	}
	// A fresh machine knows no packages yet, and old lists name files that the
	// archive has replaced since.
	if uerr := update(ctx); uerr != nil {
		return nil, errors.Join(err, uerr)
	}
	return resolve(ctx, m, dir)
}

func update(ctx context.Context) error {
	_, err := apt(ctx, "", "update", "-q")
	return err
}

func resolve(ctx context.Context, m Machine, dir string) ([]Package, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	status := filepath.Join(dir, "nothing-installed")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, err
	}
	var all []Package
	for _, set := range sets(m) {
		args := append([]string{"-o", "Dir::State::status=" + status, "-o", "Debug::NoLocking=1",
			"--no-install-recommends", "--print-uris", "-y", "install"}, set...)
		out, err := apt(ctx, "", args...)
		if err != nil {
			return nil, err
		}
		all = append(all, parseURIs(out)...)
	}
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Name+"="+a.Version, b.Name+"="+b.Version) })
	all = slices.Compact(all)
	if len(all) == 0 {
		return nil, errors.New("apt-get names no package")
	}
	return all, nil
}

// parseURIs reads the file names that --print-uris prints, NAME_VERSION_ARCH.deb
// with the colon of the version's epoch as %3a, and leaves out what is useless.
func parseURIs(out string) []Package {
	var all []Package
	for _, line := range strings.Split(out, "\n") {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.HasPrefix(words[0], "'") {
			continue
		}
		parts := strings.Split(words[1], "_")
		if len(parts) != 3 {
			continue
		}
		p := Package{parts[0], strings.ReplaceAll(parts[1], "%3a", ":")}
		if !slices.ContainsFunc(useless(), func(s string) bool { return strings.HasPrefix(p.Name, s) }) {
			all = append(all, p)
		}
	}
	return all
}

// file is the name under which apt-get stores the package; the architecture is
// not known before.
func (p Package) file() string {
	return p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_*.deb"
}

// Download fetches the packages that dir does not have and returns all their
// files, in the order of the packages.
func Download(ctx context.Context, dir string, all []Package) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := fetch(ctx, dir, all); err != nil {
		if uerr := update(ctx); uerr != nil {
			return nil, errors.Join(err, uerr)
		}
		if err := fetch(ctx, dir, all); err != nil {
			return nil, err
		}
	}
	var files []string
	for _, p := range all {
		have, err := filepath.Glob(filepath.Join(dir, p.file()))
		if err != nil || len(have) == 0 {
			return nil, fmt.Errorf("package %s %s was not downloaded", p.Name, p.Version)
		}
		files = append(files, have[0])
	}
	return files, nil
}

func fetch(ctx context.Context, dir string, all []Package) error {
	args := []string{"-q", "download"}
	for _, p := range all {
		have, err := filepath.Glob(filepath.Join(dir, p.file()))
		if err != nil {
			return err
		}
		if len(have) == 0 {
			args = append(args, p.Name+"="+p.Version)
		}
	}
	if len(args) == 2 {
		return nil
	}
	_, err := apt(ctx, dir, args...)
	return err
}

func apt(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "APT::Sandbox::User=root"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, tail(talk.String(), 2000))
	}
	return out.String(), nil
}

// tail returns the last n bytes of a text.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }
