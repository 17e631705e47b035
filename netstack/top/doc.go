// Package top finds the busiest flows and subscribers of a second.
//
// The flow table tells once a second what each of its flows carried since the
// last time (flow.Report). A Meter listens to that while somebody watches, and
// keeps the few that carried most: what a flow carried between two sweeps is its
// rate, so nothing has to be remembered of the others. Traffic that never
// reaches the flow table is not seen: the first packets of a flow, and what the
// stack forwards by itself.
//
// Invariants: nothing is kept while nobody watches; memory does not depend on
// the number of flows or subscribers; no lock of a packet's way is held or
// waited for.
//
// It is not accounting: counters of objects are with the objects.
package top
