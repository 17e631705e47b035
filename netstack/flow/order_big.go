//go:build mips || mips64 || ppc64 || s390x

package flow

// ttlDown is what a TTL that is one less adds to the header's checksum, as the
// machine reads the bytes fe ff: the word of TTL and protocol, less 0x0100 as on
// the wire, whatever it is (RFC 1624 equation 3).
const ttlDown = 0xfeff
