// Package arm runs virtual ARM machines: QEMU's "virt" machine with an
// unmodified Debian kernel for ARMv7, or with the router's own image. Tests of
// other packages are compiled for ARM and run inside, where the kernel has what
// the machine that tests has not: DSA, the kernel's framework for switches.
//
// A Machine is a QEMU process with a serial console, cards and drives. A Guest
// is a first file system made on the spot: kernel modules in order, programs,
// and a first process that runs them one after the other and tells how each
// ended. A Kernel comes from Debian's archive and is kept in a cache.
//
// It is not where the router's image is built: that is board/image.
//
// Invariants: every wait has an end; a machine ends with the lab that it was
// started in, by its process id, and with the process that tests.
package arm
