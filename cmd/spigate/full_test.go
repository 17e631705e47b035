package main

import (
	"io/fs"
	"sync/atomic"
	"syscall"

	"spigate/board/flash"
)

// fullFlash is the machine's file system, which can be full.
type fullFlash struct {
	flash.OS
	full atomic.Bool
}

func (f *fullFlash) Create(path string, mode fs.FileMode) (flash.File, error) {
	if f.full.Load() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOSPC}
	}
	return f.OS.Create(path, mode)
}

func (f *fullFlash) Room(dir string, bytes int64) error {
	if f.full.Load() {
		return &fs.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC}
	}
	return f.OS.Room(dir, bytes)
}
