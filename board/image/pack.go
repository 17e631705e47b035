package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	"spigate/board/image/files"
)

// packers are the programs that pack the first file system, with what the
// kernel can unpack: for xz its filter for ARM code, CRC32, and a window that a
// machine with little memory has to spare at boot. One thread each: with more,
// the result would depend on how many there are.
//
// Measured with a binary of 13.9 MB: xz makes 4.4 MB that an emulated Cortex-A15
// unpacks in 2.1 s, zstd 5.4 MB in 0.4 s. Flash is what small routers lack.
func packers() map[string][]string {
	return map[string][]string{
		"xz":   {"xz", "-T1", "--check=crc32", "--arm", "--lzma2=preset=9,dict=8MiB", "-c"},
		"zstd": {"zstd", "-q", "-19", "--single-thread", "-c"},
	}
}

// pack writes the tree as the kernel takes it.
func pack(ctx context.Context, packer string, t files.Tree) ([]byte, error) {
	var plain bytes.Buffer
	if err := t.WriteArchive(&plain); err != nil {
		return nil, err
	}
	return runPacker(ctx, packers()[packer], plain.Bytes())
}

// runPacker gives data to a program and returns what it wrote. The environment is
// empty: options of somebody's shell (XZ_OPT, ZSTD_CLEVEL) must not change it.
func runPacker(ctx context.Context, command []string, data []byte) ([]byte, error) {
	path, err := program(command[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, command[1:]...)
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin = bytes.NewReader(data)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, talk.String())
	}
	return out.Bytes(), nil
}

// program finds a program, also where only root's path leads.
func program(name string) (string, error) {
	for _, try := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(try); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s here: board/image/deps.sh installs it", name)
}
