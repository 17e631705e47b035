package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spigate/board/image/deb"
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

// Resolve asks apt for all packages of the guest with what they depend on. It
// uses the sources of the machine and pretends that nothing is installed.
func Resolve(ctx context.Context, m Machine, dir string) ([]deb.Package, error) {
	found, err := resolve(ctx, m, dir)
	if err == nil {
		return found, nil
	}
	// A fresh machine knows no packages yet, and old lists name files that the
	// archive has replaced since.
	if uerr := machineApt().Update(ctx); uerr != nil {
		return nil, errors.Join(err, uerr)
	}
	return resolve(ctx, m, dir)
}

func resolve(ctx context.Context, m Machine, dir string) ([]deb.Package, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	status := filepath.Join(dir, "nothing-installed")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, err
	}
	var all []deb.Package
	for _, set := range sets(m) {
		args := append([]string{"-o", "Dir::State::status=" + status, "-o", "Debug::NoLocking=1",
			"--no-install-recommends", "--print-uris", "-y", "install"}, set...)
		out, err := machineApt().Get(ctx, "", args...)
		if err != nil {
			return nil, err
		}
		all = append(all, needless(deb.ParseURIs(out))...)
	}
	slices.SortFunc(all, func(a, b deb.Package) int { return strings.Compare(a.String(), b.String()) })
	all = slices.CompactFunc(all, func(a, b deb.Package) bool { return a.String() == b.String() })
	if len(all) == 0 {
		return nil, errors.New("apt-get names no package")
	}
	return all, nil
}

// machineApt is apt as this machine has it set up.
func machineApt() *deb.Apt { return &deb.Apt{} }

// needless leaves out what is useless.
func needless(all []deb.Package) []deb.Package {
	return slices.DeleteFunc(all, func(p deb.Package) bool {
		return slices.ContainsFunc(useless(), func(s string) bool { return strings.HasPrefix(p.Name, s) })
	})
}

// versions lists the packages as names and versions.
func versions(all []deb.Package) []string {
	var out []string
	for _, p := range all {
		out = append(out, p.String())
	}
	return out
}

// Download fetches the packages that dir does not have and returns all their
// files, in the order of the packages.
func Download(ctx context.Context, dir string, all []deb.Package) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := fetch(ctx, dir, all); err != nil {
		if uerr := machineApt().Update(ctx); uerr != nil {
			return nil, errors.Join(err, uerr)
		}
		if err := fetch(ctx, dir, all); err != nil {
			return nil, err
		}
	}
	var files []string
	for _, p := range all {
		have, err := filepath.Glob(filepath.Join(dir, p.Glob()))
		if err != nil || len(have) == 0 {
			return nil, fmt.Errorf("package %s %s was not downloaded", p.Name, p.Version)
		}
		files = append(files, have[0])
	}
	return files, nil
}

func fetch(ctx context.Context, dir string, all []deb.Package) error {
	args := []string{"-q", "download"}
	for _, p := range all {
		have, err := filepath.Glob(filepath.Join(dir, p.Glob()))
		if err != nil {
			return err
		}
		if len(have) == 0 {
			args = append(args, p.String())
		}
	}
	if len(args) == 2 {
		return nil
	}
	_, err := machineApt().Get(ctx, dir, args...)
	return err
}

// tail returns the last n bytes of a text.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }
