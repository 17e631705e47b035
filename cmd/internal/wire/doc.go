// Package wire is the only place where configuration meets runtime: it turns
// a checked configs.Config into drivers, tables and a netstack.Router, and the
// Router's state into the rows that package control shows.
//
// Invariants: every port is taken from the kernel before the first frame can
// move, and given back after the last; whatever fails half way is undone.
//
// It decides nothing that an operator could want to configure.
package wire
