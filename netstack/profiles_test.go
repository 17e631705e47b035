package netstack

import (
	"testing"
	"time"

	"spigate/alg/ipsec"
)

func TestAChangedPairingHoldCountsAtOnce(t *testing.T) { // R10, R15
	for _, tt := range []struct {
		name        string
		hold, after time.Duration
		kept        bool
	}{{"longer", 3 * time.Hour, time.Hour, true}, {"shorter", time.Minute, time.Second, false}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.LSN.Groups[0].PairingHold = 20 * time.Minute })
			w.fromLAN(udpTo(at(client1, 500), at(server, 500), "no IKE"))
			w.advance(10 * time.Minute) // the mapping has ended, and is held
			groups := testLSN().Groups
			groups[0].PairingHold = tt.hold
			w.r.SetProfiles(groups, map[string]ipsec.Profile{"P": ipsec.DefaultProfile()})
			w.advance(tt.after)
			w.advance(time.Second)
			if _, ok := w.r.lsn.PairedAddress(client1); ok != tt.kept {
				t.Errorf("paired: %v", ok)
			}
		})
	}
}
