// Package load measures a way with more than a flood: the highest rate at which
// nothing is lost, one-way latency at a rate that every way is offered alike, the
// rate at which flows that nobody knows are set up, and a ping when all is idle.
//
// It does not know what a way is made of: it has a generator at one end and a
// sink at the other, and a number for the work in between.
package load
