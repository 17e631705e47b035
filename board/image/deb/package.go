package deb

import (
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Package is one Debian package in one version.
type Package struct {
	Name, Version string
	Arch          string
	Size          int64  // bytes of the .deb
	SHA256        string // of the .deb, 64 hexadecimal digits in lower case
	Path          string // inside the archive: pool/main/…; no host
	depends       []string
}

// String is how the archive writes a package and its version.
func (p Package) String() string { return p.Name + "=" + p.Version }

// Glob is a pattern for the file names under which apt-get may store the
// package; the architecture is not known before.
func (p Package) Glob() string {
	return p.Name + "_" + strings.ReplaceAll(p.Version, ":", "%3a") + "_*.deb"
}

// same reports whether two are the same bytes under the same name.
func (p Package) same(q Package) bool {
	return p.Name == q.Name && p.Version == q.Version && p.Arch == q.Arch && p.SHA256 == q.SHA256
}

// dependency returns the first dependency whose name begins with prefix.
func (p Package) dependency(prefix string) string {
	for _, d := range p.depends {
		if strings.HasPrefix(d, prefix) {
			return d
		}
	}
	return ""
}

// check refuses what cannot be a package of an archive: each word is later a
// part of a path or of a command.
func (p Package) check() error {
	for _, word := range []string{p.Name, p.Version, p.Arch} {
		if word == "" || strings.ContainsFunc(word, notInName) || strings.HasPrefix(word, "-") {
			return fmt.Errorf("%q is no name, version or architecture of a package", word)
		}
	}
	if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != 32 || p.SHA256 != strings.ToLower(p.SHA256) {
		return fmt.Errorf("package %s: %q is no SHA-256", p.Name, p.SHA256)
	}
	if p.Size <= 0 || p.Size > maxDeb {
		return fmt.Errorf("package %s: a size of %d bytes", p.Name, p.Size)
	}
	if p.Path != path.Clean(p.Path) || !strings.HasPrefix(p.Path, "pool/") || !strings.HasSuffix(p.Path, ".deb") || strings.ContainsFunc(p.Path, notInPath) {
		return fmt.Errorf("package %s: %q is no path inside an archive", p.Name, p.Path)
	}
	return nil
}

// maxDeb bounds a package: the largest kernel has 140 MB.
const maxDeb = 1 << 30

// notInName: a name, a version or an architecture has no other characters than
// letters, digits and . + - ~ : (Debian policy 5.6.1 and 5.6.12).
func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".+-~:", r))
}

func notInPath(r rune) bool { return notInName(r) && !strings.ContainsRune("/_%", r) }

// ParseURIs reads what "apt-get --print-uris install" prints: lines of
// 'address' NAME_VERSION_ARCH.deb size hash, the colon of a version's epoch as
// %3a. Only name, version and architecture are filled in.
func ParseURIs(out string) []Package {
	var all []Package
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.HasPrefix(words[0], "'") {
			continue
		}
		base, isDeb := strings.CutSuffix(words[1], ".deb")
		parts := strings.Split(base, "_")
		if len(parts) != 3 || !isDeb {
			continue
		}
		all = append(all, Package{Name: parts[0], Version: strings.ReplaceAll(parts[1], "%3a", ":"), Arch: parts[2]})
	}
	return all
}

// parseBases reads the same form for "update": the part of each address before
// "dists/", once each.
func parseBases(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		uri, quoted := strings.CutPrefix(strings.TrimSpace(line), "'")
		uri, _, closed := strings.Cut(uri, "'")
		base, _, hasDists := strings.Cut(uri, "/dists/")
		if quoted && closed && hasDists && !slices.Contains(all, base+"/") {
			all = append(all, base+"/")
		}
	}
	return all
}

// parseRecords reads the paragraphs of "apt-cache show".
func parseRecords(out string) ([]Package, error) {
	var all []Package
	for _, paragraph := range strings.Split(out, "\n\n") {
		if strings.TrimSpace(paragraph) == "" {
			continue
		}
		p := parseRecord(paragraph)
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("apt-cache: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

func parseRecord(paragraph string) Package {
	var p Package
	for line := range strings.Lines(paragraph) {
		field, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		if !ok || strings.HasPrefix(line, " ") {
			continue // the long description
		}
		switch field {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		case "Filename":
			p.Path = value
		case "SHA256":
			p.SHA256 = value
		case "Size":
			p.Size, _ = strconv.ParseInt(value, 10, 64) // 0 is refused by check
		case "Depends":
			p.depends = append(p.depends, dependencies(value)...)
		}
	}
	return p
}

// dependencies reads "A, B (>= 1) | C" as A, B: the first of alternatives, no
// versions.
func dependencies(value string) []string {
	var all []string
	for _, one := range strings.Split(value, ",") {
		if words := strings.Fields(one); len(words) > 0 {
			all = append(all, words[0])
		}
	}
	return all
}
