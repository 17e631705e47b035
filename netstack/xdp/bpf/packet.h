/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a frame: is it for the fast path at all, and of which flow can it be?
 * The answers are those of parse in netstack/flow.
 */
#ifndef SPIGATE_PACKET_H
#define SPIGATE_PACKET_H

#include "maps.h"

/* Reads and writes of a packet. Pointers are 2 bytes off a multiple of 4, as the
 * verifier counts on machines that need alignment; so nothing is wider than 4. */
#define GET8(p, at) (*(volatile __u8 *)((p) + (at)))
#define GET16(p, at) (*(volatile __u16 *)((p) + (at)))
#define GET32(p, at) (*(volatile __u32 *)((p) + (at)))
#define PUT16(p, at, v) (*(volatile __u16 *)((p) + (at)) = (v))
#define PUT32(p, at, v) (*(volatile __u32 *)((p) + (at)) = (v))

#define IP_LEN 20
#define TYPE_IPV4 WIRE16(0x0800)
#define TYPE_VLAN WIRE16(0x8100)
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ESP 50

/* The wire's first and second half of a word that was read at once. */
#if LITTLE
#define FIRST16(v) ((v) & 0xffff)
#define SECOND16(v) ((v) >> 16)
#define FIRST32(v) ((__u32)(v))
#define SECOND32(v) ((__u32)((v) >> 32))
#define BOTH(first, second) ((first) | (__u64)(second) << 32)
#define ONE_HOP 1 /* the TTL's lowest bit where TTL and protocol are read at once */
#else
#define FIRST16(v) ((v) >> 16)
#define SECOND16(v) ((v) & 0xffff)
#define FIRST32(v) ((__u32)((v) >> 32))
#define SECOND32(v) ((__u32)(v))
#define BOTH(first, second) ((__u64)(first) << 32 | (second))
#define ONE_HOP 0x100
#endif

/* What is known of a packet. Words are as the machine reads them. */
struct packet {
	void *ip;
	__u32 src, dst;
	__u64 addrs; /* both */
	__u32 id;
	__u32 scope; /* protocol<<24 | interface<<16 */
	__u32 total; /* IPv4's length, a number */
	__u32 tagged;
	__u32 spare; /* padding behind the packet */
	__u32 flags; /* bytes 6 and 7: DF */
};

/* A sum of a few words of 32 or 16 bits as one of 16 bits. */
INLINE __u32 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The frame is for us: which IPv4 packet is it, and of which interface? */
INLINE int parse_link(struct xdp_md *ctx, struct packet *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 vid = 0, row, type;
	struct contexts *c;

	if (data + 14 + IP_LEN + 8 > end)
		return REASON_SHORT;
	if (GET16(data, 0) != FIRST16(own_mac[0]) || GET32(data, 2) != own_mac[1])
		return REASON_NOT_OURS;
	if (GET32(data, 6) == own_mac[0] && GET16(data, 10) == FIRST16(own_mac[2]))
		return REASON_NOT_OURS;
	type = GET16(data, 12);
	p->ip = data + 14;
	p->tagged = 0;
	if (type == TYPE_VLAN) {
		if (data + 18 + IP_LEN + 8 > end)
			return REASON_SHORT;
		vid = WIRE16(GET16(data, 14)) & 0xfff;
		type = GET16(data, 16);
		p->ip = data + 18;
		p->tagged = 1;
	}
	if (type != TYPE_IPV4)
		return REASON_TYPE;
	row = this_port << 6 | vid >> 6;
	c = bpf_map_lookup_elem(&contexts, &row);
	if (!c || !c->of[vid & 63])
		return REASON_VLAN;
	p->scope = c->of[vid & 63] << 16;
	return REASON_NONE;
}

/* flow's parse: which packets are for the fast path at all. */
INLINE int parse_ip(struct xdp_md *ctx, struct packet *p)
{
	void *end = (void *)(long)ctx->data_end, *ip = p->ip;
	__u32 w0 = GET32(ip, 0), w1 = GET32(ip, 4), w2 = GET32(ip, 8);
	__u32 proto = GET8(ip, 9);

	if (GET8(ip, 0) != 0x45)
		return REASON_OPTIONS;
	p->total = WIRE16(SECOND16(w0));
	if (p->total < IP_LEN + 8 || ip + p->total > end)
		return REASON_LENGTH;
	p->spare = end - (ip + p->total);
	p->flags = SECOND16(w1);
	if (p->flags & WIRE16(0x3fff))
		return REASON_FRAGMENT;
	if (GET8(ip, 8) <= 1)
		return REASON_TTL;
	p->src = GET32(ip, 12);
	p->dst = GET32(ip, 16);
	if (fold((__u64)w0 + w1 + w2 + p->src + p->dst) != 0xffff)
		return REASON_CHECKSUM;
	p->addrs = BOTH(p->src, p->dst);
	p->scope |= proto << 24;
	p->id = GET32(ip, IP_LEN);
	return REASON_NONE;
}

INLINE int is_ike(__u32 port)
{
	return port == WIRE16(500) || port == WIRE16(4500);
}

INLINE int parse_transport(struct xdp_md *ctx, struct packet *p)
{
	void *end = (void *)(long)ctx->data_end, *t = p->ip + IP_LEN;
	__u32 n;

	switch (p->scope >> 24) {
	case PROTO_ESP:
		return REASON_NONE;
	case PROTO_UDP:
		n = WIRE16(GET16(t, 4));
		if (n < 8 || n > p->total - IP_LEN)
			return REASON_LENGTH;
		if (is_ike(FIRST16(p->id)) || is_ike(SECOND16(p->id)))
			return REASON_IKE;
		return REASON_NONE;
	case PROTO_TCP:
		if (p->total < IP_LEN + 20 || t + 20 > end)
			return REASON_LENGTH;
		if (GET8(t, 13) & 0x07)
			return REASON_FLAGS;
		return REASON_NONE;
	}
	return REASON_PROTOCOL;
}

#endif
