// Package doctor looks a router over, part by part in the order in which a
// packet needs them, and says for each what was found and what to do next.
//
// Examine looks at a daemon from inside, through what it shows anyway; it is
// behind "spigate doctor" and the overview of the web pages. Outside is what can
// be said when no daemon answers: the socket, the configuration, who asks.
//
// Invariants: it changes nothing and sends nothing, so a gateway that nobody has
// needed yet is not known to be there, and is said to be just that; it never
// walks over sessions; every row that is not ok says what to do.
//
// It repairs nothing, and it is not the watchdog: that asks Alive alone.
package doctor
