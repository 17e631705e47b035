package deb

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Apt runs apt's programs with one state: this machine's, or a private one.
// The zero value is this machine's.
type Apt struct {
	options []string
}

// Private is an apt with lists and caches of its own below dir, for an
// architecture that this machine need not know. It reads the machine's list of
// mirrors, and believes that nothing is installed.
func Private(dir, architecture string) (*Apt, error) {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("apt's private state: %w", err)
		}
	}
	set := []string{
		"APT::Architecture=" + architecture,
		"APT::Architectures=" + architecture,
		"Dir::State::lists=" + filepath.Join(dir, "lists"),
		"Dir::State::status=" + os.DevNull,
		"Dir::Cache=" + filepath.Join(dir, "cache"),
		// Only lists of packages: no translations, no software catalogue.
		"Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	}
	a := &Apt{}
	for _, s := range set {
		a.options = append(a.options, "-o", s)
	}
	return a, nil
}

// Update fetches the lists of packages. An archive of several of which one is
// broken for the moment gives an error, and the lists of the others are new all
// the same: the caller may go on if it finds there what it wants.
func (a *Apt) Update(ctx context.Context) error {
	_, err := a.Get(ctx, "", "update", "-q")
	return err
}

// Get runs apt-get in dir and returns what it printed.
func (a *Apt) Get(ctx context.Context, dir string, args ...string) (string, error) {
	return a.run(ctx, dir, "apt-get", args)
}

func (a *Apt) run(ctx context.Context, dir, program string, args []string) (string, error) {
	all := append([]string{"-o", "APT::Sandbox::User=root"}, a.options...)
	cmd := exec.CommandContext(ctx, program, append(all, args...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, tail(talk.String(), 2000))
	}
	return out.String(), nil
}

// tail returns the last n bytes of a text.
func tail(s string, n int) string { return strings.TrimSpace(s[max(0, len(s)-n):]) }

// Show lists the versions of a package that the lists have, the one that apt
// would install first. None is no error.
func (a *Apt) Show(ctx context.Context, name string) ([]Package, error) {
	out, err := a.run(ctx, "", "apt-cache", []string{"show", name})
	if err != nil {
		if strings.Contains(err.Error(), "No packages found") {
			return nil, nil
		}
		return nil, err
	}
	return parseRecords(out)
}

// Newest follows a package that only names another one, as "the newest kernel"
// does, to the package that has the files: the first dependency that begins
// with prefix. A package without one is its own answer.
func (a *Apt) Newest(ctx context.Context, name, prefix string) (Package, error) {
	for range 4 {
		found, err := a.Show(ctx, name)
		if err != nil {
			return Package{}, err
		}
		if len(found) == 0 {
			return Package{}, fmt.Errorf("the archive has no package %s", name)
		}
		next := found[0].dependency(prefix)
		if next == "" || prefix == "" {
			return found[0], nil
		}
		name = next
	}
	return Package{}, fmt.Errorf("package %s: its dependencies go in circles", name)
}

// Bases lists the roots of the archives that apt knows, without asking the net:
// what stands before "dists/" in the addresses of their lists.
func (a *Apt) Bases(ctx context.Context) ([]string, error) {
	out, err := a.Get(ctx, "", "--print-uris", "update")
	if err != nil {
		return nil, err
	}
	return parseBases(out), nil
}

// fetchURI downloads one address to a file, through apt's own methods and so
// with the proxies that this machine has for them.
func (a *Apt) fetchURI(ctx context.Context, uri, file string) error {
	_, err := a.run(ctx, "", "/usr/lib/apt/apt-helper", []string{"download-file", uri, file})
	return err
}
