package lsn

// slab holds values in chunks that never move and are never given back. A slot
// is named by its index: four bytes in place of a pointer, and nothing for the
// garbage collector to follow as long as T holds no pointer. It is used under
// its shard's lock.
type slab[T any, P slotOf[T]] struct {
	chunks []*[slabChunk]T
	free   uint32 // the first free slot, chained to the next; 0: none
	used   uint32 // slots ever handed out; slot 0 is never, so that 0 means none
}

// slotOf is what a slab needs of its values: a word that chains the free ones.
type slotOf[T any] interface {
	*T
	chain() *uint32
}

// slabChunk values of 12, 24, 32, 56 or 72 bytes fill a size class of Go's
// allocator without a remainder.
const slabChunk = 256

func (s *slab[T, P]) at(i uint32) *T { return &s.chunks[i/slabChunk][i%slabChunk] }

// take hands out a slot; but for the word that chains it, its value is as the
// last user left it.
func (s *slab[T, P]) take() uint32 {
	if i := s.free; i != 0 {
		s.free = *P(s.at(i)).chain()
		return i
	}
	s.used++
	if int(s.used/slabChunk) >= len(s.chunks) {
		s.chunks = append(s.chunks, new([slabChunk]T))
	}
	return s.used
}

func (s *slab[T, P]) give(i uint32) {
	*P(s.at(i)).chain() = s.free
	s.free = i
}

// end is one more than the highest slot ever handed out.
func (s *slab[T, P]) end() uint32 { return s.used + 1 }
