package vserver

import (
	"slices"
	"testing"

	"spigate/netstack/frame"
)

// passedOver is who was passed over, in words.
func passedOver(l *Listeners, a Attempt, most int) (out []string) {
	words := [...]string{"source", "port", "protocol", "vlan", "off", "group"}
	for _, p := range l.Passed(a, l.Match(a), most) {
		out = append(out, p.Listener.Name+" "+words[p.Why])
	}
	return out
}

func TestWhoWasPassedOverIsToldWithTheReason(t *testing.T) {
	c := Config{ContinueMatching: true, Servers: append(examples(),
		on(vs("E", "10.1.1.0/24", "10.2.1.1/32", 0, 0), external), disabled(vs("F", "10.1.1.7/32", "any", 0, 0)))}
	l := build(t, c)
	for _, tt := range []struct {
		name string
		a    Attempt
		most int
		want []string
	}{
		{"the host's server is for another port, then one is on another VLAN",
			attempt(lan, frame.ProtoTCP, "10.2.1.1", "10.1.1.5", 80), 9, []string{"B port", "E vlan"}},
		{"a disabled one is passed over where matching continues; of those for other senders one is named",
			attempt(lan, frame.ProtoUDP, "10.9.9.9", "10.1.1.7", 80), 9, []string{"F off", "E source", "D protocol"}},
		{"no more than are asked for", attempt(lan, frame.ProtoUDP, "10.9.9.9", "10.1.1.7", 80), 1, []string{"F off"}},
		{"nobody before the only one", attempt(lan, frame.ProtoUDP, "10.9.9.9", "192.0.2.1", 80), 9, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := passedOver(l, tt.a, tt.most); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestANATOnAnotherVLANIsToldAsPassedOver(t *testing.T) {
	n := NAT{Name: "N", Originating: addr("10.1.1.1").Netip(), Translation: addr("172.17.1.1").Netip(), VLANs: VLANs{Enabled: true, List: []frame.Interface{external}}}
	l := build(t, Config{NATs: []NAT{n}, Servers: []Server{vs("wild", "any", "any", 0, 0)}})
	if got := passedOver(l, attempt(lan, frame.ProtoUDP, "10.9.9.9", "172.17.1.1", 53), 9); !slices.Equal(got, []string{"N vlan"}) {
		t.Errorf("towards it: %q", got)
	}
	if got := passedOver(l, attempt(external, frame.ProtoUDP, "10.9.9.9", "172.17.1.1", 53), 9); got != nil {
		t.Errorf("it won, and was not passed over: %q", got)
	}
}
