package configs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds a file that a configuration names: secrets and certificates.
const maxFile = 1 << 16

// opener reads a file that the configuration names.
type opener func(path string) (content []byte, mode fs.FileMode, err error)

// openFile reads a regular file. Others are refused before they are opened: a
// pipe would wait for somebody to write.
func openFile(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(content) > maxFile {
		return nil, 0, fmt.Errorf("has more than %d bytes", maxFile)
	}
	return content, info.Mode().Perm(), err
}

// file reads the file at a path that the value at a spot says, relative to the
// configuration. ok is false after a fault, and where files are not read.
func (r *reader) file(at spot, path, what string, private bool) (content []byte, ok bool) {
	if path == "" || strings.ContainsRune(path, 0) {
		r.fault(at, "%q is no path of a file", path)
		return nil, false
	}
	if r.open == nil {
		return nil, false
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(r.doc.file), path)
	}
	content, mode, err := r.open(path)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the path stands before it already
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fault(at, "%s: there is no such file: put %s there (a check of this file elsewhere needs it, too)", path, what)
	case err != nil:
		r.fault(at, "%s: %v: %s is wanted there", path, err, what)
	case private && mode&0o007 != 0:
		r.warn(at, "%s: everybody on this machine may read or change %s (mode %04o): chmod o-rwx, or 0600", path, what, mode)
	}
	return content, err == nil
}

// fileWord begins a value that is in a file.
const fileWord = "file:"

// secret reads a value that must not be seen: file:PATH, or the value itself.
// ok is false if there is none to look at.
func (t *table) secret(key, what string) (text string, ok bool) {
	text = t.text(key, "")
	path, inFile := strings.CutPrefix(text, fileWord)
	if !inFile {
		if t.exposed != 0 && text != "" {
			t.warn(t.at(key), "everybody on this machine may read this file and %s in it (mode %04o): chmod o-rwx, or write it as file:PATH", what, t.exposed)
		}
		return text, text != ""
	}
	content, ok := t.file(t.at(key), path, what, true)
	text = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if ok && text == "" {
		t.fault(t.at(key), "%s is empty: %s is wanted there", path, what)
	}
	return text, ok && text != ""
}
