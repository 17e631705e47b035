package netstack

import (
	"net/netip"

	"spigate/netstack/vserver"
)

// serving adds virtual servers to a world.
func serving(servers ...vserver.Server) option {
	return func(c *Config) { c.Listeners.Servers = append(c.Listeners.Servers, servers...) }
}

// openHouse admits every flow, as a router without listeners would.
func openHouse(c *Config) { serving(forwarding("any", "0.0.0.0/0"))(c) }

// forwarding is a virtual server with ip-forward.
func forwarding(name, destination string) vserver.Server {
	return vserver.Server{Name: name, Destination: netip.MustParsePrefix(destination), Role: vserver.Forward}
}
