// Package tmsh reads and writes configurations in the form of BIG-IP's tmsh:
// virtual servers, NATs, SNATs and their profiles, IPsec policies, selectors and
// peers, VLANs, self addresses and routes.
//
// Import takes what "tmsh list" prints, also with one-line, bigip.conf and SCF
// files, and commands: create, modify, delete. Objects that come in pieces, as
// "list ltm virtual vlans" prints them, are put together. Partitions (/Common/)
// are left out, which is told; route domains (%7) are traffic domains.
//
// List writes what Import reads: a configuration that went through both is the
// same, but for what tmsh has no words for: ports' devices, switches, and keys,
// which are never printed. Properties that only spigate has are printed in
// tmsh's manner (require-protection); a BIG-IP refuses them by name.
package tmsh
