// Package dialect turns configurations that were written for other machines into
// TOML: NetScaler's commands (package netscaler) and BIG-IP's tmsh (package
// tmsh). This package has what both need: a text that was pasted is cleaned of
// what the way over a web page did to it, what was understood is a Document, and
// what it refers to without defining it is made up, apart, and told.
//
// Invariants: the TOML of a Result is TOML, whatever came in. What is read
// otherwise than it stands, made up, or left out is a Finding with the line of
// the text. Time and memory are bounded by MaxText.
package dialect
