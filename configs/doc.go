// Package configs turns the text of the configuration file into a checked
// Config, and holds the texts that ship: reference.toml and examples.
//
// It works in three layers. The first reads TOML into tables and notes where
// every key and value stands (document, locate). The second asks each table
// for its keys, one by one: types, units, ranges, spelling (table, values,
// read_*). The third compares what the tables say about each other: names
// that refer, addresses that overlap, rules R5, R8 and R9 (check_*).
//
// Every fault is found in one pass and printed as "file:line:col: path: text";
// columns count bytes from 1, as the Go tools do. Section 1 of the
// specification has the defaults and the ranges; the messages repeat them.
//
// This package opens no socket and knows no runtime type. Parse is pure: the
// same text gives the same result, and nothing outside is read or changed. Load
// also reads the files with secrets and certificates that the text names.
//
// Invariants: a Config is returned only without a fault; its pointers are never
// nil where the comment does not say so; the order of lists is the file's.
package configs
