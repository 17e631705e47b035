// Package web is the daemon's HTTP server at [control] http: the pages for
// people, and beside them what programs ask for (Config.Extra: /metrics, /healthz
// and /readyz).
//
// Pages are html/template over the same rows that the command line shows: a
// page is a function of control.Backend, asked in process. They work without
// JavaScript; the little there is replaces parts of a page that the server has
// made (server-sent events). Nothing is loaded from anywhere else.
//
// A build with the tag noweb has the server and Extra, and no pages:
// html/template keeps every exported method of the program alive, which is 3 MB.
//
// Invariants: nothing here runs on a packet's way or holds its locks while a
// reader is slow: an answer is made whole in memory and then sent. Everything is
// bounded: connections, of one address too; requests at a time; sessions;
// streams; rows of a page; addresses of which attempts are remembered. At most
// one hash of a password is computed at a time, and few in a minute. A session
// is known by the hash of its id. Only a POST with the session's own token, from
// our own pages, changes anything, and only an admin's.
//
// It is no API: programs use the control socket.
package web
