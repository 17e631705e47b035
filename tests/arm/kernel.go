package arm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"spigate/board/image/files"
)

// Kernel is Debian's kernel for ARMv7, out of the cache.
type Kernel struct {
	Image   string // file
	Release string // as uname says it: "6.1.0-50-armmp"
	Version string // of its package

	dir      string // of the cache
	packages kernelPackages
	modules  files.Tree
}

// CacheDir is where kernels and what was built for them are kept between runs:
// below XDG_CACHE_HOME if that is set, otherwise below /var/cache.
func CacheDir() string {
	dir := "/var/cache"
	if own := os.Getenv("XDG_CACHE_HOME"); own != "" {
		dir = own
	}
	return filepath.Join(dir, "spigate-arm")
}

// FetchKernel returns the newest kernel that the machine's package sources
// have. Its package is downloaded once for each version; nothing is installed.
func FetchKernel(ctx context.Context, cacheDir string) (*Kernel, error) {
	k, err := fetchKernel(ctx, cacheDir)
	if err != nil {
		return nil, fmt.Errorf("kernel for ARM: %w", err)
	}
	return k, nil
}

func fetchKernel(ctx context.Context, cacheDir string) (*Kernel, error) {
	found, err := findKernel(ctx, cacheDir)
	if err != nil {
		return nil, err
	}
	image := found.image
	dir := filepath.Join(cacheDir, "kernel-"+image.release()+"-"+image.Version)
	k := &Kernel{Image: filepath.Join(dir, "vmlinuz"), Release: image.release(), Version: image.Version, dir: cacheDir, packages: found}
	if _, err := os.Stat(k.Image); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(unpackKernel(ctx, found, dir), prune(cacheDir, "kernel-", dir)); err != nil {
			return nil, err
		}
	}
	k.modules, err = readTree(dir)
	return k, err
}

// unwanted are parts of the kernel that no machine of ours has: nine tenths of
// its modules.
var unwanted = regexp.MustCompile(`/kernel/(sound|drivers/(gpu|media|staging|iio|usb|scsi|input|hid|mmc|mfd|regulator|hwmon|video|infiniband|md|ata|nvmem|leds|rtc|spi|pinctrl|power|clk|bluetooth|isdn|memstick|w1|net/(wireless|usb|can)))/`)

func wantedOfKernel(name string) bool {
	return strings.HasPrefix(name, "boot/vmlinuz-") || files.InModules(name) && strings.HasSuffix(name, ".ko") && !unwanted.MatchString(name)
}

// unpackKernel puts kernel and modules into a folder, which appears under its
// name only when it is complete.
func unpackKernel(ctx context.Context, found kernelPackages, dir string) error {
	tree, err := found.unpack(ctx, found.image, wantedOfKernel)
	if err != nil {
		return err
	}
	image := "boot/vmlinuz-" + found.image.release()
	node, ok := tree[image]
	if !ok {
		return fmt.Errorf("package %s has no %s", found.image.Name, image)
	}
	delete(tree, image)
	tree.File("vmlinuz", 0o644, node.Data)
	return writeTree(tree, dir)
}

// writeTree writes the files of a tree below a folder, all or none.
func writeTree(t files.Tree, dir string) error {
	temp, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for name, n := range t {
		if n.Dir || n.Link != "" {
			continue
		}
		file := filepath.Join(temp, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, n.Data, 0o644)); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil // or somebody else was faster
}

// readTree reads what writeTree wrote.
func readTree(dir string) (files.Tree, error) {
	out := files.Tree{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		out.File(name, 0o644, data)
		return err
	})
	return out, err
}

// AddModule gives the kernel a module that was built for it.
func (k *Kernel) AddModule(name string, data []byte) {
	k.modules.File("usr/lib/modules/"+k.Release+"/extra/"+name+".ko", 0o644, data)
}

// firstProcess compiles the first process of guests.
func (k *Kernel) firstProcess(ctx context.Context) (string, error) {
	file := filepath.Join(k.dir, "init")
	temp, err := os.MkdirTemp(k.dir, "init-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	made := filepath.Join(temp, "init")
	if err := compile(ctx, "build", "-trimpath", "-ldflags", "-s -w", "-o", made, "spigate/tests/arm/init"); err != nil {
		return "", err
	}
	return file, os.Rename(made, file)
}

// prune removes what begins with prefix and is of another version than keep.
func prune(cacheDir, prefix, keep string) error {
	all, err := filepath.Glob(filepath.Join(cacheDir, prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range all {
		if f != keep {
			errs = append(errs, os.RemoveAll(f))
		}
	}
	return errors.Join(errs...)
}
