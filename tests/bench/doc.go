// Command bench measures spigate beside the kernel, in one run on one machine,
// and prints ratios: absolute figures differ from machine to machine and from
// minute to minute, ratios far less. What is measured, and in which order, is
// the list in parts.go; each part is a package below this one.
//
// It is not a test: nothing fails for being slow. It needs root, nft and Linux
// 6.6.
package main
