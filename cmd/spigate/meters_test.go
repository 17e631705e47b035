package main

import "spigate/cmd/internal/control"

func (h *house) Meters() control.Metered {
	return control.Metered{
		NAT:    []control.NATMeter{{Protocols: []control.NATProtocolMeter{{Protocol: "UDP", Sessions: 2, Mappings: 2, Created: 40}}, Gates: 1, Connections: 3}},
		Limits: control.LimitMeter{LSNSessions: 65536, IKESessions: 4096, ESPSessions: 8192, Connections: 16384},
	}
}
