// Package traffic makes traffic and takes it in as cheaply as the kernel can:
// a BPF program builds each frame and redirects it out of a device
// (BPF_PROG_TEST_RUN with live frames), and another one at the far end counts
// what arrives and drops it. Everything between the two runs to completion on
// the one CPU that generates, so what this thread has used, divided by the
// frames that arrived, is the cost of the whole path.
//
// The frames' pages are recycled by the kernel without being filled again, so
// every header is written anew for each frame. Which flow a frame is of comes
// from a sequence that was drawn beforehand and is read in order.
//
// A paced generator writes the kernel's monotonic clock into each frame, and
// the sink keeps a histogram of how old the frames are that arrive: one-way
// latency, without a socket at either end.
//
// The programs are assembled here, so that no compiler is needed; both byte
// orders work, because numbers on the wire are only moved and never computed
// with, but for sums in one's complement (RFC 1071), which have no byte order.
//
// It is a measuring tool and not a test of the router: it does not look into
// payloads, and knows of one Ethernet frame only, untagged, IPv4 without
// options. It needs CAP_NET_ADMIN and CAP_BPF, and Linux 6.6.
package traffic
