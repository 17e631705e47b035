package configs

import "time"

// The timers of RFC 5382: REQ-5 wants two hours and four minutes for an
// established connection and four minutes for one that opens or closes.
const (
	rfc5382Established = 2*time.Hour + 4*time.Minute
	rfc5382Transitory  = 4 * time.Minute
)

// What a carrier's NAT is asked for beside: RFC 4787 REQ-5 recommends five
// minutes for UDP, RFC 6888 REQ-8 two minutes before a port is used again.
const (
	rfc4787UDP    = 5 * time.Minute
	rfc6888Rest   = 2 * time.Minute
	presetProfile = "rfc6888"
)

// applyPresets gives the keys that are not written the values of a group's
// preset. What is written stays. Profiles may serve other groups as well, so
// the group gets copies of its own; a pool is shared, and one group with the
// preset is enough for it.
func applyPresets(w *raw) {
	for _, g := range w.LSN.Groups {
		if g.Preset == PresetNone {
			continue
		}
		g.presetTransports(w)
		if g.Preset == PresetRFC6888 {
			g.presetApps(w)
			g.presetPools(w)
		}
	}
}

// presetTransports fills in timers, and adds the profiles that are missing.
func (g *Group) presetTransports(w *raw) {
	protocols := []Protocol{ProtocolTCP}
	if g.Preset == PresetRFC6888 {
		protocols = append(protocols, ProtocolUDP)
	}
	for _, proto := range protocols {
		i, p := -1, &TransportProfile{}
		for j, bound := range g.Transports {
			if bound.Protocol == proto {
				i, *p = j, *bound
			}
		}
		written := func(string) bool { return false }
		if i >= 0 {
			written = w.written[g.Transports[i]]
		} else {
			i, *p = len(g.Transports), defaultTransport(g.Preset.String(), proto)
			g.Transports = append(g.Transports, p)
		}
		set := func(key string, d *time.Duration, v time.Duration) {
			if !written(key) {
				*d = v
			}
		}
		if proto == ProtocolUDP {
			set("session_timeout", &p.SessionTimeout, rfc4787UDP)
		} else {
			set("session_timeout", &p.SessionTimeout, rfc5382Established)
			set("syn_idle_timeout", &p.SynIdleTimeout, rfc5382Transitory)
			set("fin_rst_timeout", &p.FinRstTimeout, rfc5382Transitory)
		}
		g.Transports[i] = p
	}
}

// presetApps makes profiles paired and endpoint-independent (RFC 6888 REQ-2 and
// REQ-7, RFC 4787 REQ-1), also for the ports that no profile is for.
func (g *Group) presetApps(w *raw) {
	covered := map[Protocol]bool{}
	for i, bound := range g.Apps {
		p := *bound
		written := w.written[bound]
		if !written("ip_pooling") {
			p.Pooling = PoolingPaired
		}
		if !written("mapping") {
			p.Mapping = MappingEIM
		}
		if !written("filtering") {
			p.Filtering = FilteringEIF
		}
		g.Apps[i] = &p
		covered[p.Protocol] = covered[p.Protocol] || len(p.Ports) == 0
	}
	for _, proto := range []Protocol{ProtocolTCP, ProtocolUDP, ProtocolICMP} {
		if !covered[proto] {
			g.Apps = append(g.Apps, &AppsProfile{
				Name: presetProfile, Protocol: proto, Pooling: PoolingPaired, Mapping: MappingEIM, Filtering: FilteringEIF,
				Domain: KeepDomain,
			})
		}
	}
}

// defaultTransport is a profile in which nothing is written.
func defaultTransport(name string, proto Protocol) TransportProfile {
	return TransportProfile{
		Name: name, Protocol: proto, SessionTimeout: sessionTimeout, FinRstTimeout: finRstTimeout,
		SynIdleTimeout: synIdleTimeout, SynCheck: true, StunTimeout: stunTimeout,
	}
}

func (g *Group) presetPools(w *raw) {
	for _, p := range g.Pools {
		if !p.Blocks && !w.written[p]("port_realloc_timeout") {
			p.ReallocTimeout = rfc6888Rest
		}
	}
}
