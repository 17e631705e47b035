package flash

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// FS is what a Store needs of a file system. Paths are absolute. Errors are
// those of package os: fs.ErrNotExist and numbers of the system are in their
// chains.
type FS interface {
	// MakeDir makes a directory, 0700, with those above it.
	MakeDir(dir string) error
	// List returns the names in a directory.
	List(dir string) ([]string, error)
	// Read returns a regular file's first bytes, at most limit. A symbolic link is
	// not followed.
	Read(path string, limit int) ([]byte, error)
	// Create makes a file, which must not be there.
	Create(path string, mode fs.FileMode) (File, error)
	// Rename replaces to by from, at once.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(path string) error
	// SyncDir returns when a directory's names are on the flash.
	SyncDir(dir string) error
	// Room says why a file of so many bytes could not be written to a directory,
	// without writing; nil is no promise.
	Room(dir string, bytes int64) error
}

// File is a file that is being written.
type File interface {
	io.WriteCloser
	// Sync returns when what was written is on the flash.
	Sync() error
}

// OS is the machine's file system.
type OS struct{}

var _ FS = OS{}

// MakeDir implements FS.
func (OS) MakeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// List implements FS.
func (OS) List(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Read implements FS. A pipe in a file's place does not make it wait.
func (OS) Read(path string, limit int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is a symbolic link")}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is not a regular file")}
	}
	return io.ReadAll(io.LimitReader(f, int64(limit)))
}

// Create implements FS. The mode does not depend on the umask.
func (OS) Create(path string, mode fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(path string) error { return os.Remove(path) }

// SyncDir implements FS. A file system that knows no such thing says EINVAL: it
// can do no better, and that is no fault of the flash.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// Room implements FS.
func (OS) Room(dir string, bytes int64) error {
	const write = 2 // W_OK of access(2), which also knows of read-only mounts
	if err := syscall.Access(dir, write); err != nil {
		return &fs.PathError{Op: "write", Path: dir, Err: err}
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := st.Bavail * uint64(st.Bsize); bytes > 0 && free < uint64(bytes) {
		return &fs.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC}
	}
	return nil
}

// Resolve follows the symbolic links of a path, so that replacing the file does
// not replace a link to it.
func (OS) Resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
