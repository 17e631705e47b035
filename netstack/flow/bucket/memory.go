package bucket

import (
	"fmt"
	"syscall"
	"unsafe"
)

// hugePage is what huge pages are aligned to on the machines that have them.
const hugePage = 2 << 20

// Memory is zeroed memory off the heap.
type Memory struct {
	mapped []byte // as the kernel gave it
	bytes  []byte // the aligned part of it
}

// Anonymous maps the arena of a table with that many slots, in whole buckets. If
// it is as large as a huge page, it is aligned to one and the kernel is asked for
// them; a kernel that has none gives small pages.
func Anonymous(slots int) (*Memory, error) {
	if slots < Ways || slots > MaxSlots {
		return nil, fmt.Errorf("a table of %d slots: want %d to %d", slots, Ways, MaxSlots)
	}
	return mapMemory((slots + Ways - 1) / Ways * Size)
}

func mapMemory(size int) (*Memory, error) {
	align := 0
	if size >= hugePage {
		align = hugePage
	}
	const prot, flags = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_ANON
	mapped, err := syscall.Mmap(-1, 0, size+align, prot, flags)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes for flows: %w", size+align, err)
	}
	m := &Memory{mapped: mapped, bytes: mapped[:size:size]}
	if align != 0 {
		skip := -int(uintptr(unsafe.Pointer(&mapped[0]))) & (align - 1)
		m.bytes = mapped[skip : skip+size : skip+size]
		// Small pages are slower, not wrong.
		_ = syscall.Madvise(m.bytes, syscall.MADV_HUGEPAGE)
	}
	return m, nil
}

// Bytes is the memory, of exactly the wanted size.
func (m *Memory) Bytes() []byte { return m.bytes }

// Release gives the memory back. Nobody may be in it: no reader, no writer.
func (m *Memory) Release() error {
	mapped := m.mapped
	m.mapped, m.bytes = nil, nil
	if mapped == nil {
		return nil
	}
	return syscall.Munmap(mapped)
}
