// Command image builds the router's image for ARMv7: a kernel of Debian, a first
// file system with spigate as its first process, a flash for the configuration,
// a script that starts all of it in qemu, a bill of materials and checksums.
//
// Equal sources and equal packages give equal files, byte for byte, wherever and
// by whomever they are built. Nothing is installed on the machine that builds.
//
// It is not a distribution: what the kernel needs beside it, and what the router
// needs beside itself, is in the first file system and nowhere else.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	var c Config
	flag.StringVar(&c.Out, "o", "dist/image", "`folder` for the image")
	flag.StringVar(&c.Lock, "lock", "board/image/packages.lock", "lock `file` of the packages")
	flag.StringVar(&c.Cache, "cache", cacheDir(), "`folder` that keeps packages between builds")
	flag.StringVar(&c.Factory, "factory", "configs/examples/qemu-virt-arm.toml", "`file` that becomes /etc/spigate.toml")
	flag.StringVar(&c.Packer, "compress", "xz", "packer of the first file system, xz or zstd")
	flag.Int64Var(&c.Flash, "flash", 16<<20, "`bytes` of the flash")
	flag.Parse()
	c.Say = func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	c.Warn = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "warning: "+format+"\n", args...) }
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "image: arguments are not known:", flag.Args())
		os.Exit(2)
	}
	if err := Build(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// cacheDir is below XDG_CACHE_HOME if that is set, otherwise below /var/cache.
func cacheDir() string {
	dir := "/var/cache"
	if own := os.Getenv("XDG_CACHE_HOME"); own != "" {
		dir = own
	}
	return filepath.Join(dir, "spigate-image")
}
