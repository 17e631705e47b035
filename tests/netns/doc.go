// Package netns runs the router between real Linux kernels' network stacks:
// network namespaces joined by veth pairs, made and removed through netlink,
// with hosts in them that replay recorded IKE and ESP (tests/golden).
//
// A Lab owns everything that a test makes and removes it again in reverse
// order. Namespaces have no name unless asked for, and processes are told by
// the kernel when their parent goes, so that a killed test leaves nothing
// behind either. Needs root and Linux; it calls no shell and no ip command.
//
// A Host replays one end of one or more conversations the way the daemons did:
// it sends its next step when all earlier steps of the other end have arrived
// byte for byte, retransmits an unanswered IKE request, answers a repeated one
// again, and writes down every packet that belongs to somebody else.
//
// It is not an IKE implementation, and it does not know what is between the
// hosts: plain routing, masquerading or spigate.
//
// Invariants: nothing sleeps, every wait has a deadline; only processes that
// the Lab started are ended, by their id; all buffers are bounded.
package netns
