// Package ikepeer puts package ike before a real daemon: strongSwan with its
// own ESP in user space, in a network namespace, without a virtual machine.
//
// Node is a small IKE daemon around an ike.Engine: sockets, a clock, and an
// ESP layer that answers what it decrypts, so that keys are proved by traffic.
package ikepeer
