// Package fourport plays the shipped example of a router with a four-port switch
// in software: hosts in network namespaces at its ports, the daemon as it is
// built.
package fourport
