//go:build ignore

/* SPDX-License-Identifier: Apache-2.0
 *
 * Forwards packets of established flows from port to port, in the kernel. It
 * does what netstack/flow does in user space: the same packets, the same bytes,
 * the same counts. All others it passes on as they came.
 *
 * It runs once for each frame, as one of several instances: the constants are
 * each port's own, the maps are shared. It has one writer, the router's process,
 * which changes the flows while it runs: see lookup.h.
 */

#include "rewrite.h"

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
