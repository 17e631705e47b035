//go:build mips || mips64 || ppc64 || s390x

package bucket

// Where the parts of a 64-bit word are when it is read from memory: the part
// with the lowest address is the highest.
const (
	idShift, tagShift              = 32, 0
	addrShift, portShift, hopShift = 32, 16, 0
)
