package deb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Archive is what Fetch needs of the world: *Apt, or a fake in tests.
type Archive interface {
	Update(ctx context.Context) error
	Show(ctx context.Context, name string) ([]Package, error)
	Newest(ctx context.Context, name, prefix string) (Package, error)
	Bases(ctx context.Context) ([]string, error)
	fetchURI(ctx context.Context, uri, file string) error
}

// Fetcher brings locked packages into a cache.
type Fetcher struct {
	Archive Archive
	Cache   string                           // folder; files are named by their SHA-256
	Warn    func(format string, args ...any) // never nil

	updated   bool
	updateErr error
}

// Wish is a package that a build asks for. Prefix is for a package that only
// depends on the one that has the files: the beginning of the other's name.
type Wish struct {
	Name, Prefix string
}

// errGone: no archive serves the locked file any more.
var errGone = errors.New("gone from the archive")

// Lock returns the files of all wishes, in order, as locked, and the lock as it
// is now. Where the archive no longer has a locked package, or the lock has no
// line for a wish, the current package is taken and a warning says both. A file
// with the wrong SHA-256 is an error.
func (f *Fetcher) Lock(ctx context.Context, locked []Locked, wishes []Wish) (files []string, now []Locked, err error) {
	if err := os.MkdirAll(f.Cache, 0o755); err != nil {
		return nil, nil, fmt.Errorf("package cache: %w", err)
	}
	for _, w := range wishes {
		file, l, err := f.one(ctx, find(locked, w.Name), w)
		if err != nil {
			return nil, nil, fmt.Errorf("package %s: %w", w.Name, err)
		}
		files, now = append(files, file), append(now, l)
	}
	return files, now, nil
}

func (f *Fetcher) one(ctx context.Context, old *Locked, w Wish) (string, Locked, error) {
	if old != nil {
		file, err := f.get(ctx, old.Package)
		if err == nil || !errors.Is(err, errGone) {
			return file, *old, err
		}
	}
	current, err := f.current(ctx, w)
	if err != nil {
		return "", Locked{}, err
	}
	file, err := f.get(ctx, current)
	if err != nil {
		return "", Locked{}, err
	}
	if old == nil {
		f.Warn("%s was not locked: taken is %s (SHA-256 %s)", w.Name, current, current.SHA256)
	} else {
		f.Warn("the archive no longer has %s (SHA-256 %s): taken instead is %s (SHA-256 %s)", old.Package, old.SHA256, current, current.SHA256)
	}
	return file, Locked{w.Name, current}, nil
}

// current asks for the newest package. Lists of one archive may be broken while
// the package is in another: only a package that is not found makes that an
// error.
func (f *Fetcher) current(ctx context.Context, w Wish) (Package, error) {
	f.update(ctx)
	p, err := f.Archive.Newest(ctx, w.Name, w.Prefix)
	if err != nil {
		return Package{}, errors.Join(err, f.updateErr)
	}
	if f.updateErr != nil {
		f.Warn("some lists of packages could not be fetched, the others have %s: %v", p, f.updateErr)
	}
	return p, nil
}

func (f *Fetcher) update(ctx context.Context) {
	if !f.updated {
		f.updated, f.updateErr = true, f.Archive.Update(ctx)
	}
}

// get returns the file of a package: of the cache, or from any archive that
// serves its path. When none does, the lists decide: a package that they name
// with this hash is there, and not getting it is an error.
func (f *Fetcher) get(ctx context.Context, p Package) (string, error) {
	file := filepath.Join(f.Cache, p.SHA256+".deb")
	switch sum, err := hashFile(file); {
	case err == nil && sum == p.SHA256:
		return file, nil
	case err == nil:
		f.Warn("%s in the cache is damaged: fetched again", p)
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	bases, err := f.Archive.Bases(ctx)
	if err != nil {
		return "", err
	}
	fetchErr := errors.New("no archive is known to apt")
	for _, base := range bases {
		if fetchErr = f.download(ctx, base+p.Path, file, p); fetchErr == nil {
			return file, nil
		}
		if errors.Is(fetchErr, errWrong) {
			return "", fetchErr
		}
	}
	f.update(ctx)
	have, err := f.Archive.Show(ctx, p.Name)
	if err != nil {
		return "", errors.Join(fetchErr, err)
	}
	for _, h := range have {
		if h.same(p) {
			return "", fetchErr
		}
	}
	return "", fmt.Errorf("%s: %w: %w", p, errGone, fetchErr)
}

// errWrong: what was downloaded is not what was locked.
var errWrong = errors.New("wrong SHA-256")

// download puts an address's file into the cache if it has the right hash. The
// file appears under its name only when it is whole.
func (f *Fetcher) download(ctx context.Context, uri, file string, p Package) error {
	temp, err := os.MkdirTemp(f.Cache, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	got := filepath.Join(temp, "deb")
	if err := f.Archive.fetchURI(ctx, uri, got); err != nil {
		return err
	}
	sum, err := hashFile(got)
	if err != nil {
		return err
	}
	if sum != p.SHA256 {
		return fmt.Errorf("%s: %w: got %s, want %s", p, errWrong, sum, p.SHA256)
	}
	return os.Rename(got, file)
}

// hashFile returns a file's SHA-256 in hexadecimal digits.
func hashFile(name string) (string, error) {
	in, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
