// Package deb takes packages from the Debian archive at build time, for this
// machine or for another architecture, without installing them: it asks apt,
// keeps what was downloaded in a cache by SHA-256, and holds a build to a lock
// file that names each package's version and hash.
//
// It is not a package manager: it resolves no versions itself and runs no
// maintainer script. How a package is unpacked is in package tree.
//
// Invariants: a file whose SHA-256 is not the expected one never enters the
// cache and is never used; the lock file names no host, only paths inside an
// archive, so every mirror serves it.
package deb
