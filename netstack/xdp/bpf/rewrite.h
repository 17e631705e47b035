/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes of a frame what leaves, as rewrite in netstack/flow does.
 */
#ifndef SPIGATE_REWRITE_H
#define SPIGATE_REWRITE_H

#include "lookup.h"

/* Makes the frame as long as it will be, or leaves it as it was. */
INLINE int resize(struct xdp_md *ctx, const struct packet *p, const struct rewrite *r)
{
	int more = 0;

	if (p->tagged && !(r->state & HOP_TAGGED))
		more = 4;
	if (!p->tagged && r->state & HOP_TAGGED)
		more = -4;
	if (more && bpf_xdp_adjust_head(ctx, more))
		return REASON_ROOM;
	if (p->spare && bpf_xdp_adjust_tail(ctx, -(int)p->spare)) {
		if (more)
			bpf_xdp_adjust_head(ctx, -more);
		return REASON_ROOM;
	}
	return REASON_NONE;
}

/* The sum behind a checksum with one word replaced (RFC 1624, equation 3). */
INLINE __u32 replaced(__u32 from, __u32 to)
{
	return (~from & 0xffff) + to;
}

/* A word that leaves a sum of zero as it is: equal, or zero for all ones. */
INLINE int idle(__u32 from, __u32 to)
{
	return from == to || (from == 0xffff && to == 0);
}

/* flow's rewrite, byte for byte. */
INLINE int rewrite(struct xdp_md *ctx, const struct packet *p, const struct rewrite *r)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *ip = data + 14, *t;
	__u32 to = r->flags & BUCKET_DESTINATION, old = to ? p->dst : p->src;
	__u64 change = (__u64)r->addr + (__u32)~old;
	__u32 port, sum, was;

	if (r->state & HOP_TAGGED)
		ip = data + 18;
	if (ip + IP_LEN + 8 > end)
		return XDP_ABORTED; /* has been looked at: cannot be */
	t = ip + IP_LEN;
	was = GET16(ip, 8);
	PUT16(ip, 8, was - ONE_HOP);
	sum = ~GET16(ip, 10) & 0xffff;
	PUT16(ip, 10, ~fold(sum + 0xffff - ONE_HOP + change));
	if (to)
		PUT32(ip, 16, r->addr);
	else
		PUT32(ip, 12, r->addr);

	if (p->scope >> 24 == PROTO_ESP)
		goto link;
	port = to ? SECOND16(p->id) : FIRST16(p->id);
	if (to)
		PUT16(t, 2, r->port);
	else
		PUT16(t, 0, r->port);
	if (p->scope >> 24 == PROTO_UDP) {
		was = GET16(t, 6);
		if (!was) /* none was computed (RFC 768) */
			goto link;
		sum = ~fold((~was & 0xffff) + change + replaced(port, r->port)) & 0xffff;
		PUT16(t, 6, sum ? sum : 0xffff);
		goto link;
	}
	if (t + 20 > end)
		return XDP_ABORTED;
	was = GET16(t, 16);
	sum = ~fold((~was & 0xffff) + change + replaced(port, r->port)) & 0xffff;
	/* Of zero's two forms the one that came, where nothing was added to it. */
	if (was == 0xffff && idle(old & 0xffff, r->addr & 0xffff) && idle(old >> 16, r->addr >> 16) && idle(port, r->port))
		sum = was;
	PUT16(t, 16, sum);
link:
	PUT16(data, 0, SECOND16(FIRST32(r->row[0])));
	PUT32(data, 2, SECOND32(r->row[0]));
	PUT32(data, 6, FIRST32(r->row[1]));
	PUT32(data, 10, SECOND32(r->row[1]));
	if (r->state & HOP_TAGGED)
		PUT32(data, 14, FIRST32(r->row[2]));
	r->entry->count += BUCKET_PACKET(p->total);
	return XDP_REDIRECT;
}

#endif
