package wire

import (
	"runtime"

	"spigate/alg/ipsec"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/link"
)

// chassisConfig translates a checked configuration for drivers, one for each of
// its ports in order: what all routers share, and a router for each traffic
// domain. Clock, log, drop counters and random numbers are not in the file:
// they are the caller's to set.
func chassisConfig(c *configs.Config, drivers []link.Driver) (netstack.ChassisConfig, []netstack.RouterConfig) {
	var routers []netstack.RouterConfig
	for _, domain := range c.Domains() {
		routers = append(routers, routerConfig(c, domain))
	}
	// A core for receiving, the others for sealing and opening. On one core
	// whoever receives does it all.
	workers := min(runtime.GOMAXPROCS(0), runtime.NumCPU()) - 1
	return netstack.ChassisConfig{Ports: netstackPorts(c, drivers), Flows: c.Limits.Flows, CryptoWorkers: workers}, routers
}

// routerConfig is what of c is one traffic domain's. Each has tables of the
// full size: a flood in one takes no room from the others, and the memory is
// used as entries come.
func routerConfig(c *configs.Config, domain uint16) netstack.RouterConfig {
	return netstack.RouterConfig{
		Domain:   domain,
		LSN:      lsnConfig(c, domain),
		Profiles: algProfiles(c),
		ALG:      ipsec.Config{MaxIKESessions: c.Limits.IKESessions, MaxESPSessions: c.Limits.ESPSessions},
		NATLog:   natLog(c, domain),

		Listeners: ltmConfig(c, domain), KeepSilent: !c.DB.RejectUnmatched, MaxConnections: c.Limits.Connections,

		Routes: routes(c, domain), Tunnels: tunnelInterfaces(c, domain),
		IPsec: ipsecConfig(c, domain), Keying: keyingConfig(c, domain),
	}
}
