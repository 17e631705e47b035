package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// place is a folder with a copy of the sources, and who builds there.
type place struct {
	dir   string
	umask string
	env   []string
}

// TestTwoBuildsAreTheSameByteForByte builds the image in two folders, as two
// different people, and compares every file. It downloads the kernel if that is
// not in the cache, so it is done only when asked for: SPIGATE_ARM=1.
func TestTwoBuildsAreTheSameByteForByte(t *testing.T) {
	if os.Getenv("SPIGATE_ARM") != "1" {
		t.Log("the part that builds the image twice was not asked for (SPIGATE_ARM=1): only unit tests run")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	sh(ctx, t, ".", nil, "sh deps.sh")
	deep := filepath.Join(t.TempDir(), "a rather long folder", strings.Repeat("deep/", 12))
	places := []place{
		{filepath.Join(t.TempDir(), "a"), "022", []string{"TZ=UTC", "LC_ALL=C", "USER=root", "LOGNAME=root", "HOSTNAME=one"}},
		{deep, "077", []string{"TZ=Pacific/Chatham", "LC_ALL=C.UTF-8", "LANG=tr_TR.UTF-8", "USER=nobody", "LOGNAME=nobody", "HOSTNAME=two",
			"XZ_OPT=-0", "ZSTD_CLEVEL=1", "GOFLAGS=-v", "GZIP=-1", "TMPDIR=" + t.TempDir()}},
	}
	var images []map[string]string
	for _, p := range places {
		out := p.build(ctx, t)
		if again := p.files(t); len(images) > 0 {
			compare(t, images[0], again)
		} else {
			images = append(images, again)
			checkWhole(ctx, t, filepath.Join(p.dir, "dist", "image"), p.dir)
		}
		t.Logf("%s", out)
	}
}

// build copies the working tree, makes it a repository with a commit of a fixed
// date, and makes the image.
func (p place) build(ctx context.Context, t *testing.T) string {
	t.Helper()
	copyTree(ctx, t, p.dir)
	identity := []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.test",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z"}
	sh(ctx, t, p.dir, identity, "git init -q -b main . && git add -A && git commit -q -m sources")
	// The caches of packages, modules and objects are those of the machine; a
	// test must not compile all the world anew.
	caches := []string{"XDG_CACHE_HOME=" + filepath.Dir(cacheDir()), "GOCACHE=" + goEnv(ctx, t, "GOCACHE"), "GOMODCACHE=" + goEnv(ctx, t, "GOMODCACHE")}
	return sh(ctx, t, p.dir, append(caches, p.env...), "umask "+p.umask+" && go run ./board/image -o dist/image")
}

func goEnv(ctx context.Context, t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(sh(ctx, t, ".", nil, "go env "+name))
}

// copyTree copies the files that the project has: tracked ones, and new ones
// that are not ignored.
func copyTree(ctx context.Context, t *testing.T, to string) {
	t.Helper()
	root := filepath.Join("..", "..")
	list := sh(ctx, t, root, nil, "git ls-files -z -co --exclude-standard")
	for _, name := range strings.Split(strings.TrimRight(list, "\x00"), "\x00") {
		from := filepath.Join(root, name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		data, rerr := os.ReadFile(from)
		if err != nil || rerr != nil {
			t.Fatal(err, rerr)
		}
		file := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// sh runs a line of the shell and returns what it wrote to its output.
func sh(ctx context.Context, t *testing.T, dir string, env []string, line string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), env...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", line, err, out.String(), talk.String())
	}
	if talk.Len() > 0 {
		t.Logf("%s: %s", line, talk.String())
	}
	return out.String()
}

// files are the image's: names, modes and hashes.
func (p place) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	dir := filepath.Join(p.dir, "dist", "image")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		data, rerr := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || rerr != nil {
			t.Fatal(err, rerr)
		}
		all[e.Name()] = fmt.Sprintf("%v %s", info.Mode(), sum(data))
	}
	return all
}

func compare(t *testing.T, one, two map[string]string) {
	t.Helper()
	if len(one) < 6 || len(one) != len(two) {
		t.Errorf("%d and %d files", len(one), len(two))
	}
	for name, first := range one {
		if two[name] != first {
			t.Errorf("%s differs: %s and %s", name, first, two[name])
		}
	}
}

// checkWhole holds one image to what it promises: checksums, a valid bill of
// materials that names what is there, and nothing of the machine that built it.
func checkWhole(ctx context.Context, t *testing.T, image, sources string) {
	t.Helper()
	sh(ctx, t, image, nil, "sha256sum --quiet -c SHA256SUMS && e2fsck -fn flash.img")
	bill, err := os.ReadFile(filepath.Join(image, "sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range checkBill(bill) {
		t.Error("sbom.cdx.json:", fault)
	}
	for _, want := range []string{"pkg:golang/gvisor.dev/gvisor@", "pkg:deb/debian/linux-image-", `"timestamp": "2026-01-02T03:04:05Z"`, "v0.0.0-20260102030405-"} {
		if !bytes.Contains(bill, []byte(want)) {
			t.Errorf("sbom.cdx.json has no %s", want)
		}
	}
	root := sh(ctx, t, image, nil, "xz -dc initramfs")
	for what, text := range map[string]string{
		"the folder of the sources": sources, "Go's folder": goEnv(ctx, t, "GOROOT") + "/src", "the cache of modules": goEnv(ctx, t, "GOMODCACHE"),
	} {
		if strings.Contains(root, text) {
			t.Errorf("the first file system names %s, %s", what, text)
		}
	}
	if !strings.Contains(root, "REVISION=") || strings.Contains(root, "+changed") {
		t.Error("the first file system does not say what clean revision it was built from")
	}
}
