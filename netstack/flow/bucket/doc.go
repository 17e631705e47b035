// Package bucket is the layout of the flow table, in any memory: of its own, or
// of a map that a program in the kernel reads.
package bucket
