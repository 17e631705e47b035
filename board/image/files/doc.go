// Package files makes a machine's first file system in memory: files of Debian
// packages, kernel modules in the order in which they can be loaded, and the
// archive that a kernel unpacks at its start.
//
// It fetches nothing and runs nothing but dpkg-deb, which unpacks a package.
//
// Invariants:
//   - The same tree makes the same archive, byte for byte: members are sorted,
//     and there are no times, owners or inode numbers of the machine.
package files
