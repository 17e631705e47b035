// Package flash keeps configurations on a flash file system so that a power cut
// at any moment loses none: the next start boots the old configuration or the
// new one, whole.
//
// A Store is a directory with three slots: candidate (what was tried last),
// running (what the router was last told to do) and confirmed (what it boots). A
// slot is one file, the configuration's text with a seal behind it: one line, a
// comment of TOML, with a checksum over all that stands before it.
//
// Invariants: a slot is replaced by a file that is complete and synced, by
// rename, and then its directory is synced; nothing is ever written in place;
// what is there already is not written again, for flash wears; what is read is
// bounded, and only what its seal vouches for is used; files are 0600, for they
// have secrets.
//
// It does not know what a configuration says.
package flash
