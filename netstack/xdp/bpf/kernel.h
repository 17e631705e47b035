/* SPDX-License-Identifier: Apache-2.0
 *
 * What the program uses of the kernel's interface to BPF programs, and no
 * more: so that it compiles to the same bytes whatever headers a machine has.
 * The numbers are the kernel's ABI and never change. Behind each stands the
 * first kernel that has it.
 */
#ifndef SPIGATE_KERNEL_H
#define SPIGATE_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

_Static_assert(sizeof(__u64) == 8 && sizeof(void *) == 8, "not a BPF target");

struct xdp_md { /* 4.8 */
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

enum xdp_action { /* 4.8; XDP_REDIRECT 4.14 */
	XDP_ABORTED,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
};

/* Map types and flags. */
#define BPF_MAP_TYPE_ARRAY 2        /* 3.19 */
#define BPF_MAP_TYPE_PERCPU_ARRAY 6 /* 4.6 */
#define BPF_MAP_TYPE_DEVMAP 14      /* 4.14 */
#define BPF_F_MMAPABLE 1024         /* 5.5 */

/* Helpers. None of them is for programs under the GPL only. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;        /* 3.19 */
static long (*const bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;     /* 4.10 */
static long (*const bpf_redirect_map)(void *map, __u32 key, __u64 flags) = (void *)51;    /* 4.14; flags as result on a miss 5.4 */
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;     /* 4.18 */

/* Attributes of a map, read by the loader from the types of its members. */
#define SECTION(name) __attribute__((section(name), used))
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, value) typeof(value) *name

/* Every function is part of its caller: a 32-bit ARM compiles no calls between
 * BPF functions. Without nodebug each line of this source would stand in the
 * object, and a changed comment would change it. */
#define INLINE static inline __attribute__((always_inline))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LITTLE 1
#define WIRE16(x) __builtin_bswap16(x) /* between wire order and a number */
#else
#define LITTLE 0
#define WIRE16(x) ((__u16)(x))
#endif

#endif
