package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// The flash is a small ext4 with a journal: three slots of configuration need
// little, and what a power cut leaves is what the journal has.
const (
	flashLabel = "spigate"
	// flashID is the file system's identity and the seed of its folders' hashes.
	// It is the same in every image: label and identity name the role, and a
	// router has one flash.
	flashID    = "6f1a2f0e-51c3-4c8e-9c4b-2d6a70b1e5d8"
	flashBlock = 1024
	minFlash   = 4 << 20
	maxFlash   = 1 << 30
)

// makeFlash makes an empty file system in a file of that size. Everything that
// mke2fs would draw, read from its settings or take from the clock is given.
func makeFlash(ctx context.Context, file string, size, epoch int64) ([]byte, error) {
	if epoch == 0 {
		epoch = 1 // mke2fs takes 0 for "now"
	}
	args := []string{"-q", "-F", "-t", "ext4", "-L", flashLabel, "-U", flashID,
		"-b", strconv.Itoa(flashBlock), "-I", "256", "-N", "256", "-m", "0", "-J", "size=1", "-e", "remount-ro",
		"-O", "none,has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_index,filetype,sparse_super,large_file,extra_isize,dir_nlink",
		"-E", "hash_seed=" + flashID + ",root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard",
		file, strconv.FormatInt(size/flashBlock, 10)}
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	mke2fs, err := program("mke2fs")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, mke2fs, args...)
	stamp := strconv.FormatInt(epoch, 10)
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "MKE2FS_CONFIG=" + os.DevNull,
		"E2FSPROGS_FAKE_TIME=" + stamp, "SOURCE_DATE_EPOCH=" + stamp}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mke2fs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return data, os.Remove(file)
}
