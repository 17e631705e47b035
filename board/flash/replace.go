package flash

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
)

// stage writes a file that is to take another's place later, and syncs it. What
// fails leaves nothing behind if that is possible at all.
func stage(fsys FS, path string, content []byte, mode fs.FileMode) error {
	f, err := fsys.Create(path, mode)
	if errors.Is(err, fs.ErrExist) { // of an earlier attempt
		if err := fsys.Remove(path); err != nil {
			return err
		}
		f, err = fsys.Create(path, mode)
	}
	if err != nil {
		return err
	}
	n, err := f.Write(content)
	if err == nil && n != len(content) {
		err = &fs.PathError{Op: "write", Path: path, Err: io.ErrShortWrite}
	}
	if err == nil {
		err = f.Sync()
	}
	// What cannot be closed may not be complete: a file system may tell only then.
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		discard(fsys, path)
	}
	return err
}

// discard removes a staged file, to make room. If that fails it does no harm:
// nobody reads it, and the next attempt or the next Open removes it.
func discard(fsys FS, path string) { _ = fsys.Remove(path) }

// publish gives a staged file its name, for ever when it returns nil.
func publish(fsys FS, staged, path string) error {
	if err := fsys.Rename(staged, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// gone is an error of removing a file; that there was none is fine.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Replace makes text the content of the file at path, whole or not at all, also
// if the power is cut meanwhile. The file need not be there; changed is false if
// it has the text already. live, which may be nil, is called when the text is on
// the flash under another name, and before the file is replaced; it is undone if
// that fails. After an error the file is as it was, or the error says that this
// is not certain.
func Replace(fsys FS, path string, text []byte, mode fs.FileMode, live Live) (changed bool, err error) {
	if live == nil {
		live = func() (func() error, error) { return nil, nil }
	}
	was, err := fsys.Read(path, maxFile+1)
	known := err == nil && len(was) <= maxFile
	if known && bytes.Equal(was, text) {
		_, err := live()
		return false, err
	}
	dir, name := filepath.Split(path)
	staged := filepath.Join(dir, "."+name+stagedEnd)
	if err := stage(fsys, staged, text, mode); err != nil {
		return false, advise(err)
	}
	undo, err := live()
	if err != nil {
		discard(fsys, staged)
		return false, err
	}
	err = publish(fsys, staged, path)
	if err == nil {
		return true, nil
	}
	discard(fsys, staged)
	err = advise(err)
	if undo != nil {
		err = errors.Join(err, undo())
	}
	if now, _ := fsys.Read(path, maxFile+1); !bytes.Equal(now, text) {
		return false, err
	}
	// The new file is there, but perhaps not for ever.
	back := errors.New("it was not there, or could not be read")
	if known {
		back = stage(fsys, staged, was, mode)
	}
	if back == nil {
		back = publish(fsys, staged, path)
	}
	if back != nil {
		err = fmt.Errorf("%w; and the old file could not be put back (%w): the next start may read the old one or the new one", err, back)
	}
	return false, err
}

// stagedEnd ends the names of files that wait to be renamed.
const stagedEnd = ".spigate-new"

// advise says what to do about an error of writing.
func advise(err error) error {
	for _, known := range []struct {
		number syscall.Errno
		advice string
	}{
		{syscall.ENOSPC, "the flash is full: make room there (df tells how much is free), then try again"},
		{syscall.EDQUOT, "the flash is full: make room there (df tells how much is free), then try again"},
		{syscall.EROFS, "the flash is read-only: mount -o remount,rw it; if the kernel made it so by itself, dmesg tells why"},
		{syscall.EIO, "the flash gives errors and may be about to die: dmesg tells more; save the configuration elsewhere"},
		{syscall.EACCES, "run as the user whom the directory belongs to"},
		{syscall.EPERM, "run as the user whom the directory belongs to"},
		{syscall.EBUSY, "the file is mounted by itself and cannot be replaced: mount its directory"},
	} {
		if errors.Is(err, known.number) {
			return fmt.Errorf("%w: %s", err, known.advice)
		}
	}
	return err
}
