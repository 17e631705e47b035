package ipsec

import (
	"iter"
	"slices"
	"sort"
)

// A view of a million sessions must neither grow the daemon nor stop a packet:
// of a shard only the keys are copied at once, 8 bytes each, and then what they
// stand for, a page at a time. Nothing is locked while a row is looked at.

const (
	viewPage = 256  // rows that are copied while a shard is locked
	inOrder  = 4096 // so many rows come sorted
)

// paged yields what look says of each key that list finds, shard by shard.
// Both are called with the shard locked. What has ended since list saw it, look
// leaves out.
func paged[K, V any](a *ALG, list func(sh *shard, keys []K) []K, look func(K) (V, bool)) iter.Seq[V] {
	return func(yield func(V) bool) {
		var keys []K
		page := make([]V, 0, viewPage)
		for i := range a.shards {
			sh := &a.shards[i]
			sh.mu.Lock()
			keys = list(sh, keys[:0])
			sh.mu.Unlock()
			for part := range slices.Chunk(keys, viewPage) {
				page = lookUp(sh, part, page[:0], look)
				if !all(page, yield) {
					return
				}
			}
			clear(keys) // they may be pointers
		}
	}
}

// lookUp appends what look says of some keys of a shard to page.
func lookUp[K, V any](sh *shard, keys []K, page []V, look func(K) (V, bool)) []V {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, k := range keys {
		if v, ok := look(k); ok {
			page = append(page, v)
		}
	}
	return page
}

// sorted yields rows in order, if there are no more than inOrder; more come as
// they are.
func sorted[V any](rows iter.Seq[V], order func(x, y V) int) iter.Seq[V] {
	return func(yield func(V) bool) {
		var few []V
		many := false
		for v := range rows {
			switch {
			case many && !yield(v):
				return
			case many:
				continue
			}
			few = append(few, v)
			if many = len(few) > inOrder; many && !all(few, yield) {
				return
			}
		}
		if !many {
			sort.Slice(few, func(i, j int) bool { return order(few[i], few[j]) < 0 })
			all(few, yield)
		}
	}
}

// all yields rows until yield has enough, and reports whether it went on.
func all[V any](rows []V, yield func(V) bool) bool {
	for _, v := range rows {
		if !yield(v) {
			return false
		}
	}
	return true
}
