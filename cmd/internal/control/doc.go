// Package control is how the command line and the web pages ask a running
// daemon what it is doing, and how an operator clears its sessions: HTTP with
// JSON answers over a unix socket.
//
// The daemon makes a Server over a Backend, which package wire fills from the
// runtime objects. The command line makes a Client. Both share the types of
// this package, so that a field cannot have two names. Every answer has the
// shape
//
//	{"version":1,"items":[ … ]}
//
// and every refusal the shape
//
//	{"error":"text for people","code":"word for programs"}
//
// The names of the fields are a public interface: people script against them.
//
// Invariants: a socket has one daemon (a lock file with flock decides, the
// kernel forgets it when the process dies); an answer is written item by
// item, so a million sessions do not grow the daemon; a reader that stops
// reading is cut off; a filter that the server does not know is refused, never
// ignored; a GET changes nothing.
//
// It is not an API for the network: who may open the socket may ask
// everything. It decides nothing about packets and imports nothing that does.
package control
