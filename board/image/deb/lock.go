package deb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Locked is a line of a lock file: what was asked for, and the package that
// was taken for it. Both names are the same unless what was asked for only
// names the newest of several packages.
type Locked struct {
	Wanted string
	Package
}

// lockHead begins every lock file.
const lockHead = `# The packages that a build is made of. A build takes exactly these; when one is
# gone from the archive, it takes the current one, says so, and writes this anew.
# wanted, package, version, architecture, bytes, SHA-256, path inside the archive
`

// maxLock bounds the lines of a lock file.
const maxLock = 1000

// ReadLock reads a lock file. All faults are told, each with its line.
func ReadLock(r io.Reader) ([]Locked, error) {
	var all []Locked
	var faults []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		l, err := parseLocked(text)
		if err == nil && find(all, l.Wanted) != nil {
			err = fmt.Errorf("%s is locked twice", l.Wanted)
		}
		if err == nil && len(all) == maxLock {
			return nil, fmt.Errorf("lock file: more than %d packages", maxLock)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("lock file, line %d: %w", n, err))
			continue
		}
		all = append(all, l)
	}
	return all, errors.Join(append(faults, lines.Err())...)
}

func parseLocked(text string) (Locked, error) {
	words := strings.Fields(text)
	if len(words) != 7 {
		return Locked{}, fmt.Errorf("%d words, want 7", len(words))
	}
	size, err := strconv.ParseInt(words[4], 10, 64)
	if err != nil {
		return Locked{}, fmt.Errorf("%q is no number of bytes", words[4])
	}
	l := Locked{words[0], Package{Name: words[1], Version: words[2], Arch: words[3], Size: size, SHA256: words[5], Path: words[6]}}
	if strings.ContainsFunc(l.Wanted, notInName) || strings.HasPrefix(l.Wanted, "-") {
		return Locked{}, fmt.Errorf("%q is no name of a package", l.Wanted)
	}
	return l, l.check()
}

// find returns the line for what was asked for; nil if there is none.
func find(all []Locked, wanted string) *Locked {
	for i := range all {
		if all[i].Wanted == wanted {
			return &all[i]
		}
	}
	return nil
}

// WriteLock writes a lock file that ReadLock reads.
func WriteLock(w io.Writer, all []Locked) error {
	var b strings.Builder
	b.WriteString(lockHead)
	for _, l := range all {
		fmt.Fprintln(&b, l.Wanted, l.Name, l.Version, l.Arch, l.Size, l.SHA256, l.Path)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
