/* SPDX-License-Identifier: Apache-2.0
 *
 * What the program has beside a packet: its constants, and the maps that it
 * shares with the router's process. layout.go and reason.go say the same in Go.
 */
#ifndef SPIGATE_MAPS_H
#define SPIGATE_MAPS_H

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

#endif
