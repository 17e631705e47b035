package deb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sumA, sumB = strings.Repeat("a1", 32), strings.Repeat("b2", 32)

func kernel(sum string) Package {
	return Package{Name: "linux-image-6.1.0-50-armmp", Version: "6.1.176-1", Arch: "armhf", Size: 43302144, SHA256: sum,
		Path: "pool/main/l/linux/linux-image-6.1.0-50-armmp_6.1.176-1_armhf.deb"}
}

func TestPackagesAreReadFromURIs(t *testing.T) {
	out := "Reading package lists...\n" +
		"'http://example.test/pool/libattr1_2.5.1-4_amd64.deb' libattr1_1%3a2.5.1-4_amd64.deb 22164 MD5Sum:0\n" +
		"'http://example.test/pool/perl-base_5.36.0-7_amd64.deb' perl-base_5.36.0-7_amd64.deb 1609596 \n" +
		"'http://example.test/dists/x/InRelease' example.test_dists_x_InRelease 0\n'\n"
	want := []Package{{Name: "libattr1", Version: "1:2.5.1-4", Arch: "amd64"}, {Name: "perl-base", Version: "5.36.0-7", Arch: "amd64"}}
	if d := cmp.Diff(want, ParseURIs(out), cmpopts.IgnoreUnexported(Package{})); d != "" {
		t.Error(d)
	}
	if got := want[0].Glob(); got != "libattr1_1%3a2.5.1-4_*.deb" {
		t.Error(got)
	}
}

func TestArchivesAreReadFromURIsOfLists(t *testing.T) {
	out := "'http://a.test/debian/dists/x/InRelease' a 0 \n'http://a.test/debian/dists/x/main/Packages.xz' b 0\n'http://b.test/security/dists/x/InRelease' c 0\n'http://c.test/flat/InRelease' d 0\nnoise /dists/\n"
	if d := cmp.Diff([]string{"http://a.test/debian/", "http://b.test/security/"}, parseBases(out)); d != "" {
		t.Error(d)
	}
}

func TestRecordsOfThePackageListAreRead(t *testing.T) {
	p := kernel(sumA)
	out := "Package: " + p.Name + "\nVersion: 6.1.176-1\nArchitecture: armhf\nDepends: kmod, linux-base (>= 4.3~), a | b\nFilename: " + p.Path +
		"\nSize: 43302144\nSHA256: " + sumA + "\nDescription: a kernel\n Package: a line of the long description\n\n"
	got, err := parseRecords(out + strings.Replace(out, "6.1.176-1\n", "6.1.9-1\n", 1))
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	p.depends = []string{"kmod", "linux-base", "a"}
	if d := cmp.Diff(p, got[0], cmp.AllowUnexported(Package{})); d != "" || got[1].Version != "6.1.9-1" {
		t.Errorf("%s %s", d, got[1].Version)
	}
	if _, err := parseRecords(strings.Replace(out, sumA, "00", 1)); err == nil {
		t.Error("a record with half a hash was taken")
	}
}

func TestALockIsReadAsItWasWritten(t *testing.T) {
	want := []Locked{{"linux-image-armmp", kernel(sumA)}, {"x", Package{Name: "x", Version: "1:2~b+3", Arch: "all", Size: 1, SHA256: sumB, Path: "pool/main/x_2~b+3_all.deb"}}}
	var b bytes.Buffer
	if err := WriteLock(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLock(&b)
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Package{})); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestEveryFaultOfALockIsToldWithItsLine(t *testing.T) {
	good := "k linux 1 armhf 5 " + sumA + " pool/a.deb\n"
	for name, c := range map[string]struct{ text, want string }{
		"words":        {"# c\nk linux 1\n", "line 2: 3 words"},
		"size":         {"k linux 1 armhf five " + sumA + " pool/a.deb", `line 1: "five" is no number`},
		"no bytes":     {"k linux 1 armhf 0 " + sumA + " pool/a.deb", "size of 0 bytes"},
		"hash":         {"k linux 1 armhf 5 " + sumA[1:] + " pool/a.deb", "is no SHA-256"},
		"upper case":   {"k linux 1 armhf 5 " + strings.ToUpper(sumA) + " pool/a.deb", "is no SHA-256"},
		"host in path": {"k linux 1 armhf 5 " + sumA + " http://example.test/pool/a.deb", "is no path inside"},
		"way out":      {"k linux 1 armhf 5 " + sumA + " pool/../../a.deb", "is no path inside"},
		"option":       {"k -olinux 1 armhf 5 " + sumA + " pool/a.deb", "is no name"},
		"asked option": {"-ok linux 1 armhf 5 " + sumA + " pool/a.deb", "is no name"},
		"twice":        {good + good, "line 2: k is locked twice"},
		"two faults":   {"a\nb\n", "line 2: 1 words"},
	} {
		if _, err := ReadLock(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzReadLock(f *testing.F) {
	f.Add("# comment\n\nk linux 1 armhf 5 " + sumA + " pool/a.deb\n")
	f.Add("k linux 1:2 armhf 5 " + sumA + " pool/main/l_%3a.deb")
	f.Add("a b c d e f g\x00")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadLock(strings.NewReader(text))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := WriteLock(&b, got); err != nil {
			t.Fatal(err)
		}
		again, err := ReadLock(&b)
		if d := cmp.Diff(got, again, cmpopts.IgnoreUnexported(Package{}), cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Error(d, err)
		}
	})
}

// archive is a mirror in memory.
type archive struct {
	lists     map[string][]Package // by name, as apt-cache shows them
	files     map[string]string    // by address
	updates   int
	updateErr error
	fetches   []string
}

var errNotFound = errors.New("404 not found")

func (a *archive) Update(context.Context) error { a.updates++; return a.updateErr }
func (a *archive) Show(_ context.Context, name string) ([]Package, error) {
	return a.lists[name], nil
}
func (a *archive) Newest(_ context.Context, name, _ string) (Package, error) {
	if len(a.lists[name]) == 0 {
		return Package{}, fmt.Errorf("the archive has no package %s", name)
	}
	return a.lists[name][0], nil
}
func (a *archive) Bases(context.Context) ([]string, error) {
	return []string{"http://a.test/", "http://b.test/"}, nil
}
func (a *archive) fetchURI(_ context.Context, uri, file string) error {
	a.fetches = append(a.fetches, uri)
	text, ok := a.files[uri]
	if !ok {
		return errNotFound
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// packed makes a package of a text, at its path of the archive.
func packed(version, text string) Package {
	sum := sha256.Sum256([]byte(text))
	return Package{Name: "k", Version: version, Arch: "armhf", Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Path: "pool/k_" + version + ".deb"}
}

type fetching struct {
	*testing.T
	archive
	cache string
	warns []string
}

func newFetching(t *testing.T) *fetching {
	return &fetching{T: t, cache: filepath.Join(t.TempDir(), "cache"), archive: archive{lists: map[string][]Package{}, files: map[string]string{}}}
}

func (f *fetching) lock(locked ...Locked) (string, Locked, error) {
	f.fetches, f.warns = nil, nil
	fetcher := &Fetcher{Archive: &f.archive, Cache: f.cache, Warn: func(format string, args ...any) { f.warns = append(f.warns, fmt.Sprintf(format, args...)) }}
	files, now, err := fetcher.Lock(context.Background(), locked, []Wish{{Name: "k"}})
	if err != nil {
		return "", Locked{}, err
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		f.Fatal(err)
	}
	return string(text), now[0], nil
}

func TestTheLockedPackageIsTakenThoughThereIsANewerOne(t *testing.T) {
	f := newFetching(t)
	old := packed("1", "old")
	f.lists["k"] = []Package{packed("2", "new"), old}
	f.files["http://b.test/"+old.Path] = "old"
	for _, fetches := range []int{2, 0} { // the second time it is in the cache
		text, now, err := f.lock(Locked{"k", old})
		if text != "old" || !now.same(old) || err != nil || len(f.warns) > 0 || f.updates > 0 || len(f.fetches) != fetches {
			t.Errorf("%q %v %v, warnings %q, %d updates, fetched %q", text, now, err, f.warns, f.updates, f.fetches)
		}
	}
}

func TestWhenTheLockedPackageIsGoneTheCurrentOneIsTakenWithAWarning(t *testing.T) {
	f := newFetching(t)
	old, current := packed("1", "old"), packed("2", "new")
	f.lists["k"] = []Package{current}
	f.files["http://a.test/"+current.Path] = "new"
	text, now, err := f.lock(Locked{"k", old})
	if text != "new" || !now.same(current) || err != nil {
		t.Fatalf("%q %v %v", text, now, err)
	}
	said := strings.Join(f.warns, "\n")
	for _, want := range []string{"k=1", old.SHA256, "k=2", current.SHA256} {
		if !strings.Contains(said, want) {
			t.Errorf("the warning does not say %s: %q", want, said)
		}
	}
}

func TestAWrongHashIsAnErrorAndNeverEntersTheCache(t *testing.T) {
	f := newFetching(t)
	p := packed("1", "good")
	f.lists["k"] = []Package{packed("2", "new")}
	f.files["http://a.test/"+p.Path] = "evil"
	f.files["http://b.test/"+p.Path] = "good"
	if _, _, err := f.lock(Locked{"k", p}); !errors.Is(err, errWrong) {
		t.Errorf("%v, want %v", err, errWrong)
	}
	if left, err := os.ReadDir(f.cache); len(left) != 0 || err != nil {
		t.Errorf("the cache has %v, %v", left, err)
	}
}

func TestADamagedFileInTheCacheIsFetchedAgain(t *testing.T) {
	f := newFetching(t)
	p := packed("1", "good")
	f.files["http://a.test/"+p.Path] = "good"
	if err := errors.Join(os.MkdirAll(f.cache, 0o755), os.WriteFile(filepath.Join(f.cache, p.SHA256+".deb"), []byte("half"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if text, _, err := f.lock(Locked{"k", p}); text != "good" || err != nil || len(f.warns) != 1 {
		t.Errorf("%q %v, warnings %q", text, err, f.warns)
	}
}

func TestAMirrorThatDoesNotAnswerDoesNotChangeTheLock(t *testing.T) {
	f := newFetching(t)
	p := packed("1", "good")
	f.lists["k"] = []Package{packed("2", "new"), p} // known from before
	if _, _, err := f.lock(Locked{"k", p}); !errors.Is(err, errNotFound) {
		t.Errorf("%v, want the error of the download", err)
	}
	f.lists, f.updateErr = nil, errors.New("no route")
	if _, _, err := f.lock(Locked{"k", p}); !errors.Is(err, f.updateErr) {
		t.Errorf("%v, want the error of the update", err)
	}
}

func TestABrokenListOfOneArchiveDoesNotHinderAPackageOfAnother(t *testing.T) {
	f := newFetching(t)
	p := packed("2", "new")
	f.updateErr = errors.New("mirror sync in progress")
	f.lists["k"] = []Package{p}
	f.files["http://a.test/"+p.Path] = "new"
	text, now, err := f.lock()
	if text != "new" || !now.same(p) || err != nil || !slices.ContainsFunc(f.warns, func(s string) bool { return strings.Contains(s, "sync in progress") }) {
		t.Errorf("%q %v %v, warnings %q", text, now, err, f.warns)
	}
}

func TestAPrivateAptKeepsToItself(t *testing.T) {
	dir := t.TempDir()
	a, err := Private(dir, "armhf")
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(a.options, " ")
	for _, want := range []string{"APT::Architecture=armhf", "Dir::State::lists=" + dir, "Dir::Cache=" + dir, "Dir::State::status=/dev/null"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in %s", want, said)
		}
	}
}
