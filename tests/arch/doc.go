// Package arch checks the shape of the project: who imports whom, which
// modules are used where, how long files and functions are, that every
// package and every folder says what it is, that time is an argument, and that
// formatters and linters are content.
//
// Each check is a function from a Tree to findings. arch_test.go runs all of
// them on the project; checks_test.go runs each on a small tree made up to
// fail, because a check that cannot fail protects nothing.
//
// This package is not a linter for taste: what gofmt, vet and staticcheck know
// is left to them.
package arch
