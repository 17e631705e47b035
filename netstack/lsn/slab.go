package lsn

// slab holds values in chunks that never move and are never given back, with
// a list of free slots. A slot is named by its index: four bytes in place of a
// pointer, and nothing for the garbage collector to follow as long as T holds
// no pointer. It is used under its shard's lock.
type slab[T any] struct {
	chunks []*[slabChunk]T
	free   []uint32
	used   uint32 // slots ever handed out; slot 0 is never, so that 0 means none
}

const slabChunk = 128

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i/slabChunk][i%slabChunk] }

// take hands out a slot; its value is as the last user left it.
func (s *slab[T]) take() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.used++
	if int(s.used/slabChunk) >= len(s.chunks) {
		s.chunks = append(s.chunks, new([slabChunk]T))
	}
	return s.used
}

func (s *slab[T]) give(i uint32) { s.free = append(s.free, i) }

// end is one more than the highest slot ever handed out.
func (s *slab[T]) end() uint32 { return s.used + 1 }
