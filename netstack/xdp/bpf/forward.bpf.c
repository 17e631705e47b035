//go:build ignore

/* SPDX-License-Identifier: Apache-2.0
 *
 * Forwards packets of established flows from port to port, in the kernel. It
 * does what netstack/flow does in user space: the same packets, the same bytes,
 * the same counts. All others it passes on as they came.
 *
 * It runs once for each frame, as one of several instances: the constants are
 * each port's own, the maps are shared. It has one writer, the router's process,
 * which changes the flows while it runs: see find and look_up below.
 */

#include "kernel.h"
#include "../../flow/bucket/bucket.h"

/* What the loader sets before it loads the program. */
const volatile __u32 bucket_count;      /* of flows */
const volatile struct bucket_seed seed; /* of their hash */
const volatile __u32 this_port;         /* the port's number */
const volatile __u32 own_mac[3];        /* its address: bytes 0-3, 2-5, and 4-5 twice */

/* Why a frame is left to the stack. */
enum reason {
	REASON_NONE,
	REASON_SHORT,      /* cut before the end of its headers */
	REASON_NOT_OURS,   /* not for the port's address, or from it */
	REASON_TYPE,       /* not IPv4 in at most one 802.1Q tag */
	REASON_VLAN,       /* of no interface */
	REASON_OPTIONS,    /* IPv4 options, or another version */
	REASON_LENGTH,     /* lengths that contradict each other */
	REASON_FRAGMENT,
	REASON_TTL,        /* would end here */
	REASON_CHECKSUM,   /* of the IPv4 header */
	REASON_PROTOCOL,   /* not ESP, UDP or TCP */
	REASON_FLAGS,      /* TCP with SYN, FIN or RST */
	REASON_IKE,        /* for the ALG, which must see all of it (R50) */
	REASON_MISS,       /* no such flow */
	REASON_CHANGED,    /* its flow went while it was looked at */
	REASON_EXTENDED,   /* its flow needs more than a rewrite */
	REASON_FRAGMENTABLE, /* DF is clear, and the stack gives it an id (R29) */
	REASON_HOP,        /* next hop not valid */
	REASON_MTU,        /* too long for the next hop's link */
	REASON_DUE,        /* the one that keeps the next hop's neighbour entry in use */
	REASON_PORT,       /* the port that it would leave by is not there */
	REASON_ROOM,       /* no room for a tag */
	REASONS,
};

/* A next hop: where to, and the whole link-layer header. */
struct hop {
	__u16 spare;
	__u16 head0;    /* the header as on the wire, 18 bytes with a tag, else 14 */
	__u32 head2;
	__u32 head6;
	__u32 head10;   /* ends with the type of what follows: a tag or IPv4 */
	__u32 head14;   /* the tag's id and IPv4 */
	__u16 mtu;      /* bytes of IP */
	__u16 port;     /* in ports */
	__u32 state;    /* version<<2 | HOP_TAGGED | HOP_VALID */
	__u32 due;      /* not 0: the next packet is the stack's; the program clears it */
};

#define HOP_VALID 1
#define HOP_TAGGED 2
#define HOP_ROWS 1025

/* The interfaces' numbers of 64 VLANs of a port, 0 where there is none. */
struct contexts {
	__u8 of[64];
};

/* Sizes of 1 are replaced by the loader. */
struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(map_flags, BPF_F_MMAPABLE);
	NUMBER(max_entries, 1);
	TYPE(key, __u32);
	TYPE(value, struct bucket);
} flows SECTION(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(map_flags, BPF_F_MMAPABLE);
	NUMBER(max_entries, HOP_ROWS);
	TYPE(key, __u32);
	TYPE(value, struct hop);
} hops SECTION(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_ARRAY);
	NUMBER(map_flags, BPF_F_MMAPABLE);
	NUMBER(max_entries, 1);
	TYPE(key, __u32); /* port<<6 | VLAN>>6 */
	TYPE(value, struct contexts);
} contexts SECTION(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_DEVMAP);
	NUMBER(max_entries, 1);
	TYPE(key, __u32);
	TYPE(value, __u32); /* the interface's index in the kernel */
} ports SECTION(".maps");

struct {
	NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUMBER(max_entries, REASONS);
	TYPE(key, enum reason);
	TYPE(value, __u64);
} counters SECTION(".maps");

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

INLINE int decide(struct xdp_md *ctx, struct packet *p, struct rewrite *r)
{
	int why;

	if ((why = parse_link(ctx, p)) || (why = parse_ip(ctx, p)) || (why = parse_transport(ctx, p)))
		return why;
	if ((why = look_up(p, r)))
		return why;
	/* Asked before the frame is touched: what cannot leave is the stack's. */
	if (bpf_redirect_map(&ports, ROW_PORT(r), XDP_PASS) != XDP_REDIRECT)
		return REASON_PORT;
	return resize(ctx, p, r);
}

SECTION("xdp") int forward(struct xdp_md *ctx)
{
	struct packet p;
	struct rewrite r;
	__u32 why = decide(ctx, &p, &r);
	__u64 *count;

	if (why == REASON_NONE)
		return rewrite(ctx, &p, &r);
	count = bpf_map_lookup_elem(&counters, &why);
	if (count)
		++*count;
	return XDP_PASS;
}

/* No helper asks for a licence; this is the project's. */
char licence[] SECTION("license") = "Apache-2.0";
