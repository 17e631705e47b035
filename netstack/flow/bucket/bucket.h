/*
 * The flow table's layout and hash in C, for the program in the kernel. The Go
 * text is entry.go, key.go and find.go; a test compares both on vectors.
 *
 * What is "as on the wire" has the bytes of the packet's header in their order.
 * The including file defines __u8, __u16, __u32 and __u64.
 */
#ifndef SPIGATE_BUCKET_H
#define SPIGATE_BUCKET_H

#define BUCKET_WAYS 4
#define BUCKET_SIZE 128

struct bucket_entry {
	__u32 src, dst; /* addresses as on the wire */
	__u32 id;       /* SPI or source|destination port as on the wire; ICMP: see flow's key.go */
	__u32 tag;      /* proto<<24 | ctx<<16 | version<<4 | flags, a number */
	__u32 addr;     /* new address as on the wire */
	__u16 port;     /* new port as on the wire */
	__u16 hop;      /* next hop, a number */
	__u64 count;    /* packets<<36 | bytes; one plain addition for each packet */
};

struct bucket {
	struct bucket_entry way[BUCKET_WAYS];
};

/* Flags of a tag. */
#define BUCKET_VALID 1
#define BUCKET_DESTINATION 2
#define BUCKET_EXTENDED 4
#define BUCKET_DF_ONLY 8

#define BUCKET_FLAG_MASK 0x0000000fU
#define BUCKET_SCOPE_MASK 0xffff0000U /* protocol and context */

/* What one packet of that many bytes adds to a count. */
#define BUCKET_PACKET(bytes) ((1ULL << 36) + (bytes))

/* The seed as four numbers: lower and upper half of Seed[0], then of Seed[1]. */
struct bucket_seed {
	__u32 k0, k1, k2, k3;
};

/* The two halves of addrs as the machine numbers them: lower, upper. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BUCKET_LOWER(src, dst) (dst)
#define BUCKET_UPPER(src, dst) (src)
#else
#define BUCKET_LOWER(src, dst) (src)
#define BUCKET_UPPER(src, dst) (dst)
#endif

/* scope is proto<<24 | ctx<<16. The sums are of 32 bits, the products of 64. */
static inline __attribute__((always_inline)) __u64
bucket_hash(__u32 src, __u32 dst, __u32 id, __u32 scope, const struct bucket_seed *s)
{
	__u32 a = BUCKET_LOWER(src, dst) + s->k0;
	__u32 b = BUCKET_UPPER(src, dst) + s->k1;
	__u32 c = id + s->k2;
	__u32 d = scope + s->k3;
	__u64 h = (__u64)a * b + (__u64)c * d;

	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ h >> 29) * 0xd6e8feb86659fd93ULL;
	return h ^ h >> 32;
}

/* The two buckets of a hash in a table of n buckets. */
static inline __attribute__((always_inline)) __u32
bucket_first(__u64 h, __u32 n)
{
	return (h & 0xffffffff) * n >> 32;
}

static inline __attribute__((always_inline)) __u32
bucket_second(__u64 h, __u32 n)
{
	return (h >> 32) * n >> 32;
}

/*
 * The way where an entry of this hash stands most probably; then ^1 (the same
 * cache line), ^2, ^3.
 */
static inline __attribute__((always_inline)) __u32
bucket_preferred(__u64 h)
{
	return (h & 1) * 2;
}

#endif
