package vserver

import (
	"net/netip"
	"testing"

	"spigate/netstack/frame"
)

func from(s Server, how Translation) Server {
	s.SourceTranslation, s.Group = how, "homes"
	if how == TranslateSNAT {
		s.Translations = []netip.Addr{netip.MustParseAddr("203.0.113.5")}
	}
	return s
}

func rejects(s Server) Server {
	s.Role = Reject
	return s
}

// The clients of "homes" are 100.64.0.0/10 and 192.168.0.0/16; the SNAT "S" has
// 192.168.0.0/16, too, and the NAT "N" 192.168.15.2.
func TestAWildcardServerLeavesTheSubscribersToTheirGroup_VR3(t *testing.T) {
	wild := vs("wild", "any", "any", 0, 0)
	home := attempt(lan, frame.ProtoTCP, "100.64.1.1", "8.8.8.8", 443)
	for name, c := range map[string]struct {
		servers []Server
		a       Attempt
		want    string
	}{
		"forwarding":                        {[]Server{wild}, home, "admit homes"},
		"disabled":                          {[]Server{disabled(wild)}, home, "admit homes"},
		"for the packet's port":             {[]Server{vs("web", "any", "any", frame.ProtoTCP, 443)}, home, "admit homes"},
		"on the subscriber's VLAN":          {[]Server{on(wild, lan)}, home, "admit homes"},
		"for more than the group's clients": {[]Server{vs("wide", "any", "100.0.0.0/8", 0, 0)}, home, "admit homes"},
		"for just the group's clients":      {[]Server{vs("same", "any", "100.64.0.0/10", 0, 0)}, home, "admit same"},
		"for one subscriber":                {[]Server{vs("one", "any", "100.64.1.1/32", 0, 0)}, home, "admit one"},
		"disabled for one subscriber":       {[]Server{disabled(vs("one", "any", "100.64.1.1/32", 0, 0))}, home, "vs_disabled one"},
		"for another subscriber":            {[]Server{vs("one", "any", "100.64.1.2/32", 0, 0), wild}, home, "admit homes"},
		"rejecting":                         {[]Server{rejects(wild)}, home, "rejected wild"},
		"translating by the LSN":            {[]Server{from(wild, TranslateLSN)}, home, "admit wild"},
		"translating by automap":            {[]Server{from(wild, Automap)}, home, "admit wild"},
		"translating by addresses":          {[]Server{from(wild, TranslateSNAT)}, home, "admit wild"},
		"disabled, translating":             {[]Server{disabled(from(wild, Automap))}, home, "vs_disabled wild"},
		"with a matching SNAT":              {[]Server{wild}, attempt(lan, frame.ProtoUDP, "192.168.1.1", "8.8.8.8", 53), "admit wild by S"},
		"with a matching NAT":               {[]Server{wild}, attempt(lan, frame.ProtoUDP, "192.168.15.2", "8.8.8.8", 53), "admit wild by N"},
		"disabled, with a matching SNAT":    {[]Server{disabled(wild)}, attempt(lan, frame.ProtoUDP, "192.168.1.1", "8.8.8.8", 53), "vs_disabled wild"},
		"for who is no subscriber":          {[]Server{wild}, attempt(lan, frame.ProtoUDP, "10.2.1.1", "8.8.8.8", 53), "admit wild"},
		"half the addresses":                {[]Server{vs("half", "0.0.0.0/1", "any", 0, 0)}, home, "admit half"}, // no wildcard: VR2
		"one destination":                   {[]Server{vs("dns", "8.8.8.8/32", "any", 0, 0)}, home, "admit dns"},
		"disabled for one destination":      {[]Server{disabled(vs("dns", "8.8.8.8/32", "any", 0, 0)), wild}, home, "vs_disabled dns"},
	} {
		t.Run(name, func(t *testing.T) {
			all := listenerConfig()
			all.Servers = c.servers
			wants(t, build(t, all), c.a, c.want)
		})
	}
}

func TestASNATOnAnotherVLANTranslatesNothingForAServer_VR3(t *testing.T) {
	c := listenerConfig()
	c.SNATs[0].VLANs = VLANs{Enabled: true, List: []frame.Interface{external}}
	c.Servers = []Server{vs("wild", "any", "any", 0, 0)}
	l := build(t, c)
	wants(t, l, attempt(lan, frame.ProtoUDP, "192.168.1.1", "8.8.8.8", 53), "admit homes")
	wants(t, l, attempt(external, frame.ProtoUDP, "192.168.1.1", "8.8.8.8", 53), "admit wild by S")
}
