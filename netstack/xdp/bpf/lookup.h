/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds a packet's flow, and where the flow sends it, while both change.
 */
#ifndef SPIGATE_LOOKUP_H
#define SPIGATE_LOOKUP_H

#include "packet.h"

/* The parts of a row's third word. */
#define ROW_MTU(r) FIRST16(SECOND32((r)->row[2]))
#define ROW_PORT(r) SECOND16(SECOND32((r)->row[2]))

/* What its flow says. */
struct rewrite {
	struct bucket_entry *entry;
	__u32 flags;
	__u32 addr, port;
	__u64 row[3]; /* the next hop's, up to its state */
	__u32 state;
};

/* Both addresses of an entry at once. */
#define ADDRS(e) (*(volatile __u64 *)&(e)->src)

/*
 * find and look_up meet a writer that changes entries meanwhile. It publishes an
 * entry's tag last and takes it away first, one version on, and lets the slot
 * rest. So whoever reads the same tag before and after all else has read one
 * life of one flow; and as long as that lives, its next hop's row is its own. A
 * row's state is to its fields what a tag is to an entry's.
 *
 * That needs loads in order: tag, the rest, the row, tag. Machines with weak
 * order keep it where the address of a later load is computed from what an
 * earlier one gave, even if nothing comes of it: these are the zeros that are
 * added to addresses here. The assembly hides from the compiler that they are
 * zeros; the verifier knows, from the branch or from the mask.
 */
INLINE struct bucket_entry *match(void *at, const struct packet *p, __u32 *tag)
{
	volatile struct bucket_entry *e = at;
	__u64 zero;

	*tag = e->tag;
	zero = (*tag & (BUCKET_SCOPE_MASK | BUCKET_VALID)) ^ (p->scope | BUCKET_VALID);
	asm volatile("" : "+r"(zero));
	if (zero)
		return 0;
	e = at + zero;
	if (e->id != p->id || ADDRS(e) != p->addrs)
		return 0;
	return (struct bucket_entry *)e;
}

/* The four entries of a bucket, the likelier cache line first. */
INLINE struct bucket_entry *find(__u32 number, __u64 hash, const struct packet *p, __u32 *tag)
{
	__u64 first = (hash & 1) * (BUCKET_SIZE / 2), second = BUCKET_SIZE / 2 - first;
	void *b = bpf_map_lookup_elem(&flows, &number);
	struct bucket_entry *e;

	if (!b)
		return 0;
	if ((e = match(b + first, p, tag)) || (e = match(b + first + sizeof(*e), p, tag)))
		return e;
	if ((e = match(b + second, p, tag)) || (e = match(b + second + sizeof(*e), p, tag)))
		return e;
	return 0;
}

/* Where does the flow send it? */
INLINE int look_up(struct packet *p, struct rewrite *r)
{
	struct bucket_seed s = {seed.k0, seed.k1, seed.k2, seed.k3};
	__u64 hash = bucket_hash(p->src, p->dst, p->id, p->scope, &s), zero;
	volatile struct bucket_entry *e;
	volatile struct hop *h;
	__u32 tag, row;

	e = find(bucket_first(hash, bucket_count), hash, p, &tag);
	if (!e)
		e = find(bucket_second(hash, bucket_count), hash, p, &tag);
	if (!e)
		return REASON_MISS;
	r->addr = e->addr;
	r->port = e->port;
	row = e->hop;
	h = bpf_map_lookup_elem(&hops, &row);
	if (!h)
		return REASON_HOP;
	r->state = h->state;
	r->row[0] = ((volatile __u64 *)h)[0];
	r->row[1] = ((volatile __u64 *)h)[1];
	r->row[2] = ((volatile __u64 *)h)[2];
	zero = r->addr ^ r->port ^ r->state ^ r->row[0] ^ r->row[1] ^ r->row[2];
	asm volatile("%0 &= 0" : "+r"(zero));
	e = (void *)e + zero;
	h = (void *)h + zero;
	if (e->tag != tag || e->id != p->id || ADDRS(e) != p->addrs || h->state != r->state)
		return REASON_CHANGED;
	if (tag & BUCKET_EXTENDED)
		return REASON_EXTENDED;
	if (tag & BUCKET_DF_ONLY && !(p->flags & WIRE16(0x4000)))
		return REASON_FRAGMENTABLE;
	if (!(r->state & HOP_VALID))
		return REASON_HOP;
	if (p->total > ROW_MTU(r))
		return REASON_MTU;
	if (h->due) {
		h->due = 0;
		return REASON_DUE;
	}
	r->flags = tag;
	r->entry = (struct bucket_entry *)e;
	return REASON_NONE;
}

#endif
