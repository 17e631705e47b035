package ipsec

// The ECN field, the lower two bits of TOS (RFC 3168).
const (
	notECT  = 0
	ect1    = 1
	ect0    = 2
	ce      = 3
	ecnMask = 3
)

// The TOS byte of an outer header is a copy of the inner one: DSCP as it is,
// ECN by the normal mode of RFC 6040 section 4.1.

// decapECN is the inner ECN field after the outer header is gone (RFC 6040
// section 4.2, figure 4). ok is false where the packet must be dropped:
// congestion was marked outside and the inner one cannot tell.
func decapECN(inner, outer uint8) (ecn uint8, ok bool) {
	inner, outer = inner&ecnMask, outer&ecnMask
	switch {
	case outer == ce:
		return ce, inner != notECT
	case inner == ect0 && outer == ect1:
		return ect1, true
	}
	return inner, true
}
