package arm

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"spigate/board/image/files"
)

// loopRecipe is part of the name under which the built modules are kept: raise
// it when they are built otherwise.
const loopRecipe = "1"

// loopMakefile builds the switch with its messages: with DEBUG the kernel logs
// each operation that reaches it.
const loopMakefile = "ccflags-y := -DDEBUG\nobj-m := dsa_loop.o dsa_loop_bdinfo.o\n"

// AddDSALoop builds the kernel's own mock of a switch chip, dsa_loop, out of the
// sources of the same version, and adds it to the kernel's modules. It has four
// ports, lan1 to lan4, behind eth0, and passes no frames: what it is for is to
// see what the kernel's DSA asks of a chip. What was built is kept.
func (k *Kernel) AddDSALoop(ctx context.Context) error {
	dir := filepath.Join(k.dir, "dsa-loop-"+k.Release+"-"+k.Version+"-"+loopRecipe)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := k.buildLoop(ctx, dir); err != nil {
			return fmt.Errorf("build dsa_loop: %w", err)
		}
	}
	for _, name := range loopModules() {
		data, err := os.ReadFile(filepath.Join(dir, name+".ko"))
		if err != nil {
			return fmt.Errorf("dsa_loop: %w", err)
		}
		k.AddModule(name, data)
	}
	return nil
}

// loopModules are in the order of loading: the description of the board is
// looked at when its bus appears.
func loopModules() []string { return []string{"dsa_loop_bdinfo", "dsa_loop"} }

func (k *Kernel) buildLoop(ctx context.Context, dir string) error {
	source, err := k.loopSource(ctx)
	if err != nil {
		return err
	}
	source.File("Makefile", 0o644, []byte(loopMakefile))
	return errors.Join(k.buildModules(ctx, source, loopModules(), dir), prune(k.dir, "dsa-loop-", dir))
}

// buildModules builds modules out of a tree with a makefile into dir.
func (k *Kernel) buildModules(ctx context.Context, source files.Tree, names []string, dir string) error {
	work, err := os.MkdirTemp(k.dir, "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	headers, err := k.unpackHeaders(ctx, work)
	if err != nil {
		return err
	}
	module := filepath.Join(work, "module")
	if err := writeTree(source, module); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "make", "-C", headers, "ARCH=arm", "CROSS_COMPILE=arm-linux-gnueabihf-", "CC=arm-linux-gnueabihf-gcc", "M="+module, "modules")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make: %w: %s", err, out[max(0, len(out)-3000):])
	}
	built := files.Tree{}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(module, name+".ko"))
		if err != nil {
			return err
		}
		built.File(name+".ko", 0o644, data)
	}
	return writeTree(built, dir)
}

// unpackHeaders unpacks what modules are built with and returns the folder to
// build in. The packages expect to be in /usr/src; their makefile is told
// otherwise.
func (k *Kernel) unpackHeaders(ctx context.Context, work string) (string, error) {
	for _, p := range k.packages.modules {
		if strings.HasPrefix(p.Name, "linux-source-") {
			continue
		}
		deb, err := k.packages.download(ctx, p)
		if err != nil {
			return "", err
		}
		out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, work).CombinedOutput()
		if err := errors.Join(err, os.Remove(deb)); err != nil {
			return "", fmt.Errorf("unpack %s: %w: %s", p.Name, err, out)
		}
	}
	dir := filepath.Join(work, "usr/src/linux-headers-"+k.Release)
	makefile := filepath.Join(dir, "Makefile")
	text, err := os.ReadFile(makefile)
	if err != nil {
		return "", err
	}
	text = bytes.ReplaceAll(text, []byte("/usr/src/"), []byte(filepath.Join(work, "usr/src")+"/"))
	return dir, os.WriteFile(makefile, text, 0o644)
}

// loopSource takes the few files that are wanted out of the kernel's sources: a
// tar in a package's tar, read as a stream and left when all have been seen.
func (k *Kernel) loopSource(ctx context.Context) (files.Tree, error) {
	var source debian
	for _, p := range k.packages.modules {
		if strings.HasPrefix(p.Name, "linux-source-") {
			source = p
		}
	}
	deb, err := k.packages.download(ctx, source)
	if err != nil {
		return nil, err
	}
	// The pipe ends early, when we have what we want.
	cmd := exec.CommandContext(ctx, "sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc`, "sh", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	tree, rerr := takeSource(out)
	_ = out.Close()
	_ = cmd.Wait() // by a broken pipe
	return tree, errors.Join(rerr, os.Remove(deb))
}

// loopFiles is how many files dsa_loop is made of.
const loopFiles = 3

func takeSource(r io.Reader) (files.Tree, error) {
	out := files.Tree{}
	in := tar.NewReader(r)
	for len(out) < loopFiles {
		h, err := in.Next()
		if err != nil {
			return nil, fmt.Errorf("%d of %d files of dsa_loop found in the kernel's sources: %w", len(out), loopFiles, err)
		}
		dir, name := path.Split(h.Name)
		if !strings.HasSuffix(dir, "/drivers/net/dsa/") || !strings.HasPrefix(name, "dsa_loop") {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(in, 1<<20))
		if err != nil {
			return nil, err
		}
		out.File(name, 0o644, data)
	}
	return out, nil
}
