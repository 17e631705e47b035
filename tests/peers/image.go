package peers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spigate/board/image/deb"
	"spigate/board/image/files"
)

// recipe is part of the image's key: raise it when Build makes something else
// of the same packages.
const recipe = "3"

// Image is a guest that can be started.
type Image struct {
	Machine        Machine
	Kernel, Initrd string // files
	Runner         string // umlrun, for UML
	Packages       []deb.Package
	Built          bool // made by this call, not found in the cache
}

// CacheDir is where a machine's images are kept between runs: below
// XDG_CACHE_HOME if that is set, otherwise below /var/cache.
func CacheDir(m Machine) string {
	dir := "/var/cache"
	if own := os.Getenv("XDG_CACHE_HOME"); own != "" {
		dir = own
	}
	return filepath.Join(dir, "spigate-peers", string(m))
}

// Build returns the guest made of the newest packages that the machine's
// sources have. It is made once for each set of versions.
func Build(ctx context.Context, m Machine, cacheDir string) (*Image, error) {
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	all, err := Resolve(ctx, m, cacheDir)
	if err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	agent, runner, err := buildPrograms(ctx, m, cacheDir)
	if err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	dir := filepath.Join(cacheDir, imageKey(all, agent))
	img := &Image{Machine: m, Kernel: filepath.Join(dir, "kernel"), Initrd: filepath.Join(dir, "initrd"), Runner: runner, Packages: all}
	if _, err := os.Stat(img.Initrd); err == nil {
		return img, nil
	}
	img.Built = true
	debs, err := Download(ctx, filepath.Join(cacheDir, "packages"), all)
	if err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	if err := m.assemble(ctx, dir, debs, agent); err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	return img, prune(cacheDir, dir, debs)
}

// imageKey is a hash of everything that the image is made of.
func imageKey(all []deb.Package, agent []byte) string {
	h := sha256.New()
	fmt.Fprintln(h, recipe, versions(all), kernelModules(), programs(), applets(), folders())
	h.Write(agent)
	return "image-" + hex.EncodeToString(h.Sum(nil))[:16]
}

// buildPrograms compiles the guest's first process, and where the machine needs
// it, the file that starts the guest.
func buildPrograms(ctx context.Context, m Machine, cacheDir string) (agent []byte, runner string, err error) {
	if m == UML {
		runner = filepath.Join(cacheDir, "umlrun")
		if err := build(ctx, runner, "umlrun"); err != nil {
			return nil, "", err
		}
	}
	dir, err := os.MkdirTemp(cacheDir, "agent-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "agent")
	if err := build(ctx, file, "agent"); err != nil {
		return nil, "", err
	}
	agent, err = os.ReadFile(file)
	return agent, runner, err
}

// programs lists the files that the guest needs, besides shared libraries.
func programs() []string {
	list := strings.Fields(`
		usr/bin/dash usr/bin/busybox usr/bin/ip usr/bin/ping usr/bin/iperf3
		usr/lib64/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu/libgcc_s.so.1
		usr/lib/ipsec/charon usr/sbin/swanctl
		usr/sbin/iked usr/sbin/ikectl usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so
		usr/libexec/ipsec/pluto usr/libexec/ipsec/whack usr/libexec/ipsec/addconn usr/bin/certutil
		usr/lib/x86_64-linux-gnu/libsoftokn3.so usr/lib/x86_64-linux-gnu/libfreeblpriv3.so usr/lib/x86_64-linux-gnu/libfreebl3.so
		etc/protocols etc/services`)
	for _, p := range charonPlugins() {
		list = append(list, "usr/lib/ipsec/plugins/libstrongswan-"+p+".so")
	}
	return list
}

// applets are the small programs that scripts and daemons call.
func applets() []string {
	return strings.Fields("mount cat grep sleep kill mkdir rm cp setsid chmod ps ls tail head wc tr sort dmesg date seq env true false test")
}

// folders are the empty ones that somebody expects.
func folders() []string {
	return strings.Fields(`proc sys dev run tmp var/empty var/lib/ipsec etc/ipsec.d
		etc/iked/private etc/iked/ca etc/iked/certs etc/iked/crls etc/iked/pubkeys`)
}

// assemble makes kernel and archive of the packages' files. The folder appears
// under its name only when it is complete.
func (m Machine) assemble(ctx context.Context, dir string, debs []string, agent []byte) error {
	all := files.Tree{}
	for _, d := range debs {
		if err := all.AddPackage(ctx, d, wantedAtAll); err != nil {
			return err
		}
	}
	kernels := m.kernels(all)
	if len(kernels) != 1 {
		return fmt.Errorf("the packages have %d kernels, expected one", len(kernels))
	}
	guest, err := guestTree(all, agent)
	if err != nil {
		return err
	}
	temp := dir + ".new"
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o755)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, "kernel"), all[kernels[0]].Data, 0o755); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(temp, "initrd"))
	if err != nil {
		return err
	}
	if err := errors.Join(guest.WriteArchive(out), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// wantedAtAll keeps documentation and the like out of memory.
func wantedAtAll(name string) bool {
	return !strings.HasPrefix(name, "usr/share/") && !files.InModules(name) || strings.HasSuffix(name, ".ko")
}

// guestTree is the tree that the guest runs on.
func guestTree(t files.Tree, agent []byte) (files.Tree, error) {
	out, err := closure(t, programs())
	if err != nil {
		return nil, err
	}
	modules, err := t.ModuleOrder(kernelModules())
	if err != nil {
		return nil, err
	}
	var list strings.Builder
	for _, m := range modules {
		out[m] = t[m]
		list.WriteString("/" + m + "\n")
	}
	out.File("etc/modules", 0o644, []byte(list.String()))
	out.File("init", 0o755, agent)
	out.File("etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\n_iked:x:100:100::/var/empty:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"))
	out.File("etc/group", 0o644, []byte("root:x:0:\n_iked:x:100:\nnogroup:x:65534:\n"))
	out.File("etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files\n"))
	out.File("etc/hosts", 0o644, []byte("127.0.0.1 localhost\n"))
	for _, dir := range folders() {
		out.Folder(dir)
	}
	out.Symlink("var/run", "/run")
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		out.Symlink(dir, "usr/"+dir)
	}
	out.Symlink("usr/bin/sh", "dash")
	for _, applet := range applets() {
		out.Symlink("usr/bin/"+applet, "busybox")
	}
	out.Parents()
	return out, nil
}

// prune removes images and packages that no longer belong to the newest image.
func prune(cacheDir, dir string, debs []string) error {
	images, err := filepath.Glob(filepath.Join(cacheDir, "image-*"))
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(cacheDir, "packages", "*.deb"))
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range append(images, old...) {
		if f != dir && !slices.Contains(debs, f) {
			errs = append(errs, os.RemoveAll(f))
		}
	}
	return errors.Join(errs...)
}
