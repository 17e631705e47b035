// Package flashtest proves what package flash promises, with a file system in
// memory that forgets as flash does when the power is cut: what was not synced
// may be lost, complete, zeros, or torn at a sector; a name that was not synced
// with its directory may be lost or come before the data; and no two of these
// depend on each other.
//
// A Disk can also fail: at one call, from one call on, or when it is full.
package flashtest
