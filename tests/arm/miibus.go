package arm

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"

	"spigate/board/image/files"
)

//go:embed testdata/miibus.c
var miiBus []byte

// AddMIIBus builds a module that has a network device, mii0, behind whose
// management bus a process plays the devices, and adds it to the kernel's. What
// was built is kept, by its source.
func (k *Kernel) AddMIIBus(ctx context.Context) error {
	sum := fnv.New64a()
	sum.Write(miiBus)
	dir := filepath.Join(k.dir, fmt.Sprintf("mii-bus-%s-%s-%x", k.Release, k.Version, sum.Sum64()))
	file := filepath.Join(dir, "miibus.ko")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := k.buildMIIBus(ctx, dir); err != nil {
			return fmt.Errorf("build miibus: %w", err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("miibus: %w", err)
	}
	k.AddModule("miibus", data)
	return nil
}

func (k *Kernel) buildMIIBus(ctx context.Context, dir string) error {
	source := files.Tree{}
	source.File("miibus.c", 0o644, miiBus)
	source.File("Makefile", 0o644, []byte("obj-m := miibus.o\n"))
	return errors.Join(k.buildModules(ctx, source, []string{"miibus"}, dir), prune(k.dir, "mii-bus-", dir))
}
