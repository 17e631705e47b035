// Package bucket is the layout of the flow table, in any memory: its own, with
// huge pages, or a map's that a program in the kernel reads (bucket.h). It knows
// keys, values and counts, and not what they mean: that is package flow's.
//
//	bucket 128 bytes   │ entry │ entry │ entry │ entry │     two cache lines
//	                       │
//	entry 32 bytes     │ addrs 8 │ id 4 │ tag 4 │ value 8 │ count 8 │
//	                                       └ proto, ctx, version, flags: written last
//
// A key has two buckets. A flow stands in the first if there is room, else in the
// second, else one of the eight flows there moves to its own other bucket. A
// packet so costs one cache miss, seldom two, and its count is in the line that
// the look-up has fetched. Nothing is written but that count: activity is what
// Sweep sees the count move by, and there is no clock.
//
// One writer at a time (the caller has a lock), any number of readers with none:
//
//	insert   the slot is free: write addrs, id, value; then the tag, valid, one version on
//	remove   write the tag, not valid, one version on; the slot is retired
//	move     insert the copy, then remove the original
//	change   never: remove and insert
//	sweep    retired ─► resting ─► free: one whole sweep lies between gone and free
//	look-up  find by plain loads; then read tag, value, addrs, id, tag (the guard)
//
// The rest is what keeps counts exact: a reader that found a flow adds to its
// slot a little later, and a slot that is free when a whole sweep has passed has
// no such reader any more. So what a slot counts until then belongs to its old
// own. The guard is what keeps rewrites right, even if a slot did not rest.
//
// # Why the guard is right
//
// A look-up must not give the value of one flow for the key of another. Let a
// slot's life be the time between two writes of its tag. The versions of two
// lives differ, unless 4096 lie between them. The writer's stores are seen in this
// order (W):
//
//	tag(not valid, v) < addrs, id, value < tag(valid, v+1) < tag(not valid, v+2) < ...
//
// and the guard's loads are done in this order (R):
//
//	tag before < value, addrs, id < tag after
//
// Both tags are equal and valid, so they are of one life, which began before value,
// addrs and id were read (R). Had one of these been of a later life, the tag that
// ended this life was seen before it (W), so the second tag would differ. An
// earlier life's cannot be either, as they were overwritten before the tag became
// valid (W) and read after it (R). So all three are of that life, and addrs, id and
// tag are then compared with the key. 4096 lives of one slot within one look-up
// would need 4096 sweeps.
//
// What chooses the entry to guard are plain loads, in any order and of any age:
// at worst they choose wrongly, then the guard refuses, or not at all. Both are a
// miss, and a miss goes to the stack, which is always right. Likewise for a reader
// that looks into the second bucket before the copy of a moved flow is there, and
// into the first after the original has gone.
//
// The orders W and R, machine by machine. Go's atomic loads and stores are in one
// order that all goroutines agree on, and its compiler moves no load or store over
// one of them; that alone gives both where all accesses are atomic:
//
//   - 64-bit machines: every store of the writer and every load of the guard is a
//     sync/atomic one (words_64.go). ARM64: the loads are four LDAR (id and tag are
//     one aligned word, so one load gives both), the stores STLR and STLRW. A LDAR
//     is done before all that follows it in the program: that is R. It need not
//     wait for plain loads before it, which is why none of the guard's is plain. A
//     STLR is seen after all stores before it, and as each store is one, they are
//     seen in their order: that is W. amd64 keeps the order of plain loads and of
//     plain stores; all are MOV (XCHG for the stores). MIPS64: SYNC on both sides
//     of each access.
//   - 32-bit machines: an aligned word is read and written half by half, and value,
//     addrs and the first id are plain loads (words_32.go). R is kept by the three
//     atomic loads around them: the tag, then the id again, then the tag again. ARMv7:
//     an atomic load is LDR, DMB ISH; the DMB behind the first tag keeps the plain
//     loads after it, the one behind the second id keeps them, and that id, before
//     the second tag. ARMv5 and v6: the kernel's helper is the DMB. MIPS: SYNC, LW,
//     SYNC, in the same places. 386 keeps the order of loads. W: each store is an
//     atomic one with a barrier before and behind it. Halves that do not belong
//     together are of two lives, which the tags tell.
//
// A program in the kernel has no such loads. x86 keeps R for it; elsewhere the rest
// does: a second and more, against the microseconds of a run.
//
// A count has one adder at a time. On 64-bit machines it adds with a plain load and
// store of an aligned word, which nobody sees half of; on 32-bit machines with an
// atomic addition. The writer only reads counts.
package bucket
