//go:build linux && (mips || mips64 || ppc64 || s390x)

package bpf

import _ "embed"

// object is the compiled program for machines whose numbers begin with the
// highest byte.
//
//go:embed forward_bpfeb.o
var object []byte
