// Package netscaler reads and writes NetScaler's commands: large scale NAT, the
// IPsec ALG, and as much of VLANs, addresses and routes as an LSN needs.
//
// Import follows rule R2: an en dash is a hyphen, a hyphen with a blank behind it
// belongs to the next word, options may be abbreviated as long as one is meant,
// and case does not matter. Each of these is told. It is not a NetScaler: no
// command is run, so the order of commands matters for rm and unbind alone.
//
// List writes what Import reads: a configuration that went through both is the
// same. Options that only spigate has are printed in NetScaler's manner
// (-lateBindingIn); a NetScaler refuses them by name.
package netscaler
