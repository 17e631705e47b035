package wire

import (
	"spigate/alg/ipsec"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/link"
)

// routerConfig translates a checked configuration for drivers, one for each of
// its ports in order. Clock, log, drop counters and random numbers are not in
// the file: they are the caller's to set.
func routerConfig(c *configs.Config, drivers []link.Driver) netstack.Config {
	out := netstack.Config{ChassisConfig: netstack.ChassisConfig{
		Ports: netstackPorts(c, drivers),
		Flows: c.Limits.Flows,
	}, RouterConfig: netstack.RouterConfig{
		LSN:      lsnConfig(c),
		Profiles: algProfiles(c),
		ALG:      ipsec.Config{MaxIKESessions: c.Limits.IKESessions, MaxESPSessions: c.Limits.ESPSessions},
	}}
	for _, r := range c.Routes {
		out.Routes = append(out.Routes, netstack.Route{To: r.Prefix, Via: r.Via})
	}
	return out
}
