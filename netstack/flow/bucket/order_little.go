//go:build !(mips || mips64 || ppc64 || s390x)

package bucket

// Where the parts of a 64-bit word are when it is read from memory: the part
// with the lowest address is the lowest.
const (
	idShift, tagShift              = 0, 32
	addrShift, portShift, hopShift = 0, 32, 48
)
