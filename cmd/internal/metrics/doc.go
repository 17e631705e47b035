// Package metrics tells monitoring how the router is: /metrics in Prometheus'
// text format (version 0.0.4), /healthz and /readyz.
//
// Names follow Prometheus' rules: one prefix, base units, counters end in
// _total. A label is something of which the configuration, or a table of this
// program, has a bounded number: an interface, a pool, a reason. It is never an
// address, a subscriber or an SPI: those are in the views and in the logs.
//
// Invariants: a scrape reads counters and never walks over sessions; however
// many ask, they are read once a second at most; an answer is built whole before
// its first byte leaves, so a slow reader holds nothing but the text.
//
// It is not a library for instrumentation: nothing in the router knows of it.
package metrics
