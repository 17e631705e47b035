//go:build linux && !(mips || mips64 || ppc64 || s390x)

package bpf

import _ "embed"

// object is the compiled program for machines whose numbers begin with the
// lowest byte.
//
//go:embed forward_bpfel.o
var object []byte
