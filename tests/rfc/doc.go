// Package rfc plays what the RFCs about NAT ask for, requirement by
// requirement: a test is named after the number that it holds us to
// (RFC 4787, 5382, 5508, 6056, 6888, 7422, 7857; rules R13 to R29).
//
// Every test runs twice: over links in memory, and over veth devices of the
// kernel through the same drivers as on a router. Time moves by hand in both.
package rfc
