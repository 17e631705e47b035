package configs

import _ "embed" // the texts below are part of the binary

//go:embed reference.toml
var reference string

//go:embed examples/ipsec-passthrough.toml
var ipsecPassthrough string

//go:embed examples/carrier-nat.toml
var carrierNAT string

//go:embed examples/virtual-server.toml
var virtualServer string

//go:embed examples/office.toml
var office string

//go:embed examples/ipsec-tunnel.toml
var ipsecTunnel string

//go:embed examples/ipsec-interface.toml
var ipsecInterface string

// Reference returns the text of reference.toml: every key with its default.
func Reference() string { return reference }

// IPsecPassthrough returns the text of examples/ipsec-passthrough.toml.
func IPsecPassthrough() string { return ipsecPassthrough }

// CarrierNAT returns the text of examples/carrier-nat.toml.
func CarrierNAT() string { return carrierNAT }

// VirtualServer returns the text of examples/virtual-server.toml.
func VirtualServer() string { return virtualServer }

// Office returns the text of examples/office.toml.
func Office() string { return office }

// IPsecTunnel returns the text of examples/ipsec-tunnel.toml.
func IPsecTunnel() string { return ipsecTunnel }

// IPsecInterface returns the text of examples/ipsec-interface.toml.
func IPsecInterface() string { return ipsecInterface }
