package netstack

import (
	"net/netip"
	"testing"

	"spigate/netstack/drop"
	tunnels "spigate/netstack/ipsec"
	"spigate/netstack/vserver"
)

// A policy in transport mode may leave its ends to its manual SAs: ESP for those
// is for us all the same (VR1, VR36).
func TestManualSAsSayWhereATransportPolicyWithoutEndsEnds(t *testing.T) {
	w := newWorld(t, hereTunnel().site, func(c *Config) {
		c.Keying.Peers = nil
		c.IPsec.Policies = []tunnels.Policy{{Name: "Rio", Mode: tunnels.Transport}}
		s := &c.IPsec.Selectors[0]
		s.Source, s.Destination = netip.PrefixFrom(netipOf(endHere), 32), netip.PrefixFrom(netipOf(endThere), 32)
		manualEnds(&c.IPsec)
		c.IPsec.Manual[1].Outbound = true
	})
	w.neighbor(wanIf, endThere)
	w.wantDrop(drop.ICV, 1, func() {
		w.fromWAN(esp(endThere, endHere, testSPI, 1, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f0123456789abcdef"))
	})
	w.none(w.atWAN())
}

// Q21: new packets come in by another label; old connections go on.
func TestAPolicyThatBecomesAnInterfaceLabelsAnew_Q21(t *testing.T) {
	settings := func(mode tunnels.Mode) Settings {
		s := Settings{LSN: testLSN(), IPsec: hereTunnel().policies()}
		manualEnds(&s.IPsec)
		s.IPsec.Policies[0].Mode = mode
		s.IPsec.Tunnels = []tunnels.TunnelInterface{{Name: "ipsec-tunnel", ID: tunnelIf, Policy: "Rio"}}
		if mode == tunnels.Tunnel {
			s.IPsec.Tunnels = nil
		}
		s.Listeners.Servers = []vserver.Server{on(forwarding("in", "10.2.1.0/24"), wanIf)}
		return s
	}
	e := withEnd(t, nil, func(c *Config) {
		s := settings(tunnels.Tunnel)
		c.IPsec, c.Listeners, c.Keying.Peers = s.IPsec, s.Listeners, nil
		c.IPsec.Manual = nil
		c.Tunnels = []Tunnel{{ID: tunnelIf, Name: "ipsec-tunnel"}}
	})
	old, fresh := udpTo(at(far, 9), at(near, 9), "old"), udpTo(at(far, 10), at(near, 9), "new")
	e.w.fromWAN(e.seals(old))
	e.w.one(e.w.atLAN())
	s := settings(tunnels.Interface)
	s.IPsec.Manual = nil
	e.w.reload(s)
	e.w.fromWAN(e.seals(old))
	e.w.one(e.w.atLAN())
	e.w.wantDrop(drop.VLANMiss, 1, func() { e.w.fromWAN(e.seals(fresh)) })
}

func TestATunnelNarrowerThanIPv4IsRefused(t *testing.T) {
	for mtu, ok := range map[int]bool{-1: false, 0: true, 67: false, 68: true, 1400: true} {
		ch, err := NewChassis(ChassisConfig{}, []RouterConfig{{Tunnels: []Tunnel{{ID: tunnelIf, Name: "t", MTU: mtu}}}})
		if (err == nil) != ok {
			t.Errorf("MTU %d: %v", mtu, err)
		}
		if err == nil {
			ch.Close()
		}
	}
}
