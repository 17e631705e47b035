package mii

import "unsafe"

// RequestSize is that of a request, in bytes.
const RequestSize = unsafe.Sizeof(request{})
