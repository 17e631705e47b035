// Package vserver is BIG-IP's half of the router: the listeners that admit new
// flows (virtual servers, ltm nat, ltm snat, LSN groups, own addresses), and
// the connections that they admitted.
//
// It is pure: it sends nothing, starts no goroutine and reads no clock. Time is
// `now`, monotonic nanoseconds. What is asked (Match, Find, Decide) changes
// nothing; what changes something (Open, Touch, Sweep, Reload) says so.
//
// Rules VR2 to VR28 and VR39 to VR46: the rules of the virtual servers'
// specification, with a V in front.
package vserver
